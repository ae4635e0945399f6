"""Corrections for several comparisons, and overlaps by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.experiments.comparisons import holm, overlap_by_chance


def test_holm_by_hand() -> None:
    # 0.01 x 4; 0.02 x 3; then 0.03 x 2 is no less than what stands before; 0.8 x 1.
    assert holm([0.03, 0.01, 0.8, 0.02]) == pytest.approx([0.06, 0.04, 0.8, 0.06])
    assert holm([0.6, 0.6]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_what_could_not_be_compared_is_no_comparison() -> None:
    adjusted = holm([0.01, np.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02) and adjusted[2] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


@pytest.mark.parametrize(("shared", "count", "field"), [(0, 3, 10), (2, 5, 20), (14, 14, 270)])
def test_overlap_is_hypergeometric(shared: int, count: int, field: int) -> None:
    want = stats.hypergeom.sf(shared - 1, field, count, count)
    assert overlap_by_chance(shared, count, field) == pytest.approx(want, rel=1e-9)


def test_overlap_of_sets_that_must_overlap() -> None:
    assert overlap_by_chance(1, 3, 5) == 1.0
