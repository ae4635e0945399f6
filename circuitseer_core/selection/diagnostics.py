"""What a draw did: numbers that say how soft it was, whom it favoured and what it would repeat.

All of it follows from a ``Drawing`` and is ready for JSON. Draws under other seeds are simulated:
the stored hash of every id is mixed with the number of the simulated seed (splitmix64), so that the
simulation is as independent of row order as the draw itself and needs no new hashing of ids. Pools
of more than ``SIMULATED_ROWS`` are simulated on a hash-chosen part, with the budget scaled and the
spread of shares scaled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.correlation import spearman
from circuitseer_core.distributions import bin_of, shared_bins
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.runs.selection_records import (
    Diagnostics,
    Distribution,
    Distributions,
    LengthCorrelation,
    Mass,
    Overlap,
    ScoreMeans,
    Simulated,
    SourceShare,
    StratumShare,
)
from circuitseer_core.selection.budgets import Limits, choose, enough
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.gumbel import key_order, sampling_keys

SIMULATED_SEEDS = 200
OVERLAP_SEEDS = 10
SIMULATED_ROWS = 100_000
BINS = 40
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def diagnose(drawing: Drawing, seeds: int = SIMULATED_SEEDS) -> Diagnostics:
    """Everything the Export page, the card and the failure signatures report about a draw.

    Shares and overlaps are fractions of 1; entropy is in nats; ``gini`` is that of the chances
    (0: uniform); ``lift`` is mean score of the subset over the pool's, less 1; ``z`` measures the
    mean against random subsets of the same size.
    """
    pool = drawing.pool
    chosen = drawing.chosen
    score = pool.score
    top = redraw(drawing, to_gumbels(drawing.hashes), 0.0)
    simulation = _simulate(drawing, seeds)
    return Diagnostics(
        pool_rows=len(pool),
        rows=len(chosen),
        tokens=int(pool.tokens[chosen].sum()),
        pool_tokens=int(pool.tokens.sum()),
        temperature=drawing.temperature,
        **concentration(drawing.chances),
        score=_means(score, chosen, top),
        mass=_masses(score, chosen, top),
        overlap=_overlaps(drawing, top, simulation),
        sources=_sources(drawing, simulation),
        strata=strata_shares(drawing),
        simulated=Simulated(seeds=seeds, rows=simulation.rows),
        distributions=Distributions(
            score=distribution(score, chosen), length=distribution(pool.length, chosen)
        ),
        length=_length(drawing),
    )


def concentration(chances: Floats) -> dict[str, float]:
    """Entropy (nats, and as a share of log N), effective sample size, Gini of the chances."""
    n = len(chances)
    ordered = np.sort(chances)  # once: what follows needs them so, or takes them in any order
    positive = ordered[ordered > 0]
    entropy = float(-(positive * np.log(positive)).sum())
    size = float(1.0 / np.square(ordered).sum())
    return {
        "entropy": entropy,
        "entropy_share": entropy / float(np.log(n)) if n > 1 else 1.0,
        "ess": size,
        "ess_share": size / n,
        "gini": _gini(ordered),
    }


def gini(values: Floats) -> float:
    """Gini coefficient of non-negative values: 0 if all are equal, towards 1 if one has all."""
    return _gini(np.sort(values))


def _gini(ordered: Floats) -> float:
    mass = ordered.sum()
    if not len(ordered) or mass <= 0:
        return 0.0
    n = len(ordered)
    ranks = np.arange(1, n + 1)
    return max(0.0, float(2 * (ranks * ordered).sum() / (n * mass) - (n + 1) / n))


def distribution(values: Floats, chosen: Ints, bins: int = BINS) -> Distribution:
    """Histograms of the pool and of the subset over shared edges, quantiles, and the KS distance.

    The edges span the pool's 0.1th to 99.9th percentile; what lies outside counts in the outermost
    bins, so that one extreme sample does not flatten the picture.
    """
    shared = shared_bins(values, bins)
    place = bin_of(values, shared)
    drawn = values[chosen]
    return Distribution(
        edges=shared.edges.tolist(),
        pool=np.bincount(place, minlength=bins).tolist(),
        subset=np.bincount(place[chosen], minlength=bins).tolist(),
        quantiles=list(QUANTILES),
        pool_quantiles=np.quantile(values, QUANTILES).tolist(),
        subset_quantiles=np.quantile(drawn, QUANTILES).tolist(),
        pool_mean=_mean(values),
        subset_mean=_mean(drawn),
        ks=ks_distance(values, drawn),
    )


def ks_distance(one: Floats, other: Floats) -> float:
    """Largest gap between two empirical distribution functions (Kolmogorov-Smirnov)."""
    one, other = np.sort(one), np.sort(other)
    points = other
    gaps = []
    for side in ("left", "right"):
        # Between two points of the smaller set only the larger one's function moves, so the largest
        # gap stands at one of these points, just before or at it.
        below = np.searchsorted(one, points, side=side) / len(one)
        gaps.append(np.abs(below - np.searchsorted(other, points, side=side) / len(other)).max())
    return float(max(gaps))


@dataclass(frozen=True, slots=True)
class _Simulation:
    """Draws under other seeds, on ``rows`` rows, a part ``shrink`` of the pool.

    ``shares`` (seeds, sources): shares of the sources. ``overlaps`` (seeds,): with the real draw.
    """

    rows: int
    shrink: float
    shares: Floats
    overlaps: Floats


def _simulate(drawing: Drawing, seeds: int) -> _Simulation:
    """Draw again under other seeds, the must-haves and all limits as they were."""
    n = len(drawing.pool)
    part = np.arange(n)
    limits = drawing.limits
    if n > SIMULATED_ROWS:
        part = np.flatnonzero(remix(drawing.hashes, 0) < np.uint64(2**64 * SIMULATED_ROWS / n))
        limits = scaled(limits, len(part) / n)
    strata = drawing.strata.take(part)
    if limits.rows is not None and limits.rows < strata.first.sum():
        limits = replace(limits, rows=int(strata.first.sum()))
    weight, hashes = drawing.weight[part], drawing.hashes[part]
    was_drawn = np.zeros(n, dtype=bool)
    was_drawn[drawing.chosen] = True
    was_drawn = was_drawn[part]
    shares = np.zeros((seeds, strata.count))
    overlaps = np.zeros(seeds)
    top = enough(strata, limits)
    for number, noise in enumerate(_noises(hashes, seeds)):
        keys = sampling_keys(weight, noise, drawing.temperature)
        drawn = choose(key_order(keys, noise, top=top), strata, limits)
        counts = np.bincount(strata.source[drawn], minlength=strata.count)
        shares[number] = counts / max(1, len(drawn))
        overlaps[number] = was_drawn[drawn].sum() / max(1, len(drawn))
    return _Simulation(len(part), len(part) / n, shares, overlaps)


def _noises(hashes: Hashes, seeds: int) -> Iterator[Floats]:
    for number in range(1, seeds + 1):
        yield to_gumbels(remix(hashes, number))


def scaled(limits: Limits, share: float) -> Limits:
    """The limits of a draw from a part of the pool, ``share`` of its rows."""

    def part(value: int | None) -> int | None:
        return None if value is None else max(1, round(value * share))

    return replace(
        limits,
        rows=part(limits.rows),
        tokens=part(limits.tokens),
        per_source=part(limits.per_source),
        by_length=limits.by_length and _thinned(limits.by_length, share),
    )


def _thinned(rows: Sequence[int], share: float) -> tuple[int, ...]:
    """A share of the rows of bins: of bins of a row or two, every so many-th gives its own."""
    sums = np.rint(np.cumsum(rows) * share).astype(np.int64)
    return tuple(np.diff(sums, prepend=0).tolist())


def redraw(drawing: Drawing, noise: Floats, temperature: float) -> Ints:
    """The rows that another temperature or other noise takes under the same limits."""
    keys = sampling_keys(drawing.weight, noise, temperature)
    top = enough(drawing.strata, drawing.limits)
    order = key_order(keys, noise, drawing.pool.ids, top=top)
    return choose(order, drawing.strata, drawing.limits)


def _means(score: Floats, chosen: Ints, top: Ints) -> ScoreMeans:
    """Mean scores; ``random_sd`` is the spread of a random subset's mean (finite population)."""
    n, k = len(score), len(chosen)
    pool, subset = _mean(score), _mean(score[chosen])
    spread = float(np.std(score)) * np.sqrt(max(0, n - k) / max(1, n - 1) / max(1, k))
    return ScoreMeans(
        pool=pool,
        subset=subset,
        top_k=_mean(score[top]),
        random_sd=float(spread),
        lift=subset / pool - 1 if pool > 0 else None,
        top_k_lift=_mean(score[top]) / pool - 1 if pool > 0 else None,
        z=(subset - pool) / float(spread) if spread > 0 else None,
    )


