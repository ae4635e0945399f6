"""Failure signatures of scores and draws."""

from __future__ import annotations

import json

import numpy as np
import pytest

from circuitseer_core import limits
from circuitseer_core.correlation import rank_correlation
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.crafted_run import add_scores
from tests.support.signature_tests import RNG, severity, signature_of


class TestLength:
    def test_by_hand(self, run: Run) -> None:
        # ranks 1..5 against 1, 2, 3, 5, 4: rho = 1 − 6·2/(5·24) = 0.9
        add_scores(run, {"variance": [1, 2, 3, 4, 5.0], "n_tokens": [10, 20, 30, 50, 40]})
        signature = signature_of(run, "length")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.9)
        assert "+0.90" in signature.text and "longer" in signature.text

    def test_shorter_texts_warn_too(self, run: Run) -> None:
        add_scores(run, {"variance": [5, 4, 3, 2, 1.0], "n_tokens": [10, 20, 30, 40, 50]})
        signature = signature_of(run, "length")
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
        assert signature_of(run, "length") is None

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
        signature = signature_of(run, "random-heads")
        assert signature is not None and signature.severity == expected
        assert "mean of 3 draws, 95 % interval" in signature.text and "200 rows" in signature.text

    def test_the_number_is_the_mean_over_controls(self, run: Run) -> None:
        columns = {"variance": [1.0, 2, 3, 4], "control_variance_0": [1.0, 2, 3, 4]}
        add_scores(run, {**columns, "control_variance_1": [4.0, 3, 2, 1]})
        signature = signature_of(run, "random-heads")
        assert signature is not None and signature.number == pytest.approx(0.0)

    def test_scorers_without_controls_say_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0], "length": [3.0, 4.0]})
        assert signature_of(run, "random-heads") is None
        assert signature_of(run, "random-heads", scorer="length") is None


class TestSoftness:
    def test_near_equal_scores_are_nearly_uniform(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 1.1, 0.9, 1.0]})
        signature = signature_of(run, "uniform-draw")
        # The best of four has 1.1 of 4 of the chances, where one of four is 1/4 by chance.
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx((1.1 / 4 - 0.25) / 0.75)
        assert "99.5 % of the rows" in signature.text  # (Σs)²/(N Σs²) = 16/(4 · 4.02)

    def test_uneven_scores_steer_the_draw(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 1.0, 1.0, 9.0]})
        signature = signature_of(run, "uniform-draw")
        assert signature is not None and signature.severity == "good"
        assert signature.number == pytest.approx((9 / 12 - 0.25) / 0.75)
        # expected score of a draw Σs²/Σs = 7 against a mean of 3: 133.3 % above
        assert "133.3 % above" in signature.text

    def test_uneven_chances_that_miss_the_top_scores_hardly_steer(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(1).lognormal(0, 0.35, 2000)})
        signature = signature_of(run, "uniform-draw")  # ESS 88 %, yet 8 % of the way to top-k
        assert signature is not None and signature.severity == "warn"
        assert signature.number is not None and 0 < signature.number < limits.STEERED + 0.05
        select_run(run, SelectionSettings.of(name="soft"))
        drawn = run.selection("soft").diagnostics
        signature = signature_of(run, "uniform-draw")
        assert drawn is not None and signature is not None
        wanted = limits.beyond_chance(drawn.overlap.top_k, drawn.overlap.random_expected)
        assert signature.number == pytest.approx(wanted)
        assert "Draws of other seeds share" in signature.text

    def test_the_newest_selection_is_what_counts(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(0).lognormal(0, 1, 300)})
        assert severity(run, "uniform-draw") == "good"
        select_run(run, SelectionSettings.of(name="soft", temperature=8))
        signature = signature_of(run, "uniform-draw")
        assert signature is not None and signature.severity == "warn" and "τ = 8" in signature.text
        select_run(run, SelectionSettings.of(name="flat", temperature=float("inf")))
        assert severity(run, "uniform-draw") == "info"

    def test_a_draw_of_the_lowest_scores_is_held_against_these(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(0).lognormal(0, 1, 300)})
        select_run(run, SelectionSettings.of(name="low", temperature=8, lowest=True))
        assert "among the lowest-scored rows" in signature_of(run, "uniform-draw").text

    def test_a_draw_of_every_row_is_no_matter_of_temperature(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 1.1, 0.9, 1.0]})
        select_run(run, SelectionSettings.of(name="all", fraction=1.0))
        signature = signature_of(run, "uniform-draw")
        assert signature is not None and signature.severity == "info"
        assert "every row" in signature.title and "temperature" not in signature.text

    def test_negative_scores_say_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [-1.0, 1.0]})
        assert (
            signature_of(run, "uniform-draw") is None and signature_of(run, "source-skew") is None
        )


class TestSourceSkew:
    def test_by_hand_without_a_selection(self, run: Run) -> None:
        scores = {"variance": [3.0, 3.0, 1.0, 1.0], "source": ["a", "a", "b", "b"]}
        add_scores(run, scores)
        signature = signature_of(run, "source-skew")
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
        signature = signature_of(run, "source-skew")
        assert signature is not None and signature.severity == "good"
        assert signature.number is not None and signature.number >= 0.1  # and yet only 6 rows

    def test_selection_by_stratum_is_information(self, run: Run) -> None:
        sources = np.array(["a"] * 900 + ["b"] * 100)
        add_scores(run, {"variance": np.ones(1000), "source": sources})
        select_run(run, SelectionSettings.of(count=100, stratify="equal", duplicates="keep"))
        assert severity(run, "source-skew") == "info"

    def test_equal_shares_of_another_column_even_out_no_sources(self, run: Run) -> None:
        sources = np.array(["a"] * 900 + ["b"] * 100)
        levels = [json.dumps({"level": int(s == "b")}) for s in sources]
        texts = {"prompt": "2 + 2?", "response": "4", "original": levels}
        columns = {"variance": np.ones(1000), "source": sources} | texts
        add_scores(run, columns)
        select_run(run, SelectionSettings.of(count=100, stratify="equal", stratify_by="level",
                                             duplicates="keep"))  # fmt: skip
        signature = signature_of(run, "source-skew")
        assert signature is not None and signature.severity == "warn"
        assert "asked for" not in signature.text

    def test_one_source_says_nothing(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0]})
        assert signature_of(run, "source-skew") is None


class TestSink:
    def test_a_score_of_the_first_token_warns(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "sink_share": [0.9, 0.95, 0.97]})
        signature = signature_of(run, "sink")
        assert signature is not None and signature.severity == "warn"
        assert signature.number == pytest.approx(0.95)
        assert "median sample the first token makes 95 % of variance" in signature.text

    def test_a_score_of_the_other_tokens_is_good(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3], "sink_share": [0.1, 0.2, np.nan]})
        assert severity(run, "sink") == "good"

    def test_scorers_without_the_first_token_and_old_scorings_say_nothing(self, run: Run) -> None:
        add_scores(run, {"focus": [1.0, 2], "variance": [1.0, 2], "sink_share": [0.9, 0.9]})
        assert signature_of(run, "sink", scorer="focus") is None
        add_scores(run, {"variance": [1.0, 2.0]})
        assert signature_of(run, "sink") is None
