"""Mid-ranks, rank correlation and partial rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import t95
from circuitseer_core.wording import count, signed

RANKED_ROWS = 100_000
"""Rank correlations of more rows than this are taken on a random part of them."""


def ranks(values: Floats) -> Floats:
    """(N,) mid-ranks from 1; NaN stays NaN. One unstable sort: ties share a rank anyway."""
    order = np.argsort(values)
    known = int(np.isfinite(values).sum())
    ordered = values[order[:known]]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[:known])
    counts = np.diff(np.concatenate((starts, [known])))
    ranked = np.full(len(values), np.nan)
    ranked[order[:known]] = np.repeat(starts + (counts + 1) / 2, counts)
    return ranked


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's r over rows where both are known; NaN where either is constant or n < 3.

    Of ranks (see :func:`ranks`) it is Spearman's, where the same rows are known in both.
    """
    use = np.isfinite(one) & np.isfinite(other)
    if use.sum() < 3:
        return float("nan")
    x, y = one[use] - one[use].mean(), other[use] - other[use].mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else float("nan")


def partial(xy: float, xz: float, yz: float) -> float:
    """Correlation of x and y with z held fixed, from the three plain ones; NaN if undefined."""
    left = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / left**0.5 if left > 1e-12 else float("nan")


def spearman(one: Floats, other: Floats) -> float:
    """Rank correlation over the rows where both are finite; NaN where undefined."""
    use = np.isfinite(one) & np.isfinite(other)
    return correlation(ranks(one[use]), ranks(other[use]))


@dataclass(frozen=True)
class Rank:
    """Spearman's ``rho``, taken on ``used`` of the ``rows`` that have both values."""

    rho: float
    used: int
    rows: int

    @property
    def sampled(self) -> bool:
        """Whether it was taken on a part of the rows."""
        return self.used < self.rows


def rank_correlation(one: Floats, other: Floats, limit: int | None = None) -> Rank:
    """Spearman over the rows where both are finite, on about ``limit`` of them at most (seeded).

    ``limit`` is RANKED_ROWS where none is given.
    """
    use, rows = ranked_rows(one, other, limit)
    return Rank(correlation(ranks(one[use]), ranks(other[use])), len(use), rows)


def ranked_rows(one: Floats, other: Floats, limit: int | None = None) -> tuple[Ints, int]:
    """Those rows, as row numbers, and of how many they are."""
    limit = RANKED_ROWS if limit is None else limit
    use = np.flatnonzero(np.isfinite(one) & np.isfinite(other))
    rows = len(use)
    if rows > limit:
        use = use[np.random.default_rng(0).random(rows) < limit / rows]
    return use, rows


@dataclass(frozen=True)
class ControlAgreement:
    """How alike random heads score: ``rhos``, one Spearman a draw with rows.

    ``rows``: most rows that a draw was compared on; ``fewest``: fewest.
    """

    rhos: tuple[float, ...]
    rows: int
    fewest: int

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return float(np.mean(self.rhos))

    @property
    def interval(self) -> tuple[float, float] | None:
        """See :func:`over_draws`."""
        return over_draws(self.rhos)

    @property
    def basis(self) -> str:
        """What the mean is of, in words: draws, interval, rows."""
        rows = count(self.rows, "row")
        if self.fewest < self.rows:
            rows = f"{self.fewest:,} to {rows}"
        return f"{draws_in_words(len(self.rhos), self.interval)}, on {rows}"


def over_draws(
    values: Sequence[float] | Floats, within: tuple[float, float] = (-1.0, 1.0)
) -> tuple[float, float] | None:
    """95 % interval (Student's t) of a mean over draws; None of fewer than two.

    ``within``: what the mean can be at all; of a correlation where nothing else is said.
    """
    if len(values) < 2:
        return None
    half = float(t95(len(values)) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return max(within[0], mean - half), min(within[1], mean + half)


def draws_in_words(draws: int, interval: tuple[float, float] | None) -> str:
    """ "mean of 20 draws, 95 % interval +0.96 to +0.98": behind a mean over control draws."""
    if interval is None:
        return count(draws, "draw")
    low, high = (signed(end) for end in interval)
    return f"mean of {count(draws, 'draw')}, 95 % interval {low} to {high}"


def rank_chance(own: float, others: Sequence[float]) -> float:
    """Chance of a value as large as ``own`` if it is one more draw like ``others``.

    The share of all, ``own`` among them, that reach it: with n others never under 1/(n + 1). NaN
    where ``own`` is undefined or there are no others.
    """
    known = [value for value in others if np.isfinite(value)]
    if not known or not np.isfinite(own):
        return float("nan")
    return (1 + sum(value >= own for value in known)) / (1 + len(known))


def control_agreement(score: Floats, controls: Sequence[Floats]) -> ControlAgreement | None:
    """Spearman of a score (N,) with the same score from random heads, draw by draw.

    Each draw on the rows that have both values (controls are kept on a subsample of the rows);
    None where no draw has any.
    """
    ranked = [rank_correlation(score, control) for control in controls]
    known = [rank for rank in ranked if np.isfinite(rank.rho)]
    if not known:
        return None
    rows = [rank.rows for rank in known]
    return ControlAgreement(tuple(rank.rho for rank in known), max(rows), min(rows))
