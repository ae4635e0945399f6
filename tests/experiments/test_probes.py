"""Real runs compared: probes of one population agree, of two they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.detection.set_overlap import HeadEstimates, expected_overlap
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_detection, add_scores, bare_run
from tests.support.experiment_tests import RNG
from tests.support.records import edit_run


def _run(path: Path, first: int, seed: int) -> Run:
    """32 samples to which the heads from ``first`` on matter, and 60 scored rows."""
    run = bare_run(path)
    delta = RNG(seed).normal(0, 0.4, (32, 80))
    delta[:, first : first + 4] += 1.0
    add_detection(run, delta)
    add_scores(run, {"variance": np.exp(RNG(3).normal(size=60)) + 0.01 * seed})
    return run


class TestVerdict:
    def test_another_population_is_found(self, tmp_path: Path) -> None:
        one, other = _run(tmp_path / "a", 0, 1), _run(tmp_path / "b", 40, 2)
        result = EXPERIMENTS["probes"].run(one, others=str(other.path))
        (pair,) = result.numbers["pairs"]
        assert pair["overlap"] == 0.0
        assert pair["expected_low"] > 0.5
        assert result.outcome is not None and result.outcome.state == "found"
        assert pair["common_samples"] == 32  # the crafted ids are the same
        assert "32 samples stand in both probes" in result.verdict

    def test_the_same_population_is_no_evidence(self, tmp_path: Path) -> None:
        runs = [_run(tmp_path / name, 0, seed) for seed, name in enumerate("abc")]
        result = EXPERIMENTS["probes"].run(runs[0], others=f"{runs[1].path},{runs[2].path}")
        pairs = pd.DataFrame(result.numbers["pairs"])
        assert len(pairs) == 3
        assert drawn(result.plots[0], result.table, LIGHT) is not None
        assert result.outcome is not None and result.outcome.state == "no evidence"
        assert (pairs["scores_spearman"] > 0.99).all()
        assert (pairs["overlap_soft"] > pairs["floor"]).all()


def test_the_yardstick_is_of_as_many_samples_as_the_smaller_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raced map has none of its own: the exact one's is read off at the raced probe's size."""
    runs = [_run(tmp_path / name, 0, seed) for seed, name in enumerate("ab")]
    delta = RNG(5).normal(0, 1.2, (32, 80)) + np.linspace(1.0, 0.0, 80)
    heads = [(0, head) for head in range(80)]
    exact = HeadEstimates([(delta, np.ones(32))], heads)
    raced = HeadEstimates([(delta[:10, :8], np.ones(10))], heads[:8], raced=True)
    of = {runs[0].path: exact, runs[1].path: raced}
    monkeypatch.setattr(HeadEstimates, "of_run", lambda run: of[run.path])
    (pair,) = EXPERIMENTS["probes"].run(runs[0], others=str(runs[1].path)).numbers["pairs"]
    whole = expected_overlap(exact, pair["heads"])
    assert whole is not None and pair["expected_of"] == 10
    assert pair["expected"] < whole.expected - 0.05


def test_every_run_has_its_scoring(tmp_path: Path) -> None:
    one, other = _run(tmp_path / "a", 0, 1), _run(tmp_path / "b", 0, 2)
    add_scores(other, {"variance": np.arange(60.0)}, name="pool")
    (pair,) = (
        EXPERIMENTS["probes"].run(one, others=str(other.path), other_scores="pool").numbers["pairs"]
    )
    assert abs(pair["scores_spearman"]) < 0.5, "not its default, which agrees"
    with pytest.raises(UserError, match="other_scores names 2 scorings for 1 other run"):
        EXPERIMENTS["probes"].run(one, others=str(other.path), other_scores="pool,default")


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    one, other = _run(tmp_path / "a", 0, 1), _run(tmp_path / "b", 0, 2)
    with pytest.raises(UserError, match="nothing to compare with: give --runs A B"):
        EXPERIMENTS["probes"].run(one)
    edit_run(other, model=other.model.to_json() | {"weights_hash": "other"})
    with pytest.raises(UserError, match="of different models"):
        EXPERIMENTS["probes"].run(one, others=str(other.path))
