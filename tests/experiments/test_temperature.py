"""validate temperature."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.experiments import EXPERIMENTS, saved_results
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.crafted_run import add_scores
from tests.support.experiment_tests import RNG


class TestTemperature:
    def test_ends_of_the_dial(self, run: Run) -> None:
        score = RNG(0).lognormal(0, 1, 300)
        add_scores(run, {"variance": score, "source": ["a", "b", "c"] * 100})
        table = EXPERIMENTS["temperature"].run(run).table.set_index("temperature")
        assert list(table["ess_share"]) == sorted(table["ess_share"])
        top = np.sort(score)[::-1][:30]
        assert table.loc[0.0, "lift"] == pytest.approx(top.mean() / score.mean() - 1)
        assert table.loc[0.0, ["overlap_top", "overlap_other_seed"]].tolist() == [1.0, 1.0]
        assert table.loc[1.0, "ess_share"] == pytest.approx(
            score.sum() ** 2 / (score**2).sum() / 300
        )
        assert table.loc[np.inf, "ess_share"] == pytest.approx(1.0)
        assert table.loc[np.inf, ["overlap_uniform", "overlap_other_seed"]].max() < 0.35
        # Ten uniform draws of 30 rows: their lift is chance, and its spread is that of a mean.
        chance = score.std() / score.mean() * np.sqrt((1 - 30 / 300) / 30)
        assert table.loc[np.inf, "lift_sd"] == pytest.approx(chance, rel=0.6)
        assert abs(table.loc[np.inf, "lift"]) < 3 * chance / np.sqrt(10)
        assert abs(table.loc[np.inf, "lift"]) < abs(table.loc[0.0, "lift"]) / 5

    def test_a_draw_is_the_selection_of_the_same_settings(self, run: Run) -> None:
        add_scores(run, {"variance": RNG(0).lognormal(0, 1, 300), "source": ["a", "b", "c"] * 100})
        written = select_run(run, SelectionSettings.of(temperature=0.5, fraction=0.2, seed=4))
        result = EXPERIMENTS["temperature"].run(
            run, temperatures="0.5", fraction=0.2, seed=4, seeds=1
        )
        (line,) = result.table.to_dict("records")
        diagnostics = written.diagnostics
        assert line["lift"] == pytest.approx(diagnostics.score.lift)
        assert np.isnan(line["lift_sd"])
        assert line["ess_share"] == pytest.approx(diagnostics.ess_share)
        assert line["overlap_top"] == pytest.approx(diagnostics.overlap.top_k)
        shift = sum(abs(s.share - s.pool_share) for s in diagnostics.sources) / 2
        assert line["source_shift"] == pytest.approx(shift)

    def test_options_from_a_command_line(self, run: Run) -> None:
        add_scores(run, {"focus": RNG(0).lognormal(0, 1, 100)})
        result = EXPERIMENTS["temperature"].run(run, temperatures="0, 1 inf", scorer="focus")
        assert result.table["temperature"].tolist() == [0.0, 1.0, np.inf]
        assert set(saved_results(run)[0].numbers["by_temperature"]) == {"0", "1", "inf"}
