"""What a draw would do, fast enough to follow a dial: a million rows in well under a second.

The rows are those of a finished ``draw``. The overlap with other seeds is a mean over the first of
those that the diagnostics simulate, over fewer the more rows there are; above ``EXACT_ROWS`` rows
it is its expectation: with κ the smallest key drawn (of i's group, where strata, lengths or caps
give groups budgets of their own), sample i is drawn with chance π_i = 1 - exp(-exp((log s_i -
κ)/τ)), so two draws share Σπ_i² of Σπ_i samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import Bins, bin_of, shared_bins
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.selection.diagnostics import OVERLAP_SEEDS, concentration, redraw
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.pool import Pool

EXACT_ROWS = 200_000
PERCENTILE_BINS = 40


@dataclass(frozen=True)
class Effect:
    """A draw in numbers.

    ``concentration``: entropy, ess, ess_share, gini (see diagnostics). ``lift``: mean score over
    the pool's, less 1; None where the pool's mean is not positive. ``overlap_top`` and
    ``overlap_seed``: share of the subset that top-k, and another seed, would also take.
    ``sources``: source, before, after (shares), pool, rows. ``drawn`` (≤ 40,): share drawn
    by percentile of the score. ``score`` and ``length``: (bins, pool counts, subset counts).
    """

    rows: int
    pool_rows: int
    tokens: int
    temperature: float
    concentration: dict[str, float]
    lift: float | None
    top_lift: float | None
    overlap_top: float
    overlap_seed: float
    sources: pd.DataFrame
    drawn: Floats
    score: tuple[Bins, Ints, Ints]
    length: tuple[Bins, Ints, Ints]


def top_rows(drawing: Drawing) -> Ints:
    """The rows that top-k (τ = 0) takes under the same limits; the same for every τ > 0."""
    return redraw(drawing, to_gumbels(drawing.hashes), 0.0)


@dataclass(frozen=True)
class Places:
    """The bins of a pool and the bin of each of its (n,) rows: the same for every draw from it.

    ``score`` and ``length``: (bins, bin of every row). ``percentile``: the number of bins of equal
    rows, low scores first, and the bin of every row.
    """

    score: tuple[Bins, Ints]
    length: tuple[Bins, Ints]
    percentile: tuple[int, Ints]


def places(drawing: Drawing) -> Places:
    """Bins of the pool behind a draw, whatever its temperature, budget and seed."""
    score, lengths = drawing.pool.score, drawing.pool.length
    score_bins = shared_bins(score, PERCENTILE_BINS)
    length_bins = shared_bins(lengths, PERCENTILE_BINS, log=bool((lengths > 0).all()))
    # At most 40 bins of equal rows, and no fewer than 50 rows in each: smaller ones show noise.
    count = max(5, min(PERCENTILE_BINS, len(score) // 50))
    edges = np.quantile(drawing.weight, np.linspace(0, 1, count + 1)[1:-1])
    return Places(
        (score_bins, bin_of(score, score_bins)),
        (length_bins, bin_of(lengths, length_bins)),
        (count, np.searchsorted(edges, drawing.weight, side="right")),
    )


def effect(drawing: Drawing, top: Ints, placed: Places | None = None) -> Effect:
    """Reduce a draw to what the Export page shows.

    Args:
        drawing: the draw.
        top: rows of top-k under the same limits (``top_rows``).
        placed: ``places`` of any draw from the same pool, where they are at hand.
    """
    placed = placed or places(drawing)
    pool, chosen = drawing.pool, drawing.chosen
    picked = np.zeros(len(pool), dtype=bool)
    picked[chosen] = True
    mean = float(pool.score.mean())
    return Effect(
        rows=len(chosen),
        pool_rows=len(pool),
        tokens=int(pool.tokens[chosen].sum()),
        temperature=drawing.temperature,
        concentration=concentration(drawing.chances),
        lift=float(pool.score[chosen].mean()) / mean - 1 if mean > 0 else None,
        top_lift=float(pool.score[top].mean()) / mean - 1 if mean > 0 else None,
        overlap_top=float(picked[top].sum()) / len(chosen),
        overlap_seed=_overlap_seed(drawing, picked),
        sources=_sources(pool, chosen),
        drawn=_drawn_share(*placed.percentile, chosen),
        score=_before_after(*placed.score, chosen),
        length=_before_after(*placed.length, chosen),
    )


def _overlap_seed(drawing: Drawing, picked: NDArray[np.bool_]) -> float:
    """Share of the subset that a draw under another seed would take too."""
    temperature = drawing.temperature
    if temperature == 0:
        return 1.0
    if len(picked) <= EXACT_ROWS:
        seeds = min(OVERLAP_SEEDS, max(1, EXACT_ROWS // len(picked)))
        return float(np.mean([_taken_again(drawing, picked, seed) for seed in range(1, seeds + 1)]))
    group = _budget_groups(drawing)
    groups = int(group.max(initial=0)) + 1
    by_key = drawing.chosen[~drawing.strata.first[drawing.chosen]]  # must-haves had no key to pass
    if np.isinf(temperature):
        sizes = np.bincount(group[~drawing.strata.first], minlength=groups)
        taken = np.bincount(group[by_key], minlength=groups) / np.maximum(sizes, 1)
        chance = taken[group]
    else:
        lowest = np.full(groups, np.inf)
        finite = by_key[np.isfinite(drawing.keys[by_key])]
        np.minimum.at(lowest, group[finite], drawing.keys[finite])
        with np.errstate(divide="ignore", over="ignore"):
            chance = -np.expm1(-np.exp((np.log(drawing.weight) - lowest[group]) / temperature))
    chance[drawing.strata.first] = 1.0
    return float(np.square(chance).sum() / chance.sum())


def _budget_groups(drawing: Drawing) -> Ints:
    """(N,) numbers of the groups that have each a part of the budget, and so a κ, of their own."""
    strata, limits = drawing.strata, drawing.limits
    if limits.by_length is not None and strata.length is not None:
        return strata.length
    if limits.stratify != "none" and strata.stratum is not None:
        return strata.stratum
    plain = limits.stratify == "none" and limits.per_source is None
    return np.zeros_like(strata.source) if plain else strata.source


def _taken_again(drawing: Drawing, picked: NDArray[np.bool_], seed: int) -> float:
    """Share of the subset that one simulated draw takes too (as in the diagnostics)."""
    other = redraw(drawing, to_gumbels(remix(drawing.hashes, seed)), drawing.temperature)
    return float(picked[other].sum()) / len(drawing.chosen)


def _sources(pool: Pool, chosen: Ints) -> pd.DataFrame:
    before = np.bincount(pool.source, minlength=len(pool.names))
    after = np.bincount(pool.source[chosen], minlength=len(pool.names))
    frame = pd.DataFrame(
        {
            "source": pool.names,
            "before": before / max(int(before.sum()), 1),
            "after": after / max(int(after.sum()), 1),
            "pool": before,
            "rows": after,
        }
    )
    present = frame[frame["pool"] > 0].sort_values(["pool", "source"], ascending=[False, True])
    return present.reset_index(drop=True)


def _drawn_share(bins: int, place: Ints, chosen: Ints) -> Floats:
    """Share drawn of each bin; NaN where ties leave one empty."""
    rows = np.bincount(place, minlength=bins)
    drawn = np.bincount(place[chosen], minlength=bins)
    with np.errstate(invalid="ignore"):
        return drawn / np.where(rows > 0, rows, np.nan)


def _before_after(bins: Bins, place: Ints, chosen: Ints) -> tuple[Bins, Ints, Ints]:
    after = place[chosen]
    counts = [np.bincount(part[part >= 0], minlength=bins.count) for part in (place, after)]
    return bins, counts[0], counts[1]
