"""validate random-heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import percent
from tests.support.crafted_run import add_scores
from tests.support.experiment_tests import RNG, spearman


class TestRandomHeads:
    def frame(self) -> dict[str, np.ndarray]:
        score = RNG(0).lognormal(0, 1, 400)
        return {
            "variance": score,
            "control_variance_0": score**2,  # the same order
            "control_variance_1": score[::-1].copy(),  # an unrelated order
        }

    def test_by_hand(self, run: Run) -> None:
        columns = self.frame()
        add_scores(run, columns)
        result = EXPERIMENTS["random-heads"].run(run, seed=5)
        table = result.table.set_index("control")
        assert table.loc[0, "spearman"] == pytest.approx(1.0)
        assert table.loc[0, "overlap_top"] == 1.0
        assert table.loc[1, "spearman"] == pytest.approx(
            spearman(columns["variance"], columns["control_variance_1"])
        )
        noise = to_gumbels(draw_hashes([f"gsm/{i}" for i in range(400)], 5))
        top_own = set(np.argsort(-(np.log(columns["variance"]) + noise))[:40])
        top_control = set(np.argsort(-(np.log(columns["control_variance_1"]) + noise))[:40])
        assert table.loc[1, "overlap_soft"] == pytest.approx(len(top_own & top_control) / 40)
        assert result.numbers["scorers"]["variance"]["spearman_among_controls"] == pytest.approx(
            spearman(columns["control_variance_0"], columns["control_variance_1"])
        )

    def test_the_soft_subset_is_the_one_that_select_draws(self, run: Run) -> None:
        from circuitseer_core.selection.overlap import drawn

        columns = self.frame()
        add_scores(run, columns)
        select_run(run, SelectionSettings.of(seed=2, duplicates="keep"))
        noise = to_gumbels(draw_hashes([f"gsm/{i}" for i in range(400)], 2))
        rows = drawn(columns["variance"], noise, 1.0, 40)
        assert run.selection_ids("default")["id"].tolist() == [f"gsm/{i}" for i in rows]

    def test_heads_like_any_other_are_called_so(self, run: Run) -> None:
        columns = self.frame()
        add_scores(run, dict.fromkeys(columns, columns["variance"]))
        verdict = EXPERIMENTS["random-heads"].run(run).verdict
        assert "that the reasoning heads stand out is not shown" in verdict

    def sets(self, *, own: float, scorers: tuple[str, ...] = ("variance",)) -> dict[str, Any]:
        """Twelve random sets and the chosen heads, all of one common part; ``own`` of the chosen
        ones' score is their own."""
        rng = RNG(1)
        columns = {}
        for scorer in scorers:
            common = rng.normal(size=500)
            columns[scorer] = np.exp(common + rng.normal(0, 0.3, 500) + own * rng.normal(size=500))
            for draw in range(12):
                noise = rng.normal(0, 0.3, 500)
                columns[f"control_{scorer}_{draw}"] = np.exp(common + noise)
        return columns

    def test_heads_that_stand_apart_are_found_and_others_are_not(self, run: Run) -> None:
        add_scores(run, self.sets(own=0.6))
        apart = EXPERIMENTS["random-heads"].run(run)
        assert apart.outcome is not None and apart.outcome.state == "found"
        assert "stand apart from random sets in variance." in apart.verdict
        assert "is not shown" not in apart.verdict, "nor the contrary, however small the gap"
        add_scores(run, self.sets(own=0.0))
        alike = EXPERIMENTS["random-heads"].run(run)
        assert alike.outcome is not None and alike.outcome.state == "no evidence"
        assert "No evidence that the reasoning heads stand apart" in alike.verdict

    def test_several_scores_are_corrected_and_named(self, run: Run) -> None:
        both = self.sets(own=0.6, scorers=("variance", "focus"))
        add_scores(run, both)
        result = EXPERIMENTS["random-heads"].run(run)
        assert result.outcome is not None
        assert (result.outcome.comparisons, result.outcome.correction) == (2, "Holm")
        assert "in variance and focus (Holm over 2 scores)." in result.verdict
        decisions = [c["apart"] for c in result.numbers["scorers"].values()]
        assert all(one["p_holm"] > one["p"] for one in sorted(decisions, key=lambda d: d["p"])[:1])

    def test_means_over_draws_have_intervals(self, run: Run) -> None:
        add_scores(run, self.sets(own=0.3))
        result = EXPERIMENTS["random-heads"].run(run)
        variance = result.numbers["scorers"]["variance"]
        shares = result.table["overlap_soft"]
        half = stats.t.ppf(0.975, 11) * shares.std(ddof=1) / 12**0.5
        low, high = variance["overlap_soft_interval"]
        assert (low, high) == pytest.approx((shares.mean() - half, shares.mean() + half))
        assert f"({percent(low)} to {percent(high)} over draws)" in result.verdict
        floor = variance["overlap_soft_floor"]["permuted"]
        beyond = (shares.mean() - floor) / (1 - floor)
        assert variance["overlap_soft_beyond_floor"] == pytest.approx(beyond)
        assert f"of what permuted scores leave {percent(beyond)}" in result.verdict

    def test_without_controls(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2.0, 3.0]})
        with pytest.raises(UserError, match="no random-head controls"):
            EXPERIMENTS["random-heads"].run(run)
