"""Two scorings of a run against each other: do they rank, and would they draw, the same samples?

Prompt against response, one set of heads against another: samples are matched by id. Both draws
use one seed and so share their noise; what that alone makes them share is measured with permuted
scores (see overlap.py) and stands beside every overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.correlation import RANKED_ROWS, Rank, rank_correlation
from circuitseer_core.distributions import Z95, spearman95
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.overlap import NoiseFloor, drawn, noise_floor, shared

LEAST = 4
"""Fewest samples in both that can be compared: an interval of Spearman needs four."""


@dataclass(frozen=True)
class Matched:
    """Rows of two scorings that are the same sample and have a score in both.

    ``ids`` (n,), ``one`` and ``other`` (n,) scores, ``rows`` (n,) places in the first scoring.
    """

    ids: NDArray[np.object_]
    one: Floats
    other: Floats
    rows: Ints


@dataclass(frozen=True)
class DrawOverlap:
    """Two draws of one seed: ``shared``, of each; ``floor``, what their noise alone shares."""

    temperature: float
    shared: float
    floor: NoiseFloor

    @property
    def beyond_noise(self) -> bool:
        """Whether they share more than 95 % of draws from permuted scores would."""
        return self.shared > self.floor.permuted + Z95 * self.floor.permuted_sd

    @property
    def beyond(self) -> float:
        """``shared`` on a scale from 0, what the noise alone shares, to 1, the same rows."""
        return self.floor.beyond(self.shared)


@dataclass(frozen=True)
class Agreement:
    """Rank correlation with its 95 % interval, and overlaps of draws of ``drawn`` of ``rows``."""

    rank: Rank
    low: float
    high: float
    rows: int
    drawn: int
    draws: tuple[DrawOverlap, ...]

    @property
    def chance(self) -> float:
        """What two unrelated draws share on average."""
        return self.drawn / self.rows


def matched(ids_one: pa.Array, one: Floats, ids_other: pa.Array, other: Floats) -> Matched:
    """Samples of both scorings, in the first one's order; ``one`` (N,), ``other`` (M,).

    Raises:
        UserError: fewer than four samples have a score in both.
    """
    if ids_one.equals(ids_other):
        place = np.arange(len(one))
    else:
        place = pd.Index(ids_other.to_pandas()).get_indexer(ids_one.to_pandas())
    rows = np.flatnonzero(place >= 0)
    both = np.isfinite(one[rows]) & np.isfinite(other[place[rows]])
    rows = rows[both]
    if len(rows) < LEAST:
        raise UserError(f"the two scorings have {len(rows)} samples in common: too few to compare")
    ids = ids_one.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    return Matched(ids, one[rows], other[place[rows]], rows.astype(np.int64))


def agreement(
    pair: Matched, fraction: float, temperatures: Sequence[float], seed: int = 0
) -> Agreement:
    """How far two scorings agree; above ``RANKED_ROWS`` samples on a random part of them.

    Args:
        pair: the matched scores.
        fraction: share of the samples that is drawn.
        temperatures: of the draws; a draw whose scores do not allow it (negative ones, above
            τ = 0) is left out.
        seed: of the draws.
    """
    rank = rank_correlation(pair.one, pair.other)
    low, high = spearman95(rank.rho, rank.used)
    rows = np.arange(len(pair.ids))
    if len(rows) > RANKED_ROWS:
        rows = np.flatnonzero(np.random.default_rng(0).random(len(rows)) < RANKED_ROWS / len(rows))
    one, other = pair.one[rows], pair.other[rows]
    noise = to_gumbels(draw_hashes(pd.Series(pair.ids[rows]).array, seed))
    k = max(1, round(fraction * len(rows)))
    negative = min(float(one.min()), float(other.min())) < 0
    usable = [t for t in temperatures if t == 0 or not negative]
    draws = tuple(_overlap(one, other, noise, t, k) for t in usable)
    return Agreement(rank, low, high, len(rows), k, draws)


def _overlap(one: Floats, other: Floats, noise: Floats, temperature: float, k: int) -> DrawOverlap:
    first, second = (drawn(score, noise, temperature, k) for score in (one, other))
    floor = noise_floor(one, noise, temperature, k)
    return DrawOverlap(temperature, shared(first, second), floor)
