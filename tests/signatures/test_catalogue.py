"""Every failure signature: a run that shows it, one that does not, and its number by hand."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.correlation import rank_correlation
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.catalogue import CHECKS, warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.head_checks import normal_overlap
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, listing, percent, plain, signed
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores, bare_run
from tests.support.records import edit_run

RNG = np.random.default_rng


def found(run: Run, key: str, **options: Any) -> Signature | None:
    """The one signature of this key, or None where its check does not apply."""
    matching = [s for s in warnings(run, **options) if s.key == key]
    assert len(matching) <= 1
    return matching[0] if matching else None


def severity(run: Run, key: str, **options: Any) -> str | None:
    signature = found(run, key, **options)
    return signature.severity if signature else None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return bare_run(tmp_path / "run")


def strong(samples: int = 16, heads: int = 20, seed: int = 0) -> np.ndarray:
    """ΔL in which head 0 matters (about 1 nat) and the others hardly do (about 0.01)."""
    delta = RNG(seed).normal(0, 0.01, (samples, heads))
    delta[:, 0] += 1.0
    return delta


class TestHeadEffect:
    def test_a_strong_head_is_good_and_the_ratio_is_by_hand(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta, noise_floor=1e-3)
        signature = found(run, "head-effect")
        assert signature is not None and signature.severity == "good"
        # noise of a mean of 4 samples: 2 · 0.001 / √4 = 0.001, so 0.5 is 500 times that
        assert signature.number == pytest.approx(500)
        assert "0.50 nats" in signature.text and "0.0010 nats" in signature.text

    def test_noise_alone_warns(self, run: Run) -> None:
        add_detection(run, RNG(0).normal(0, 0.01, (4, 20)), noise_floor=0.01)
        signature = found(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert "mostly noise" in signature.text

    def test_heads_that_only_help_when_removed_warn(self, run: Run) -> None:
        add_detection(run, np.full((4, 20), -0.5), noise_floor=1e-6)
        assert severity(run, "head-effect") == "warn"

    def test_most_of_the_chosen_heads_below_the_noise_warn(self, run: Run) -> None:
        delta = np.zeros((4, 20))
        delta[:, 0] = 0.5
        add_detection(run, delta, noise_floor=1e-3)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 0], [0, 1], [0, 2]])
        signature = found(run, "head-effect")
        assert signature is not None and signature.severity == "warn"
        assert "1 of the 3 chosen heads" in signature.text

    def test_no_measured_noise_is_no_verdict(self, run: Run) -> None:
        add_detection(run, strong())
        edit_run(run, detect={"settings": {}})
        assert found(run, "head-effect") is None


class TestStability:
    def test_one_head_above_all_others_is_stable(self, run: Run) -> None:
        add_detection(run, strong())
        signature = found(run, "head-stability")
        assert signature is not None and signature.severity == "good"
        assert signature.number == 1.0
        assert "bootstraps of 16 probe samples" in signature.text

    def test_equal_heads_are_unstable(self, run: Run) -> None:
        add_detection(run, RNG(1).normal(0.1, 0.5, (6, 40)))
        signature = found(run, "head-stability")
        assert signature is not None and signature.severity == "warn"
        assert signature.number is not None and signature.number < 0.8

    def test_a_list_written_by_hand_is_left_alone(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[3, 3]])
        assert found(run, "head-stability") is None

    def test_specificity_is_judged_from_its_own_errors(self, run: Run) -> None:
        add_detection(run, strong(), contrast=strong(seed=5) * 0.1)
        add_scores(run, {"variance": [1.0, 2.0]}, rank_by="specificity", heads=[[0, 0]])
        signature = found(run, "head-stability")
        assert signature is not None and signature.number == 1.0
        assert "standard errors" in signature.text

    def test_normal_overlap_of_two_heads_is_the_normal_probability(self) -> None:
        # One of two heads is kept; the better one stays first with P(N(1, 2) > 0) = Φ(1/√2) = 0.760
        got = normal_overlap(np.array([1.0, 0.0]), np.array([1.0, 1.0]), 1, draws=5_000)
        assert got == pytest.approx(0.760, abs=0.02)


class TestProbe:
    def test_probe_like_its_pool(self, run: Run) -> None:
        sources = ["a", "b"] * 8
        add_detection(run, strong(), sources=sources, pool_sources=sources * 4)
        signature = found(run, "probe-pool")
        assert signature is not None and (signature.severity, signature.number) == ("good", 0.0)

    def test_one_sided_probe_warns_with_the_distance(self, run: Run) -> None:
        add_detection(run, strong(), sources=["a"] * 16, pool_sources=["a", "b", "b", "b"] * 5)
        signature = found(run, "probe-pool")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.75)  # ½(|1 − ¼| + |0 − ¾|)

    def test_pool_of_one_source_or_all_of_it_says_nothing(self, run: Run) -> None:
        add_detection(run, strong(), pool_sources=["a"] * 40)
        assert found(run, "probe-pool") is None
        add_detection(run, strong(), sources=["a", "b"] * 8)
        assert found(run, "probe-pool") is None

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
        signature = found(run, "probe-data")
        assert signature is not None and signature.severity == expected
        assert signature.number == pytest.approx(number)

    def test_overlap_is_counted_by_id(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0] * 4, "id": ["probe0", "probe3", "other", "x"]})
        signature = found(run, "probe-overlap")
        assert signature is not None and (signature.severity, signature.number) == ("warn", 2.0)
        assert "2 of the 16 probe samples" in signature.text and "50 %" in signature.text

    def test_no_overlap_is_good(self, run: Run) -> None:
        add_detection(run, strong())
        add_scores(run, {"variance": [1.0] * 4})
        assert severity(run, "probe-overlap") == "good"


class TestLength:
    def test_by_hand(self, run: Run) -> None:
        # ranks 1..5 against 1, 2, 3, 5, 4: rho = 1 − 6·2/(5·24) = 0.9
        add_scores(run, {"variance": [1, 2, 3, 4, 5.0], "n_tokens": [10, 20, 30, 50, 40]})
        signature = found(run, "length")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.9)
        assert "+0.90" in signature.text and "longer" in signature.text

    def test_shorter_texts_warn_too(self, run: Run) -> None:
        add_scores(run, {"variance": [5, 4, 3, 2, 1.0], "n_tokens": [10, 20, 30, 40, 50]})
        signature = found(run, "length")
        assert signature is not None and "shorter" in signature.text and "−1.00" in signature.text

    def test_unrelated_is_good(self, run: Run) -> None:
        add_scores(run, {"variance": [1, 3, 3, 1.0], "n_tokens": [1, 2, 3, 4]})
        assert severity(run, "length") == "good"

    def test_length_control_turns_the_warning_into_information(self, run: Run) -> None:
        tokens = np.arange(1, 201)
        add_scores(run, {"variance": tokens * 1.0, "n_tokens": tokens})
        select_run(run, SelectionSettings.of(length_control="within-bins"))
        assert severity(run, "length") == "info"

    def test_equal_lengths_or_missing_scores_say_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0, np.nan, np.nan]})
        assert found(run, "length") is None

    def test_large_pools_are_sampled_and_say_so(self) -> None:
        x = RNG(0).normal(size=30_000)
        rank = rank_correlation(x, x + RNG(1).normal(size=30_000), limit=5_000)
        assert rank.sampled and 4_500 < rank.used < 5_500 and rank.rows == 30_000
        assert rank.rho == pytest.approx(0.69, abs=0.03)  # (6/π)·asin(√½/2)


class TestControls:
    def controls(self, spread: float) -> dict[str, np.ndarray]:
        score = RNG(0).lognormal(0, 1, 400)
        columns: dict[str, np.ndarray] = {"variance": score}
        for i in range(3):
            noisy = score * RNG(i + 1).lognormal(0, spread, 400)
            columns[f"control_variance_{i}"] = np.where(np.arange(400) % 2, noisy, np.nan)
        return columns

    @pytest.mark.parametrize(("spread", "expected"), [(0.01, "warn"), (0.5, "info"), (3.0, "good")])
    def test_levels(self, run: Run, spread: float, expected: str) -> None:
        add_scores(run, self.controls(spread))
        signature = found(run, "random-heads")
        assert signature is not None and signature.severity == expected
        assert "3 controls" in signature.text and "200 rows" in signature.text

    def test_the_number_is_the_mean_over_controls(self, run: Run) -> None:
        columns = {"variance": [1.0, 2, 3, 4], "control_variance_0": [1.0, 2, 3, 4]}
        add_scores(run, {**columns, "control_variance_1": [4.0, 3, 2, 1]})
        signature = found(run, "random-heads")
        assert signature is not None and signature.number == pytest.approx(0.0)

    def test_scorers_without_controls_say_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0], "length": [3.0, 4.0]})
        assert found(run, "random-heads") is None
        assert found(run, "random-heads", scorer="length") is None


class TestSoftness:
    def test_near_equal_scores_are_nearly_uniform(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 1.1, 0.9, 1.0]})
        signature = found(run, "uniform-draw")
        # (Σs)²/(N Σs²) = 16/(4 · 4.02)
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(16 / 16.08)

    def test_uneven_scores_steer_the_draw(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 1.0, 1.0, 9.0]})
        signature = found(run, "uniform-draw")
        assert signature is not None and signature.severity == "good"
        assert signature.number == pytest.approx(144 / (4 * 84))
        # expected score of a draw Σs²/Σs = 7 against a mean of 3: 133.3 % above
        assert "133.3 % above" in signature.text

    def test_the_newest_selection_is_what_counts(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(0).lognormal(0, 1, 300)})
        assert severity(run, "uniform-draw") == "good"
        select_run(run, SelectionSettings.of(name="soft", temperature=8))
        signature = found(run, "uniform-draw")
        assert signature is not None and signature.severity == "warn" and "τ = 8" in signature.text
        select_run(run, SelectionSettings.of(name="flat", temperature=float("inf")))
        assert severity(run, "uniform-draw") == "info"

    def test_negative_scores_say_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [-1.0, 1.0]})
        assert found(run, "uniform-draw") is None and found(run, "source-skew") is None


class TestSourceSkew:
    def test_by_hand_without_a_selection(self, run: Run) -> None:
        scores = {"variance": [3.0, 3.0, 1.0, 1.0], "source": ["a", "a", "b", "b"]}
        add_scores(run, scores)
        signature = found(run, "source-skew")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.25)  # from 50 % of the rows to 6/8 of the mass
        assert signature.text.startswith("a gains most: 50 % of the pool, 75 % of the subset")

    def test_even_sources_are_good(self, run: Run) -> None:
        add_scores(run, {"variance": [3.0, 1.0, 3.0, 1.0], "source": ["a", "a", "b", "b"]})
        assert severity(run, "source-skew") == "good"

    def test_a_shift_within_chance_is_no_skew(self, run: Run) -> None:
        sources = np.array(["a", "b", "c"])[RNG(0).integers(0, 3, 120)]
        add_scores(run, {"variance": np.ones(120), "source": sources})
        select_run(run, SelectionSettings.of(count=6, duplicates="keep"))
        signature = found(run, "source-skew")
        assert signature is not None and signature.severity == "good"
        assert signature.number is not None and signature.number >= 0.1  # and yet only 6 rows

    def test_selection_by_stratum_is_information(self, run: Run) -> None:
        sources = np.array(["a"] * 900 + ["b"] * 100)
        add_scores(run, {"variance": np.ones(1000), "source": sources})
        select_run(run, SelectionSettings.of(count=100, stratify="equal", duplicates="keep"))
        assert severity(run, "source-skew") == "info"

    def test_one_source_says_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0]})
        assert found(run, "source-skew") is None


class TestAnyRun:
    def test_an_empty_run_has_none(self, run: Run) -> None:
        assert warnings(run) == []

    def test_detection_alone(self, run: Run) -> None:
        add_detection(run, strong())
        assert {s.key for s in warnings(run)} == {"head-effect", "head-stability"}

    def test_scores_alone(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0, 3.0], "n_tokens": [3, 1, 2]})
        assert {s.key for s in warnings(run)} == {"length", "uniform-draw"}

    def test_every_check_on_a_whole_run(self, tmp_path: Path) -> None:
        path = synthetic.make_run(tmp_path / "whole", synthetic.Shape(contrast=True, racing=True))
        pool = pd.read_parquet(path / "pool.parquet")
        pd.concat([pool, pool.assign(id=pool["id"] + "b")]).to_parquet(path / "pool.parquet")
        signatures = warnings(Run.open(path))
        assert {s.key for s in signatures} == set(CHECKS)
        order = [s.severity for s in signatures]
        assert order == sorted(order, key=("warn", "info", "good").index)

    def test_broken_files_cost_their_own_checks_only(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run"))
        before = {s.key for s in warnings(run)}
        for path in (run.heads_path, run.probe_path):
            path.write_bytes(b"not parquet")
        assert {s.key for s in warnings(run)} == before - {
            "head-effect", "head-stability", "probe-pool", "probe-data", "probe-overlap",
        }  # fmt: skip
        next(run.scores_dir().glob("part-*.parquet")).write_bytes(b"PAR1")
        (run.scores_dir() / "settings.json").write_text("{", encoding="utf-8")
        assert {s.key for s in warnings(run)} <= {"uniform-draw", "source-skew"}
        for selection in run.selections():
            (run.selection_dir(selection) / "selection.json").write_text("[]", encoding="utf-8")
        assert warnings(run) == []

    def test_another_scoring_and_scorer(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "n_tokens": [1, 2, 3]})
        add_scores(run, {"focus": [1.0, 2, 3], "n_tokens": [3, 2, 1]}, name="answers")
        signature = found(run, "length", scoring="answers", scorer="focus")
        assert signature is not None and signature.number == pytest.approx(-1.0)
        assert found(run, "length", scorer="no-such-scorer") is None

    def test_sentences_stand_alone(self, tmp_path: Path) -> None:
        for signature in warnings(Run.open(synthetic.make_run(tmp_path / "run"))):
            assert signature.text[0].isupper() or signature.text.startswith("source_")
            assert signature.text.endswith(".") and "  " not in signature.text
            if "same mix" not in signature.text:
                assert re.search(r"\d", signature.text), "the number stands in the sentence"
            assert signature.page in {"heads", "samples", "sources", "export"}

    def test_many_heads_are_judged_without_the_large_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shape = synthetic.Shape(
            rows=20_000, layers=80, heads=64, probe=50, profiles=0, median_tokens=8
        )
        run = Run.open(synthetic.make_run(tmp_path / "large", shape))
        monkeypatch.delattr(Run, "importance")  # reading it all would take too long
        monkeypatch.setattr("circuitseer_core.correlation.RANKED_ROWS", 5_000)
        began = time.perf_counter()
        signatures = {s.key: s for s in warnings(run)}
        assert time.perf_counter() - began < 5  # a tenth of it on an idle machine
        assert "standard errors" in signatures["head-stability"].text
        assert "of 20,000 rows" in signatures["length"].text

    def test_reads_only_what_a_check_needs(self, tmp_path: Path) -> None:
        facts = Evidence(Run.open(synthetic.make_run(tmp_path / "run")))
        CHECKS["head-effect"](facts)
        assert "scored" not in facts.__dict__


def test_numbers_in_words() -> None:
    assert [percent(x) for x in (0.934, 0.999, 0.0004, 0, 1, -0.12)] == [
        "93 %", "99.9 %", "0.04 %", "0 %", "100 %", "−12 %",
    ]  # fmt: skip
    assert [plain(x) for x in (0.0000213, 1.18, 5912, -0.05, 0)] == [
        "0.000021", "1.2", "5,900", "−0.050", "0",
    ]  # fmt: skip
    assert [signed(x) for x in (0.876, -0.124, 0.001, float("nan"))] == [
        "+0.88", "−0.12", "0.00", "n/a",
    ]  # fmt: skip
    assert (count(1, "row"), count(1400, "row")) == ("1 row", "1,400 rows")
    assert listing(["a"]) == "a" and listing(["a", "b"]) == "a and b"
    assert listing(list("abcdefg"), 3) == "a, b, c and 4 more"
