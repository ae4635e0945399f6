"""Overlaps by chance."""

from __future__ import annotations

import pytest
from scipy import stats

from circuitseer_core.experiments.comparisons import overlap_by_chance


@pytest.mark.parametrize(("shared", "count", "field"), [(0, 3, 10), (2, 5, 20), (14, 14, 270)])
def test_overlap_is_hypergeometric(shared: int, count: int, field: int) -> None:
    want = stats.hypergeom.sf(shared - 1, field, count, count)
    assert overlap_by_chance(shared, count, field) == pytest.approx(want, rel=1e-9)


def test_overlap_of_sets_that_must_overlap() -> None:
    assert overlap_by_chance(1, 3, 5) == 1.0
