"""A phrasing that moves the map of the heads is found; one that only adds noise is not."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments import rephrasings as module
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import percent, signed
from tests.support.crafted_run import add_detection, add_scores, bare_run
from tests.support.experiment_tests import RNG, spearman

HEADS = 60


def _run(path: Path, delta: np.ndarray) -> Run:
    run = bare_run(path)
    add_detection(run, delta)
    return run


def _problems(n: int = 24) -> np.ndarray:
    """(n, HEADS): heads of very different importance, on problems that differ as much."""
    return np.linspace(1.0, 0.0, HEADS) * RNG(1).uniform(0.2, 3.0, (n, 1))


def _phrased(problems: np.ndarray, moved: float, seed: int) -> np.ndarray:
    """With noise of each phrasing's own; the ten heads in the middle matter by so much more."""
    delta = problems + RNG(seed).normal(0, 0.2, problems.shape)
    delta[:, 25:35] += moved
    return delta


def _compared(tmp_path: Path, *moved: float) -> ExperimentResult:
    problems = _problems()
    runs = [
        _run(tmp_path / "abc"[i], _phrased(problems, by, seed=i + 2)) for i, by in enumerate(moved)
    ]
    others = ",".join(str(run.path) for run in runs[1:])
    return EXPERIMENTS["probes"].run(runs[0], others=others, rephrased="true")


class TestVerdict:
    def test_a_phrasing_that_moves_the_heads_is_found(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.0, 1.5)
        (pair,) = result.numbers["pairs"]
        assert pair["problems"] == 24 and pair["low"] > 0 and pair["p"] < 0.01
        assert result.outcome is not None and result.outcome.state == "found"
        assert result.verdict.startswith("The phrasing changes the map of the heads beyond")
        assert f"(fall {signed(pair['fall'])}, 95 % interval {signed(pair['low'])} to" in (
            result.verdict
        )
        assert f"{percent(pair['overlap'])} of the 3 best heads in common" in result.verdict
        assert result.name == "probes-rephrased-b", "beside the result of independent probes"
        assert all(drawn(plot, result.table, LIGHT) is not None for plot in result.plots)

    def test_noise_is_no_evidence(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.0, 0.0)
        (pair,) = result.numbers["pairs"]
        assert pair["low"] < 0 < pair["high"] and pair["p"] > 0.05
        assert result.outcome is not None and result.outcome.state == "no evidence"
        assert "No evidence that the phrasing changes" in result.verdict

    def test_noise_that_drowns_the_map_is_inconclusive(self, tmp_path: Path) -> None:
        noise = RNG(0).normal(size=(2, 24, HEADS))
        runs = [_run(tmp_path / n, of) for n, of in zip("ab", noise, strict=True)]
        result = EXPERIMENTS["probes"].run(runs[0], others=str(runs[1].path), rephrased=True)
        assert result.outcome is not None and result.outcome.state == "inconclusive"
        assert "Whether the phrasing changes the map of the heads is open" in result.verdict

    def test_pairs_are_corrected_for_their_number(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.0, 0.0, 1.5)
        pairs = pd.DataFrame(result.numbers["pairs"]).set_index("pair")
        alone = module.swapped_pair(Run.open(tmp_path / "a"), Run.open(tmp_path / "b"), 3, 1, 0)
        assert len(pairs) == 3
        assert pairs.loc["a / b", "high"] - pairs.loc["a / b", "low"] > alone["high"] - alone["low"]
        assert pairs.loc["a / b", "p"] == pytest.approx(min(1, 3 * alone["p"]))
        assert result.outcome is not None and result.outcome.state == "found"
        assert "Bonferroni over 3 pairs" in result.verdict


def test_independent_probes_are_another_yardstick(tmp_path: Path) -> None:
    """By that nothing is found: both choose the same best heads, as far as luck goes."""
    _compared(tmp_path, 0.0, -0.8)
    runs = [Run.open(tmp_path / name) for name in "ab"]
    states = []
    for rephrased in (False, True):
        options = {"others": str(runs[1].path), "heads": 20, "rephrased": rephrased}
        of = EXPERIMENTS["probes"].run(runs[0], **options)
        assert of.outcome is not None
        states.append(of.outcome.state)
    assert states[0] != "found" and states[1] == "found"


