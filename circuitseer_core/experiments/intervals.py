"""Intervals of what experiments estimate, and what becomes of them where many are looked at.

Rank correlations get Fisher's z with the standard error of Bonett and Wright (2000), which holds
for Spearman's ρ up to about 0.9; everything else (differences of correlations on the same rows,
partial correlations, overlaps) a percentile bootstrap over rows. Of m comparisons made together
each gets the level 1 - 0.05/m (Bonferroni), so that the chance of any false finding stays at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from circuitseer_core.aliases import Floats, Ints

LEVEL = 0.95
BONFERRONI = "Bonferroni"
BOOTSTRAPS = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval; NaN where it could not be measured."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL


def corrected(comparisons: int, level: float = LEVEL) -> float:
    """The level of each of so many intervals that all of them hold together at ``level``."""
    return 1 - (1 - level) / max(1, comparisons)


def of_spearman(rho: float, rows: int, level: float = LEVEL, held_fixed: int = 0) -> Interval:
    """The interval of a rank correlation over ``rows``, of which ``held_fixed`` variables are
    taken out (a partial correlation loses a row for each)."""
    n = rows - held_fixed
    if not math.isfinite(rho) or n < 5:
        return Interval(rho, math.nan, math.nan, level)
    inside = min(max(rho, -0.999999), 0.999999)
    reach = float(ndtri(0.5 + level / 2)) * math.sqrt((1 + inside**2 / 2) / (n - 3))
    z = math.atanh(inside)
    return Interval(rho, math.tanh(z - reach), math.tanh(z + reach), level)


def resampled(
    statistic: Callable[[Ints], Floats], rows: int, *, times: int = BOOTSTRAPS, seed: int = 0
) -> Floats:
    """(times, K) values of a statistic, which takes (rows,) row numbers, on resampled rows."""
    rng = np.random.default_rng(seed)
    return np.stack([statistic(rng.integers(0, rows, rows)) for _ in range(times)])


def percentile(estimate: float, draws: Floats, level: float = LEVEL) -> Interval:
    """The middle ``level`` of (times,) resampled values, around an estimate from all rows."""
    known = draws[np.isfinite(draws)]
    if not math.isfinite(estimate) or len(known) < 20:
        return Interval(estimate, math.nan, math.nan, level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)
