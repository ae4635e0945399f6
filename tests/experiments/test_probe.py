"""Dependence on the probe is found where it is planted and not where all samples say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.experiments.probe_resampling import StoredProbe, halved, partial_probes
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import signed
from tests.support.crafted_run import add_detection, add_scores
from tests.support.experiment_tests import RNG

N, CELLS, HARD = 160, 40, 64


def _result(run: Run, moved: np.ndarray, **options: Any) -> ExperimentResult:
    """Heads 0 to 3 matter to the samples; where ``moved``, heads 4 to 7 matter instead."""
    delta = RNG(0).normal(0, 0.1, (N, CELLS))
    delta[~moved, :4] += 1.0
    delta[moved, 4:8] += 0.8
    return _of(run, delta, **options)


def _of(run: Run, delta: np.ndarray, **options: Any) -> ExperimentResult:
    """Of a probe with these loss changes, two sources, and the first HARD samples of high loss."""
    sources = ["a" if i % 2 else "b" for i in range(N)]
    add_detection(run, delta, sources=sources)
    add_scores(run, {"variance": np.ones(40)}, heads=[[0, 0], [0, 1], [0, 2], [0, 3]])
    probe = pd.read_parquet(run.probe_path)
    probe["base_loss"] = np.where(np.arange(N) < HARD, 2.0, 1.0) + 0.001 * np.arange(N)
    probe.to_parquet(run.probe_path, index=False)
    return EXPERIMENTS["probe"].run(run, bootstraps=20, splits=12, **options)


class TestVerdict:
    def test_hard_samples_with_heads_of_their_own_are_found(self, run: Run) -> None:
        result = _result(run, np.arange(N) < HARD)
        assert result.outcome is not None and result.outcome.state == "found"
        assert "high loss" in result.outcome.measure
        assert result.numbers["gaps"]["high loss"][1] > 0
        assert result.verdict.startswith("The set depends on how the probe is chosen.")
        assert all(drawn(plot, result.table, LIGHT) is not None for plot in result.plots)

    def test_sources_with_heads_of_their_own_are_found(self, run: Run) -> None:
        result = _result(run, np.arange(N) % 2 == 1)
        assert result.numbers["gaps"]["only a"][1] > 0
        assert result.outcome is not None and result.outcome.state == "found"

    def test_samples_that_say_the_same_are_no_evidence(self, run: Run) -> None:
        result = _result(run, np.zeros(N, dtype=bool))
        assert result.outcome is not None and result.outcome.state == "no evidence"
        sizes = result.table[result.table["kind"] == "size"]
        assert sizes["overlap"].iloc[-1] == pytest.approx(1.0)
        assert "No evidence that the set depends" in result.verdict
        for _, low, high in result.numbers["map_gaps"].values():
            assert low < 0 < high

    def test_maps_may_move_where_the_set_stays(self, run: Run) -> None:
        """The best heads are everybody's; the hard samples order the others the other way."""
        others = np.linspace(-0.3, 0.3, CELLS - 4)
        hard = np.arange(N) < HARD
        delta = RNG(0).normal(0, 0.1, (N, CELLS))
        delta[:, :4] += 2.0
        delta[:, 4:] += np.where(hard[:, None], 0.5 * others, -others)
        result = _of(run, delta)
        assert result.numbers["gaps"]["high loss"] == [0.0, 0.0, 0.0]
        estimate, low, _ = result.numbers["map_gaps"]["high loss"]
        assert low > 0
        assert f"their maps, with intervals of the same kind: high loss {signed(estimate)} (" in (
            result.verdict
        )
        row = result.table[result.table["kind"] == "map gap"].set_index("name").loc["high loss"]
        assert row["random"] - row["spearman"] == pytest.approx(row["gap"])
        assert result.outcome is not None and result.outcome.state == "no evidence"


def test_a_small_probe_is_refused(run: Run) -> None:
    add_detection(run, RNG(0).normal(size=(6, CELLS)))
    with pytest.raises(UserError, match="has 6 samples, and 8 are needed"):
        EXPERIMENTS["probe"].run(run)


def test_rules_choose_what_they_say() -> None:
    rng = RNG(0)
    clean = np.array([1.0, 5, 2, 4, 3, 0])
    source = np.array([0, 0, 0, 0, 1, 1])
    probe = StoredProbe(np.eye(6), clean, source, ("a", "b"), 2)
    rules = probe.rules()
    assert set(rules["high loss"](np.arange(6), 2, rng)) == {1, 3}
    assert sorted(source[rules["stratified"](np.arange(6), 4, rng)]) == [0, 0, 1, 1]
    assert set(probe.best(np.array([4, 5]))) == {4, 5}
    one, other = halved(np.array([1, 1, 2, 2, 3, 4]), rng)
    assert not set(one) & set(other)
    assert sorted([*one, *other]) == [1, 1, 2, 2, 3, 4]


def test_partial_probes_are_of_one_size_and_differ() -> None:
    clean, source = RNG(0).random(40), np.repeat([0, 1, 2], [28, 8, 4])
    probe = StoredProbe(np.eye(40), clean, source, ("a", "b", "c"), 2)
    parts = partial_probes(probe, 5, RNG(1))
    assert set(parts) == {"random", "high loss", "stratified", "only a", "only b"}
    assert {name: len(rows[0]) for name, rows in parts.items()} == {
        "random": 10, "high loss": 10, "stratified": 10, "only a": 10, "only b": 4,
    }  # fmt: skip
    for name, rows in parts.items():
        assert len({tuple(sorted(one)) for one in rows}) > 1, f"{name}: always the same samples"
    hard, random = (clean[np.concatenate(parts[name])].mean() for name in ("high loss", "random"))
    assert hard > random + 0.1
    assert (source[np.concatenate(parts["only b"])] == 1).all()
