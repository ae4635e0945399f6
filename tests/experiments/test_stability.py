"""validate stability, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.detection.set_overlap import HeadEstimates
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.runs.folder import Run
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores
from tests.support.experiment_tests import RNG


class TestStability:
    def test_bootstrap_of_three_samples_is_the_enumeration(self, run: Run) -> None:
        # Head 0 wins unless sample 2, where head 1 is far ahead, is drawn at least twice: of the 27
        # equally likely draws of 3, those with it twice are 3·2 = 6 and thrice 1.
        delta = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
        add_detection(run, delta, heads_per_layer=2)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 0]])
        result = EXPERIMENTS["stability"].run(run, bootstraps=4000)
        assert result.numbers["bootstrap_overlap"] == pytest.approx(20 / 27, abs=0.025)
        table = result.table.set_index(["layer", "head"])
        assert table.loc[(0, 1), "probability"] == pytest.approx(7 / 27, abs=0.025)
        assert result.numbers["halves"] is None and result.numbers["expected_overlap"] is None
        assert "too few to say" in result.verdict

    def test_halves_by_hand(self, run: Run) -> None:
        # Samples 0 and 1 rank the heads 0 > 1 > 2, samples 2 and 3 the other way round.
        delta = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [1, 2, 3.1]])
        add_detection(run, delta, heads_per_layer=3)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=[[0, 2]])
        estimates = HeadEstimates.of_run(run, "importance")
        rng = RNG(0)
        halves = list(zip(*estimates.splits(rng, 2, 300), strict=True))
        seen = {(round(one[0], 3), round(other[0], 3)) for one, other in halves}
        assert seen == {(3.0, 1.0), (1.0, 3.0), (2.0, 2.0)}  # the pairs of disjoint halves
        np.testing.assert_allclose(estimates.everything(), delta.mean(axis=0))
        for one, other in halves[:5]:
            np.testing.assert_allclose((one + other) / 2, delta.mean(axis=0))

    @pytest.mark.parametrize("own", [1.0, 0.0])
    def test_heads_that_every_sample_names_are_found_and_noise_is_not(
        self, run: Run, own: float
    ) -> None:
        delta = RNG(2).normal(0, 0.2, (40, 40))
        delta[:, :4] += own
        add_detection(run, delta)
        add_scores(run, {"variance": [1.0, 2.0]}, heads=_best(run, 4))
        outcome = EXPERIMENTS["stability"].run(run, bootstraps=50).outcome
        assert outcome is not None
        assert outcome.state == "found" if own else outcome.state in ("no evidence", "inconclusive")

    def test_specificity_is_resampled_as_the_ratio_it_is(self, run: Run) -> None:
        delta, contrast = RNG(0).normal(1, 0.2, (6, 8)), RNG(1).normal(0.5, 0.2, (5, 8))
        add_detection(run, delta, contrast=contrast)
        estimates = HeadEstimates.of_run(run, "specificity")
        wanted = run.heads().set_index(["layer", "head"])["specificity"]
        got = pd.Series(estimates.everything(), index=pd.MultiIndex.from_tuples(estimates.heads))
        np.testing.assert_allclose(got.to_numpy(), wanted.reindex(got.index).to_numpy())
        heads = run.heads().nsmallest(1, "specificity_rank")[["layer", "head"]].to_numpy().tolist()
        add_scores(run, {"variance": [1.0, 2.0]}, heads=heads, rank_by="specificity")
        result = EXPERIMENTS["stability"].run(run, bootstraps=50)
        assert result.numbers["rank_by"] == "specificity" and "specificity" in result.table

    def test_racing_leaves_out_heads_of_part_of_the_probe(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run", synthetic.Shape(racing=True)))
        finalists = int((~run.heads()["raced_out"]).sum())
        result = EXPERIMENTS["stability"].run(run, bootstraps=50)
        chosen = result.numbers["heads"]
        assert result.numbers["chance_overlap"] == pytest.approx(chosen / finalists)

    def test_scoring_anew_is_what_takes_long(self, tmp_path: Path) -> None:
        run = Run.open(synthetic.make_run(tmp_path / "run"))
        stability = EXPERIMENTS["stability"]
        stored, anew, more = (
            stability.estimated_seconds(run, rescore=rows) for rows in (0, 100, 10_000)
        )
        assert stored is not None and anew is not None and more is not None
        assert stored < 6 and anew > stored + 15, "the model is loaded"
        assert more > anew
        assert stability.estimated_seconds(run, bootstraps=100_000) > stored


def _best(run: Run, count: int) -> list[list[int]]:
    return run.heads().nsmallest(count, "rank")[["layer", "head"]].to_numpy().tolist()
