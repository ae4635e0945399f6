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
from scipy.special import ndtri, stdtrit

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import spearman95, t95

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


def bonferroni_level(comparisons: int, level: float = LEVEL) -> float:
    """The level of each of so many intervals that all of them hold together at ``level``."""
    return 1 - (1 - level) / max(1, comparisons)


def of_spearman(rho: float, rows: int, level: float = LEVEL) -> Interval:
    """The interval of a rank correlation over ``rows``; NaN from fewer than four."""
    return Interval(rho, *spearman95(rho, rows, level), level)


def resampled(
    statistic: Callable[[Ints], Floats], rows: int, *, times: int = BOOTSTRAPS, seed: int = 0
) -> Floats:
    """(times, K) values of a statistic, which takes (rows,) row numbers, on resampled rows."""
    rng = np.random.default_rng(seed)
    return np.stack([statistic(rng.integers(0, rows, rows)) for _ in range(times)])


def of_errors(
    estimate: float, error: float, level: float = LEVEL, *, samples: int | None = None
) -> Interval:
    """An estimate with its standard error to either side: as a normal one, or where ``samples`` are
    few, by Student's t on one less."""
    upper = 0.5 + level / 2
    reach = float(ndtri(upper) if samples is None else stdtrit(samples - 1, upper)) * error
    return Interval(estimate, estimate - reach, estimate + reach, level)


def of_mean(values: Floats) -> Interval:
    """The 95 % t interval of the mean of independent (n,) values; NaN from fewer than two."""
    estimate = float(values.mean())
    reach = float(t95(len(values))) * float(values.std(ddof=1) if len(values) > 1 else math.nan)
    reach /= math.sqrt(max(1, len(values)))
    return Interval(estimate, estimate - reach, estimate + reach)


def percentile(estimate: float, draws: Floats, level: float = LEVEL) -> Interval:
    """The middle ``level`` of (times,) resampled values, around an estimate from all rows."""
    known = draws[np.isfinite(draws)]
    if not math.isfinite(estimate) or len(known) < 20:
        return Interval(estimate, math.nan, math.nan, level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)
