"""Rank correlations with others held fixed, against regressions and repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.experiments.rank_association import (
    MOST_SOURCES,
    RankTable,
    held_fixed,
    source_columns,
)
from tests.support.experiment_tests import RNG, spearman


@pytest.fixture
def columns() -> dict[str, np.ndarray]:
    rng = RNG(0)
    z = rng.integers(0, 6, 120).astype(float)
    return {"x": z + rng.normal(size=120), "y": z - rng.normal(size=120), "z": z}


def test_a_weighted_matrix_is_that_of_repeated_rows(columns: dict[str, np.ndarray]) -> None:
    times = RNG(1).integers(0, 4, 120)
    matrix = RankTable(columns).correlations(times.astype(float))
    repeated = [np.repeat(values, times) for values in columns.values()]
    assert matrix[0, 1] == pytest.approx(spearman(repeated[0], repeated[1]))
    assert matrix[1, 2] == pytest.approx(spearman(repeated[1], repeated[2]))


def test_what_is_held_fixed_is_taken_out_by_least_squares(columns: dict[str, np.ndarray]) -> None:
    group = (np.arange(120) % 2).astype(float)
    table = RankTable(columns, {"group": group})
    partial = held_fixed(table.correlations(), table.places(["x"]), 1, table.places(["z", "group"]))
    base = np.column_stack([np.ones(120), stats.rankdata(columns["z"]), group])
    left = [
        ranked - base @ np.linalg.lstsq(base, ranked, rcond=None)[0]
        for ranked in (stats.rankdata(columns["x"]), stats.rankdata(columns["y"]))
    ]
    assert partial[0] == pytest.approx(np.corrcoef(*left)[0, 1])


def test_the_largest_source_has_a_mean_of_its_own() -> None:
    few = source_columns(["b"] * 3 + ["a"] * 2 + ["c"])
    assert list(few) == ["source a", "source c"], "the largest is the one without a column"
    names = ["large"] * 50 + [f"middle {i}" for i in range(19) for _ in range(5)]
    many = source_columns([*names, *(f"small {i}" for i in range(9))])
    assert len(many) == MOST_SOURCES and many["source large"].sum() == 50
    without = np.sum(list(many.values()), axis=0) == 0
    assert without.sum() == 9, "only small sources share the group without a column"


def test_nothing_left_is_not_a_number(columns: dict[str, np.ndarray]) -> None:
    table = RankTable(columns | {"same": columns["x"] * 2 + 1, "constant": np.ones(120)})
    matrix = table.correlations()
    assert np.isnan(held_fixed(matrix, table.places(["x"]), 1, table.places(["same"]))[0])
    passed = held_fixed(matrix, table.places(["x"]), 1, table.places(["constant"]))
    assert passed[0] == pytest.approx(spearman(columns["x"], columns["y"]))


def test_resamples_spread_as_an_estimate_does(columns: dict[str, np.ndarray]) -> None:
    draws = [matrix[0, 1] for matrix in RankTable(columns).resampled(200, 3)]
    rho = spearman(columns["x"], columns["y"])
    assert np.std(draws) == pytest.approx((1 - rho**2) / np.sqrt(118), rel=0.35)
