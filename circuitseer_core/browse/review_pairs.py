"""The pairs of a blind review: drawn by chance within strata, no sample twice.

1. A stratum is a source and a third of the pool by length. Only samples nobody has been shown in
   the review take part.
2. The next pair comes from the stratum that is furthest behind its share of the batch; its first
   sample is drawn evenly from it, its partner evenly from those whose length is within
   ``TOLERANCE`` and whose score stands at least ``gap`` percentile points away.
3. A coin says which of the two stands left; the pairs are shuffled.

The agreement with the score is then an estimate for pairs of this kind, not for the two ends of
the score, where it would be higher.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.browse.groupings import Grouping
from circuitseer_core.browse.pairs import TOLERANCE
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.correlation import ranks
from circuitseer_core.runs.review_records import BANDS, Band, ReviewOptions, ReviewPair

_TRIES = 200
"""Samples of a stratum without a partner before it counts as used up."""


@dataclass(frozen=True)
class Rated:
    """What pairs are drawn by, of all rows in data order: (N,) scores, token counts, sources."""

    scores: Floats
    tokens: Floats
    sources: Grouping

    @classmethod
    def of(cls, store: ScoreStore, scorer: str) -> Rated:
        """As a scoring holds them."""
        return cls(store.numbers(scorer), store.numbers("n_tokens"), store.groups("source"))


def review_pairs(
    store: ScoreStore, rated: Rated, options: ReviewOptions, *, seen: Set[str], seed: int
) -> list[ReviewPair]:
    """The pairs of a batch in the order in which they are asked; fewer where no more match."""
    scores, tokens = rated.scores, rated.tokens
    fresh = np.isfinite(scores) & np.isfinite(tokens)
    if not fresh.any():
        return []
    percentiles = np.full(len(scores), np.nan)
    percentiles[fresh] = 100 * (ranks(scores[fresh]) - 1) / max(int(fresh.sum()) - 1, 1)
    edges = band_edges(tokens[fresh])
    if seen:
        fresh[store.rows_of(seen)] = False
    rng = np.random.default_rng(seed)
    strata = [
        _Stratum(name, word, rows, tokens[rows], percentiles[rows], options.gap, rng)
        for name, word, rows in _strata(rated, fresh, edges, options)
    ]
    drawn = _spread(strata, options, rng)
    ids = store.ids_at(np.array([row for pair, _ in drawn for row in pair], dtype=np.int64))
    return [
        ReviewPair(
            left=ids[2 * n],
            right=ids[2 * n + 1],
            source=stratum.source,
            band=stratum.band,
            scores=(float(scores[a]), float(scores[b])),
            percentiles=(round(float(percentiles[a]), 3), round(float(percentiles[b]), 3)),
            tokens=(int(tokens[a]), int(tokens[b])),
        )
        for n, ((a, b), stratum) in enumerate(drawn)
    ]


def _strata(
    rated: Rated, fresh: NDArray[np.bool_], edges: Floats, options: ReviewOptions
) -> Iterator[tuple[str, Band, Ints]]:
    """Source, band and rows of every stratum that has a pair, the rows by length."""
    bands = [number for number, word in enumerate(BANDS) if word in options.bands]
    wanted = set(options.sources) or set(rated.sources.labels)
    rows = np.flatnonzero(fresh & (rated.sources.codes >= 0))
    rows = rows[np.argsort(rated.tokens[rows], kind="stable")]
    band = np.searchsorted(edges, rated.tokens[rows], side="left")
    strata = len(BANDS) * len(rated.sources.labels)
    stratum = (len(BANDS) * rated.sources.codes[rows] + band).astype(np.min_scalar_type(strata))
    # Small numbers, which a stable sort puts in order by their digits.
    rows = rows[np.argsort(stratum, kind="stable")]
    parts = np.split(rows, np.cumsum(np.bincount(stratum, minlength=strata))[:-1])
    for code, name in enumerate(rated.sources.labels):
        for number in bands:
            part = parts[len(BANDS) * code + number]
            if name in wanted and len(part) > 1:
                yield name, BANDS[number], part


def band_edges(tokens: Floats) -> Floats:
    """The two token counts up to which a sample is short, and middle."""
    return np.quantile(tokens, [1 / 3, 2 / 3])


@dataclass
class _Stratum:
    """The rows of one source and band, by length, with the lengths and percentiles of each."""

    source: str
    band: Band
    rows: Ints
    lengths: Floats
    places: Floats
    gap: float
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.weight = len(self.rows)
        self.pairs_taken = 0
        self._free = np.ones(len(self.rows), dtype=bool)  # those not taken yet

    def pair(self) -> tuple[int, int] | None:
        """Two rows that are taken from now on; None where none is found."""
        for first in self.rng.permutation(np.flatnonzero(self._free))[:_TRIES]:
            length = self.lengths[first]
            low = np.searchsorted(self.lengths, length / (1 + TOLERANCE), side="left")
            high = np.searchsorted(self.lengths, length * (1 + TOLERANCE), side="right")
            far = np.abs(self.places[low:high] - self.places[first])
            near = low + np.flatnonzero(self._free[low:high] & (far >= self.gap) & (far > 0))
            if len(near):
                second = self.rng.choice(near)
                self._free[[first, second]] = False
                turned = (second, first) if self.rng.random() < 0.5 else (first, second)
                return int(self.rows[turned[0]]), int(self.rows[turned[1]])
        return None


def _spread(
    strata: list[_Stratum], options: ReviewOptions, rng: np.random.Generator
) -> list[tuple[tuple[int, int], _Stratum]]:
    """Pairs from the strata by their shares (highest averages: Sainte-Laguë), shuffled."""
    left = [strata[i] for i in rng.permutation(len(strata))]
    drawn: list[tuple[tuple[int, int], _Stratum]] = []
    while left and len(drawn) < options.pairs:
        even = options.spread == "evenly"
        behind = max(left, key=lambda s: (1 if even else s.weight) / (2 * s.pairs_taken + 1))
        pair = behind.pair()
        if pair is None:
            left.remove(behind)
            continue
        behind.pairs_taken += 1
        drawn.append((pair, behind))
    return [drawn[i] for i in rng.permutation(len(drawn))]