def _masses(score: Floats, chosen: Ints, top: Ints) -> Mass:
    """Share of the pool's total score that the subset, top-k and a random subset hold."""
    total = float(np.sort(score).sum())
    if total <= 0 or (score < 0).any():
        return Mass(subset=None, top_k=None, random=len(chosen) / len(score))
    return Mass(
        subset=float(np.sort(score[chosen]).sum()) / total,
        top_k=float(np.sort(score[top]).sum()) / total,
        random=len(chosen) / len(score),
    )


def _overlaps(drawing: Drawing, top: Ints, simulation: _Simulation) -> Overlap:
    """Share of the subset that top-k, a uniform draw and other seeds would also take."""
    uniform = redraw(drawing, to_gumbels(remix(drawing.hashes, 0)), float("inf"))
    k = len(drawing.chosen)
    taken = np.zeros(len(drawing.pool), dtype=bool)
    taken[drawing.chosen] = True
    seeds = simulation.overlaps[:OVERLAP_SEEDS]
    return Overlap(
        top_k=int(taken[top].sum()) / k,
        random=int(taken[uniform].sum()) / k,
        random_expected=k / len(drawing.pool),
        seeds=seeds.tolist(),
        seeds_mean=_mean(seeds) if len(seeds) else None,
    )


def _sources(drawing: Drawing, simulation: _Simulation) -> list[SourceShare]:
    """One entry a source: rows and shares before and after, and what 200 seeds would have drawn.

    ``low`` and ``high`` bound 95 % of the simulated shares.
    """
    pool, chosen = drawing.pool, drawing.chosen
    before = np.bincount(pool.source, minlength=len(pool.names))
    after = np.bincount(pool.source[chosen], minlength=len(pool.names))
    expected = simulation.shares.mean(axis=0)
    spread = (simulation.shares - expected) * np.sqrt(simulation.shrink) + expected
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    mass = np.bincount(pool.source, weights=pool.score, minlength=len(pool.names))
    drawn = pool.source[chosen]
    mass_after = np.bincount(drawn, weights=pool.score[chosen], minlength=len(pool.names))
    return [
        SourceShare(
            source=name,
            pool=int(before[i]),
            pool_share=float(before[i] / len(pool)),
            rows=int(after[i]),
            share=float(after[i] / len(chosen)),
            expected=float(expected[i]),
            low=float(max(0.0, low[i])),
            high=float(min(1.0, high[i])),
            pool_score=float(mass[i] / before[i]) if before[i] else None,
            score=float(mass_after[i] / after[i]) if after[i] else None,
        )
        for i, name in enumerate(pool.names)
        if before[i]
    ]


def strata_shares(drawing: Drawing) -> list[StratumShare]:
    """The values of the column that shared the budget, before and after; of sources none."""
    pool, chosen = drawing.pool, drawing.chosen
    if pool.stratum is None:
        return []
    before = np.bincount(pool.stratum, minlength=len(pool.strata))
    after = np.bincount(pool.stratum[chosen], minlength=len(pool.strata))
    return [
        StratumShare(
            value=value,
            pool=int(before[i]),
            pool_share=float(before[i] / len(pool)),
            rows=int(after[i]),
            share=float(after[i] / len(chosen)),
        )
        for i, value in enumerate(pool.strata)
        if before[i]
    ]


def _length(drawing: Drawing) -> LengthCorrelation:
    """How far length drives the scores, and the weights that length control made of them."""
    pool = drawing.pool
    plain = _defined(spearman(pool.score, pool.length))
    same = drawing.weight is pool.score
    return LengthCorrelation(
        spearman=plain,
        spearman_controlled=plain if same else _defined(spearman(drawing.weight, pool.length)),
    )


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _mean(values: Floats) -> float:
    """Mean over sorted values, the same for any order of rows."""
    return float(np.sort(values).mean())