def test_swaps_are_the_enumeration() -> None:
    """Of two problems: as they are, both swapped (the same again), or one of them."""
    one, other = RNG(0).normal(size=(2, 2, 9))
    got = module._swapped(one, other, 3, seed=0)
    wanted = {}
    for swaps in product([False, True], repeat=2):
        turn = np.array(swaps)[:, None]
        left, right = np.where(turn, other, one), np.where(turn, one, other)
        wanted[swaps] = spearman(left.mean(axis=0), right.mean(axis=0))
    assert set(np.round(got[:, 0], 9)) == set(np.round(list(wanted.values()), 9))
    assert got[:, 0].mean() == pytest.approx(np.mean(list(wanted.values())), abs=0.02)


class TestMatching:
    def test_by_what_stands_behind_the_source(self, tmp_path: Path) -> None:
        """Two files are two sources, which stand in the ids."""
        problems = _problems()
        runs = [_run(tmp_path / n, _phrased(problems, 0.0, i)) for i, n in enumerate("ab")]
        for run, source, backwards in zip(runs, ("plain", "other"), (False, True), strict=True):
            _rename(run, source, backwards)
        first, second, same = module._matched(*runs)
        np.testing.assert_allclose(first.mean(axis=1), second.mean(axis=1), atol=0.2)
        assert np.ptp(first.mean(axis=1)) > 0.5, "rows that do not belong together would be far off"
        assert (len(first), same) == (24, 24)
        result = EXPERIMENTS["probes"].run(runs[0], others=str(runs[1].path), rephrased=True)
        assert "though 24 of the problems have the same text in both" in result.verdict

    def test_other_problems_are_refused(self, tmp_path: Path) -> None:
        runs = [_run(tmp_path / "a", _problems(24)), _run(tmp_path / "b", _problems(7))]
        with pytest.raises(UserError, match="a and b have 7 problems in common by id, and 8 are"):
            EXPERIMENTS["probes"].run(runs[0], others=str(runs[1].path), rephrased=True)

    def test_heads_that_a_race_left_out_take_no_part(self, tmp_path: Path) -> None:
        runs = [_run(tmp_path / name, _phrased(_problems(), 0.0, i)) for i, name in enumerate("ab")]
        _race(runs[1], 40)
        assert module._matched(*runs)[0].shape == (24, 40)
        _race(runs[1], 2)
        with pytest.raises(UserError, match="a and b have 2 heads that both measured on all"):
            module.swapped_pair(runs[0], runs[1], 3, 1, 0)


def test_scores_are_compared_as_well(tmp_path: Path) -> None:
    problems = _problems()
    runs = [_run(tmp_path / n, _phrased(problems, 0.0, i)) for i, n in enumerate("ab")]
    for run in runs:
        add_scores(run, {"variance": np.exp(RNG(3).normal(size=60))})
    result = EXPERIMENTS["probes"].run(runs[0], others=str(runs[1].path), rephrased=True)
    assert "on 60 rows scored by both Spearman +1.00" in result.verdict


def _rename(run: Run, source: str, backwards: bool) -> None:
    """Ids as data with ids of its own has them; ``backwards``: rows in the other order."""
    for path in (run.probe_path, run.importance_dir / "part-00000.parquet"):
        table = pd.read_parquet(path)
        table["id"] = source + "/" + table["id"]
        if "source" in table:
            table["source"] = source
        table = table.iloc[::-1] if backwards else table
        table.to_parquet(path, index=False)


def _race(run: Run, kept: int) -> None:
    """Leave the heads behind the first ``kept`` with one sample."""
    path = run.importance_dir / "part-00000.parquet"
    table = pd.read_parquet(path)
    cell = table["layer"] * 4 + table["head"]
    table[(cell < kept) | (table["id"] == "probe0")].to_parquet(path, index=False)
