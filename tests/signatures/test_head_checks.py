"""Failure signatures of detection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core import limits
from circuitseer_core.runs.folder import Run
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores
from tests.support.records import edit_run
from tests.support.signature_tests import RNG, severity, signature_of, strong


class TestHeadEffect:
    def test_a_strong_head_is_good_and_the_ratio_is_by_hand(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta, noise_floor=1e-3)
        signature = signature_of(run, "head-effect")
        assert signature is not None and signature.severity == "good"
        # noise of a mean of 4 samples: 2 · 0.001 / √4 = 0.001, so 0.5 is 500 times that
        assert signature.number == pytest.approx(500)
        assert "0.50 nats" in signature.text and "0.0010 nats" in signature.text

    def test_a_head_that_one_sample_alone_supports_does_not_stand_out(self, run: Run) -> None:
        delta = np.zeros((8, 20))
        delta[0, 0] = 4.0  # mean 0.5, standard error 0.5: far above rounding, not above sampling
        add_detection(run, delta, noise_floor=1e-6)
        signature = signature_of(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.5 / (2e-6 / np.sqrt(8)))
        assert "the one chosen head does not stand above the noise" in signature.text

    def test_noise_alone_warns(self, run: Run) -> None:
        add_detection(run, RNG(0).normal(0, 0.01, (4, 20)), noise_floor=0.01)
        signature = signature_of(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert "mostly noise" in signature.text

    def test_the_best_of_many_heads_is_no_effect(self, run: Run) -> None:
        """Without an effect half of the best 5 % pass a test of one head each."""
        noise = RNG(5).normal(0, 1, (40, 280))
        best = [[0, int(head)] for head in np.argsort(-noise.mean(axis=0))[:14]]
        add_detection(run, noise, noise_floor=1e-6, heads_per_layer=280)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=best)
        signature = signature_of(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert "the best of 280 heads may reach so much" in signature.text

    def test_heads_that_only_help_when_removed_warn(self, run: Run) -> None:
        add_detection(run, np.full((4, 20), -0.5), noise_floor=1e-6)
        assert severity(run, "head-effect") == "warn"

    def test_most_of_the_chosen_heads_below_the_noise_warn(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta, noise_floor=1e-3)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 0], [0, 1], [0, 2]])
        signature = signature_of(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert "1 of the 3 chosen heads" in signature.text

    def test_how_the_noise_was_measured_is_told(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta, noise_floor=1e-3)
        edit_run(
            run,
            detect={
                "settings": {}, "noise_floor": 1e-3, "noise_pairs": 16, "noise_against": "fp32",
                "noise_effect": 0.02,
            },
        )  # fmt: skip
        text = signature_of(run, "head-effect").text
        assert "16 loss changes of one sample, measured again in float32" in text
        assert "moved by 0.0010 nats" in text and "their median is 0.020" in text

    def test_where_rounding_was_not_measured_sampling_alone_decides(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta)
        missing = {"noise_floor": None, "noise_unmeasured": "the device has no float64"}
        edit_run(run, detect={"settings": {}} | missing)
        signature = signature_of(run, "head-effect")
        assert signature.severity == "good" and signature.number is None
        assert "was not measured (the device has no float64)" in signature.text
        assert "above the noise" not in signature.text + signature.title

    def test_no_measured_noise_is_no_verdict(self, run: Run) -> None:
        add_detection(run, strong())
        edit_run(run, detect={"settings": {}})
        assert signature_of(run, "head-effect") is None


class TestStability:
    def test_one_head_above_all_others_is_stable(self, run: Run) -> None:
        add_detection(run, strong())
        signature = signature_of(run, "head-stability")
        assert signature is not None and signature.severity == "good"
        assert signature.number == 1.0
        assert "independent probe of 16 samples" in signature.text
        assert "chance 5 %" in signature.text

    def test_equal_heads_are_unstable(self, run: Run) -> None:
        add_detection(run, RNG(1).normal(0.1, 0.5, (6, 40)))
        signature = signature_of(run, "head-stability")
        assert signature is not None and signature.severity == "warn"
        assert signature.number is not None and signature.number < 0.8

    def test_a_list_written_by_hand_is_left_alone(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[3, 3]])
        assert signature_of(run, "head-stability") is None

    def test_specificity_is_judged_from_its_own_errors(self, run: Run) -> None:
        add_detection(run, strong(), contrast=strong(seed=5) * 0.1)
        add_scores(run, {"variance": [1.0, 2.0]}, rank_by="specificity", heads=[[0, 0]])
        signature = signature_of(run, "head-stability")
        assert signature is not None and signature.number == 1.0

    def test_within_a_race_the_sentence_says_so(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run", synthetic.Shape(racing=True)))
        signature = signature_of(run, "head-stability")
        finalists = int((~run.heads()["raced_out"]).sum())
        assert signature is not None
        assert f"within the {finalists} heads of the race's last field" in signature.text

    def test_three_samples_are_no_verdict(self, run: Run) -> None:
        add_detection(run, strong(samples=3))
        assert signature_of(run, "head-stability") is None


class TestProbeSize:
    def test_enough_samples_are_good(self, run: Run) -> None:
        add_detection(run, strong(samples=limits.FEW_SAMPLES))
        assert severity(run, "probe-size") == "good"

    def test_few_samples_warn(self, run: Run) -> None:
        add_detection(run, strong(samples=limits.FEW_SAMPLES - 1))
        assert severity(run, "probe-size") == "warn"

    def test_fewer_than_asked_for_warn_with_the_reasons(self, run: Run) -> None:
        add_detection(run, strong(samples=30))
        left_out = {"longer than 140 tokens": 37}
        edit_run(
            run,
            detect={"settings": {"probe_size": 60}, "n_probe": 30, "probe_left_out": left_out},
        )
        signature = signature_of(run, "probe-size")
        assert signature is not None and signature.severity == "warn"
        assert "30 probe samples of 60 asked for" in signature.text
        assert "37 longer than 140 tokens" in signature.text


class TestProbe:
    def test_probe_like_its_pool(self, run: Run) -> None:
        sources = ["a", "b"] * 8
        add_detection(run, strong(), sources=sources, pool_sources=sources * 4)
        signature = signature_of(run, "probe-pool")
        assert signature is not None and (signature.severity, signature.number) == ("good", 0.0)

    def test_one_sided_probe_warns_with_the_distance(self, run: Run) -> None:
        add_detection(run, strong(), sources=["a"] * 16, pool_sources=["a", "b", "b", "b"] * 5)
        signature = signature_of(run, "probe-pool")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.75)  # ½(|1 − ¼| + |0 − ¾|)

    def test_pool_of_one_source_or_all_of_it_says_nothing(self, run: Run) -> None:
        add_detection(run, strong(), pool_sources=["a"] * 40)
        assert signature_of(run, "probe-pool") is None
        add_detection(run, strong(), sources=["a", "b"] * 8)
        assert signature_of(run, "probe-pool") is None

    @pytest.mark.parametrize(
        ("sources", "expected", "number"),
        [
            (["gsm"] * 16, "warn", 0.5),
            (["gsm", "aqua"] * 8, "good", 0.0),
            (["x"] * 16, "info", 1.0),
        ],
    )
    def test_probe_against_scored_data(
        self, run: Run, sources: list[str], expected: str, number: float
    ) -> None:
        add_detection(run, strong(), sources=sources)
        add_scores(run, {"variance": [1.0] * 8, "source": ["gsm", "aqua"] * 4})
        signature = signature_of(run, "probe-data")
        assert signature is not None and signature.severity == expected
        assert signature.number == pytest.approx(number)

    def test_overlap_is_counted_by_id(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0] * 4, "id": ["probe0", "probe3", "other", "x"]})
        signature = signature_of(run, "probe-overlap")
        assert signature is not None and (signature.severity, signature.number) == ("warn", 2.0)
        assert "2 of the 16 probe samples" in signature.text and "50 %" in signature.text

    def test_no_overlap_is_good(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0] * 4})
        assert severity(run, "probe-overlap") == "good"
