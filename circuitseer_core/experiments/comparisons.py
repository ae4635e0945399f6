"""Several comparisons at once, and what two sets of heads share by chance."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from circuitseer_core.aliases import Floats

LEVEL = 0.05
"""Chance of one false finding in a whole family of comparisons (Holm 1979)."""


def holm(chances: Sequence[float] | Floats) -> Floats:
    """(m,) p values adjusted by Holm's step-down procedure; NaN stays NaN and is not counted.

    The family-wise error is bounded whatever the dependence between the comparisons.
    """
    p = np.asarray(chances, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = [int(i) for i in np.argsort(p, kind="stable") if np.isfinite(p[i])]
    worst = 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - place) * float(p[i])))
        adjusted[i] = worst
    return adjusted


def overlap_by_chance(shared: int, count: int, field: int) -> float:
    """Chance that two random sets of ``count`` out of ``field`` share ``shared`` or more.

    The upper tail of the hypergeometric distribution, exactly.
    """
    ways = sum(comb(count, s) * comb(field - count, count - s) for s in range(shared, count + 1))
    return ways / comb(field, count)
