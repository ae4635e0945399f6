"""Complexity is found where it is planted, and not where only length, form or any heads are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, complexity, saved_results
from circuitseer_core.experiments.complexity_words import answers
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_records import ProgressRecord
from tests.support.crafted_run import add_scores
from tests.support.experiment_tests import RNG

N = 900


def _run(run: Run, *, steps: float, of_controls: float, operators: float = 0.0) -> Run:
    """Scores of length and noise, with so much of the worked steps in them and in the controls."""
    rng = RNG(0)
    length = rng.integers(20, 200, N)
    worked = rng.integers(0, 9, N)
    signs = np.clip(worked + rng.integers(-1, 2, N), 0, None)  # the question shows its steps

    def score(share: float) -> np.ndarray:
        return 5 + length / 60 + share * worked + operators * signs + rng.normal(0, 0.5, N)

    columns: dict[str, Any] = {
        "variance": score(steps),
        "n_tokens": length,
        "n_response_tokens": rng.integers(5, 50, N),
        "prompt": ["word " * int(n) + "+ " * int(k) for n, k in zip(length, signs, strict=True)],
        "response": ["<<1+1=2>>" * int(k) for k in worked],
        "original": [json.dumps({"level": f"Level {k}"}) for k in worked],
    }
    columns |= {f"control_variance_{i}": score(of_controls) for i in range(20)}
    add_scores(run, columns)
    return run


def _result(run: Run, **planted: float) -> ExperimentResult:
    return EXPERIMENTS["complexity"].run(_run(run, **planted), bootstraps=60)


def _states(result: ExperimentResult) -> list[str]:
    return [one.state for one in answers(result.numbers).values()]


class TestVerdict:
    def test_a_planted_effect_is_found(self, run: Run) -> None:
        result = _result(run, steps=0.6, of_controls=0.0)
        assert _states(result) == ["found"] * 3
        assert result.outcome is not None and result.outcome.state == "found"
        assert result.numbers["reference"] == "worked steps"
        assert result.numbers["draws_reaching"] == 0
        assert "It carries more than length" in result.verdict
        assert saved_results(run)[0].outcome == result.outcome

    def test_length_alone_is_no_evidence(self, run: Run) -> None:
        result = _result(run, steps=0.0, of_controls=0.0)
        assert result.outcome is not None and result.outcome.state == "no evidence"
        assert "No evidence that it carries more than length" in result.verdict
        assert result.numbers["made_of"]["length"][0] > 0.6

    def test_any_heads_are_no_evidence_of_these(self, run: Run) -> None:
        result = _result(run, steps=0.6, of_controls=0.6)
        assert _states(result)[0] == "found"
        assert _states(result)[2] == "no evidence"
        assert result.outcome is not None and result.outcome.state == "no evidence"

    @pytest.mark.parametrize(
        ("draws", "reaching", "state"),
        [(3, 0, "inconclusive"), (20, 0, "found"), (20, 1, "no evidence")],
    )
    def test_random_heads_are_passed_by_rank_too(
        self, draws: int, reaching: int, state: str
    ) -> None:
        """Any set is above the mean of random ones every second time."""
        above = [0.04, 0.01, 0.06]
        numbers = {"scorer": "focus", "reference": "level", "correction": "Bonferroni",
                   "beyond_length": above, "beyond_surface": above, "beyond_random_heads": above,
                   "draws": draws, "draws_reaching": reaching}  # fmt: skip
        assert answers(numbers)["beyond_random_heads"].state == state

    def test_what_the_surface_shows_is_no_evidence_beyond_it(self, run: Run) -> None:
        result = _result(run, steps=0.0, of_controls=0.0, operators=0.6)
        assert _states(result)[:2] == ["found", "no evidence"]

    def test_numbers_alone_leave_questions_open(self, run: Run) -> None:
        rng = RNG(1)
        columns = {"variance": rng.random(90), "n_tokens": rng.integers(5, 50, 90),
                   "n_response_tokens": rng.integers(5, 50, 90)}  # fmt: skip
        add_scores(run, columns)
        result = EXPERIMENTS["complexity"].run(run, bootstraps=50)
        assert result.numbers["reference"] == "response tokens"
        assert "more than surface is not known: the texts are not at hand" in result.verdict
        assert "no random-head controls" in result.verdict
        complexity.run(run, bootstraps=50)
        progress = ProgressRecord.read(run.progress_path)
        assert progress.stage == "complexity" and progress.done == progress.total == 2


def test_the_figures_follow_from_what_is_kept(run: Run) -> None:
    result = _result(run, steps=0.3, of_controls=0.1)
    assert all(drawn(plot, result.table, LIGHT) is not None for plot in result.plots)


def test_other_references_and_bad_names(run: Run) -> None:
    _run(run, steps=0.3, of_controls=0.0)
    level = EXPERIMENTS["complexity"].run(run, bootstraps=50, reference="level", rows=200)
    assert level.numbers["reference"] == "column level"
    assert level.numbers["rows"] == 200
    with pytest.raises(UserError, match="no reference 'grade' here; there are: worked steps"):
        EXPERIMENTS["complexity"].run(run, reference="grade")
    with pytest.raises(UserError, match="no scorer 'gut'"):
        EXPERIMENTS["complexity"].run(run, scorer="gut")


def test_nothing_to_hold_against(tmp_path: Path, run: Run) -> None:
    add_scores(run, {"variance": np.arange(40.0), "n_tokens": np.arange(40)})
    with pytest.raises(UserError, match="nothing to hold the scores against"):
        EXPERIMENTS["complexity"].run(run)
