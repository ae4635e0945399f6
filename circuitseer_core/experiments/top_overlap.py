"""How sure it is what the top rows of two scores share: the bootstrap over rows.

A resample is a count for every row. The k best of it are the first k copies in the order of the
score, so nothing is sorted anew, and only rows that can be among them take part: of either score so
many that they hold k copies by ten standard errors of their number.
"""

from __future__ import annotations

import math

import numpy as np

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.experiments.intervals import LEVEL, Interval, percentile
from circuitseer_core.selection.overlap import drawn, shared


def top_interval(
    one: Floats,
    other: Floats,
    noise: Floats,
    k: int,
    *,
    level: float = LEVEL,
    times: int = 500,
    seed: int = 0,
) -> Interval:
    """The share of the ``k`` best rows that two scores (n,) have in common, with its interval.

    Args:
        one: a score.
        other: another, of the same rows.
        noise: (n,) what decides between equal scores.
        k: how many rows are the best.
        level: of the interval, the middle of the resampled shares.
        times: resamples of the rows.
        seed: of them.

    Where all or none are shared no resample differs: that interval ends where the binomial one of
    k rows does.
    """
    n = len(one)
    reach = min(n, k + 10 * math.ceil(math.sqrt(k)) + 50)
    orders = [drawn(score, noise, 0.0, reach) for score in (one, other)]
    estimate = shared(orders[0][:k], orders[1][:k])
    rows = np.unique(np.concatenate(orders))
    places = [np.searchsorted(rows, order) for order in orders]
    rng, m = np.random.default_rng(seed), len(rows)
    draws = np.empty(times)
    for i in range(times):
        copies = rng.integers(0, m, rng.binomial(n, m / n))  # the others are not among the best
        draws[i] = _shared(np.bincount(copies, minlength=m), places, k)
    middle = percentile(estimate, draws, level)
    edge = ((1 - level) / 2) ** (1 / k)
    low = min(middle.low, edge) if estimate == 1 else middle.low
    high = max(middle.high, 1 - edge) if estimate == 0 else middle.high
    return Interval(estimate, low, high, level)


def _shared(counts: Ints, places: list[Ints], k: int) -> float:
    """What the first ``k`` copies share: ``counts`` (m,) of the rows, ``places`` best first."""
    taken = np.zeros((2, len(counts)), dtype=np.int64)
    for best, order in zip(taken, places, strict=True):
        copies = counts[order]
        before = np.cumsum(copies) - copies
        best[order] = np.clip(k - before, 0, copies)
    return float(taken.min(axis=0).sum()) / k
