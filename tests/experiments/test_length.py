"""validate length."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_scores
from tests.support.experiment_tests import RNG, spearman


class TestLength:
    @pytest.fixture
    def frame(self) -> dict[str, Any]:
        rng = RNG(3)
        tokens = rng.integers(10, 90, 120)
        steps = rng.integers(0, 6, 120)
        score = tokens + 20 * steps + rng.normal(0, 5, 120)
        control = np.where(np.arange(120) < 60, tokens + rng.normal(0, 5, 120), np.nan)
        return {
            "variance": score, "control_variance_0": control, "n_tokens": tokens,
            "source": ["a"] * 70 + ["b"] * 50,
            "response": ["".join(f"<<{i}>>" for i in range(k)) for k in steps],
            "original": [json.dumps({"level": f"{k / 2}", "note": "x"}) for k in steps],
            "steps": steps,
        }  # fmt: skip

    def test_table_by_hand(self, run: Run, frame: dict[str, Any]) -> None:
        steps = frame.pop("steps")
        add_scores(run, frame)
        table = EXPERIMENTS["length"].run(run).table.set_index("source")
        assert list(table.index) == ["all", "a", "b"]
        assert table.loc["b", "length"] == pytest.approx(
            spearman(frame["variance"][70:], frame["n_tokens"][70:])
        )
        x, y, z = (stats.rankdata(v) for v in (frame["variance"], steps, frame["n_tokens"]))
        # The partial correlation is that of what is left after regressing both ranks on length.
        left = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
        assert table.loc["all", "reference_at_length"] == pytest.approx(np.corrcoef(*left)[0, 1])
        assert table.loc["all", "reference"] == pytest.approx(spearman(x, y))
        assert table.loc["all", "control"] == pytest.approx(
            spearman(frame["variance"][:60], frame["control_variance_0"][:60])
        )
        assert table.loc["all", "control_length"] == pytest.approx(
            spearman(frame["control_variance_0"][:60], frame["n_tokens"][:60])
        )
        assert np.isnan(table.loc["b", "control_length"])  # no row of b carries a control

    @pytest.mark.parametrize(("slope", "state"), [(1.0, "found"), (0.0, "no evidence")])
    def test_length_that_drives_is_found_and_that_which_does_not_is_not(
        self, run: Run, slope: float, state: str
    ) -> None:
        rng = RNG(5)
        tokens = rng.integers(10, 90, 600)
        add_scores(run, {"variance": slope * tokens + rng.normal(0, 20, 600), "n_tokens": tokens})
        outcome = EXPERIMENTS["length"].run(run).outcome
        assert outcome is not None and outcome.state == state

    def test_several_scorers_beside_controls_are_corrected_and_named(
        self, run: Run, frame: dict[str, Any]
    ) -> None:
        del frame["steps"], frame["source"]
        rng = RNG(1)
        frame["focus"] = frame["variance"] + rng.normal(0, 5, 120)
        for draw in range(20):
            frame[f"control_variance_{draw}"] = frame["n_tokens"] + rng.normal(0, 5, 120)
            frame[f"control_focus_{draw}"] = frame["n_tokens"] + rng.normal(0, 5, 120)
        add_scores(run, frame)
        result = EXPERIMENTS["length"].run(run)
        table = result.table.set_index("scorer")
        assert table["p_reference_at_length"].tolist() == pytest.approx([1 / 21, 1 / 21])
        assert table["p_holm"].tolist() == pytest.approx([2 / 21, 2 / 21])
        assert "p = 0.095" in result.verdict
        assert "corrected for 2 scorers (Holm)" in result.verdict

    def test_references(self, run: Run, frame: dict[str, Any]) -> None:
        steps = frame.pop("steps")
        frame["original"][7] = json.dumps({"level": True})
        frame["response"][9] = None
        add_scores(run, frame)
        length = EXPERIMENTS["length"]
        assert length.run(run).numbers["reference"] == "count of << in the response"
        by_column = length.run(run, column="level")
        known = np.arange(120) != 7
        assert by_column.table["reference"][0] == pytest.approx(
            spearman(frame["variance"][known], steps[known])
        )
        assert "column level" in by_column.verdict
        for name in ("original", "special_mask"):
            with pytest.raises(UserError, match=f"no column '{name}'"):
                length.run(run, column=name)
        counted = length.run(run, count=">>").table["reference"][0]
        assert counted == pytest.approx(
            spearman(np.delete(frame["variance"], 9), np.delete(steps, 9))
        )

    def test_sources_without_worked_steps_are_no_zeros(
        self, run: Run, frame: dict[str, Any]
    ) -> None:
        steps = frame.pop("steps")
        frame["response"][70:] = ["The answer is 7.", "cout << 7;", *["No."] * 48]
        add_scores(run, frame)
        result = EXPERIMENTS["length"].run(run)
        table = result.table.set_index("source")
        first = spearman(frame["variance"][:70], steps[:70])
        assert table.loc["all", "reference"] == pytest.approx(first)
        assert table.loc["a", "reference"] == pytest.approx(first)
        assert np.isnan(table.loc["b", "reference"])
        assert table.loc["all", "rows"] == 120
        assert result.numbers["reference_rows"] == 70
        assert "at fixed length (70 rows)" in result.verdict

    def test_a_mark_asked_for_is_counted_everywhere(self, run: Run, frame: dict[str, Any]) -> None:
        del frame["steps"]
        frame["response"][70:] = ["No."] * 50
        add_scores(run, frame)
        assert EXPERIMENTS["length"].run(run, count="<<").numbers["reference_rows"] == 120

    def test_a_run_column_is_a_reference_too(self, run: Run) -> None:
        add_scores(run, {"variance": [1.0, 2, 3, 4], "n_response_tokens": [4, 3, 2, 1]})
        result = EXPERIMENTS["length"].run(run, column="n_response_tokens")
        assert result.table["reference"][0] == pytest.approx(-1.0)

    def test_unknown_column_names_those_there_are(self, run: Run, frame: dict[str, Any]) -> None:
        del frame["steps"]
        add_scores(run, frame)
        with pytest.raises(UserError, match="no column 'Level'; found: level, note"):
            EXPERIMENTS["length"].run(run, column="Level")
        with pytest.raises(UserError, match="holds no numbers"):
            EXPERIMENTS["length"].run(run, column="note")
        with pytest.raises(UserError, match="count or column"):
            EXPERIMENTS["length"].run(run, column="level", count="x")
