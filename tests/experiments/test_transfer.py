"""Agreement of two models is found where it is planted, and not where both only follow length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import percent
from tests.support.crafted_run import add_scores, bare_run
from tests.support.experiment_tests import RNG, spearman
from tests.support.records import edit_run

N = 900


def _compared(tmp_path: Path, common: float, **options: float | str) -> ExperimentResult:
    """Two runs whose scores follow length, and have ``common`` of one latent quality."""
    rng = RNG(0)
    length, latent = rng.integers(20, 200, N), rng.normal(size=N)
    runs = []
    for name, size in (("small", 1e6), ("large", 1e9)):
        run = bare_run(tmp_path / name)
        edit_run(run, model=run.model.to_json() | {"parameters": size, "weights_hash": name})
        score = length / 50 + common * latent + rng.normal(0, 0.5, N)
        source = np.where(np.arange(N) % 3 == 0, "aqua", "gsm")
        add_scores(run, {"variance": np.exp(score), "n_tokens": length, "source": source})
        runs.append(run)
    return EXPERIMENTS["transfer"].run(
        runs[0], other=str(runs[1].path), bootstraps=60, seeds=6, **options
    )


class TestVerdict:
    def test_a_common_quality_is_found(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7)
        assert result.outcome is not None and result.outcome.state == "found"
        numbers = result.numbers
        assert numbers["beyond_floor"][1] > 0
        corrected = numbers["beyond_floor"][0] / (1 - numbers["floor"])
        assert numbers["corrected"] == pytest.approx(corrected)
        assert f"of what that leaves {percent(corrected, 1)}" in result.verdict
        assert "the smaller model (small/default" in result.verdict
        by_source = result.table[result.table["kind"] == "source"]
        assert sorted(by_source["rows_of"]) == ["aqua", "gsm"]
        assert drawn(result.plots[0], result.table, LIGHT) is not None

    def test_length_alone_is_no_evidence(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.0)
        assert result.numbers["spearman"][0] > 0.5
        assert result.outcome is not None and result.outcome.state == "no evidence"
        assert "no evidence that they agree beyond what length" in result.verdict

    def test_numbers_are_those_of_the_matched_rows(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7, temperature=0)
        one, other = (Run.open(tmp_path / name).scores()["variance"] for name in ("small", "large"))
        assert result.numbers["spearman"][0] == pytest.approx(spearman(one, other))
        tops = [set(values.nlargest(90).index) for values in (one, other)]
        assert result.numbers["overlap_top"] == pytest.approx(len(tops[0] & tops[1]) / 90)


def test_two_scorings_of_one_run(run: Run) -> None:
    rng = RNG(1)
    with pytest.raises(UserError, match="nothing to compare with: give other=RUN"):
        add_scores(run, {"variance": rng.random(50)})
        EXPERIMENTS["transfer"].run(run)
    add_scores(run, {"variance": rng.random(50)}, name="response")
    result = EXPERIMENTS["transfer"].run(run, bootstraps=50, seeds=2)
    assert "Both scorings are of one model" in result.verdict
