"""Distributions of scores by group, reduced to what a figure draws.

A million scores become a few hundred counts or quantiles here, never in the browser: a figure's
size does not depend on the number of rows. Rows whose value or group is missing (NaN, code -1)
take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from circuitseer_core.aliases import Floats, Ints

Z95 = 1.959963984540054
"""Standard errors to either side of a 95 % interval of a normal estimate."""

TAIL = 0.001
"""Share of rows at either end that the bins leave to the outermost bin."""


def t95(samples: int | Floats | pd.Series, comparisons: int = 1) -> Floats:
    """Standard errors to either side of a 95 % interval of a mean over ``samples`` values.

    Student's t for samples - 1 degrees of freedom: 12.7 for two samples, 2.2 for twelve. NaN for
    fewer than two. ``comparisons``: wide enough for so many such intervals together (Bonferroni).
    """
    n = np.asarray(samples, dtype=np.float64)
    chance = 1 - 0.025 / comparisons
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(n > 1, stdtrit(np.maximum(n - 1, 1), chance), np.nan))


def spearman95(rho: float, samples: int, level: float = 0.95) -> tuple[float, float]:
    """The interval (95 %, or ``level``) of a rank correlation ``rho`` over ``samples`` pairs.

    Fisher's z with the variance (1 + rho²/2)/(samples - 3) of Bonett and Wright (2000). NaN, twice,
    for fewer than four pairs or an undefined correlation. Of pairs in perfect order z has no end:
    the interval then begins where that of the next order does, in which two neighbours have
    changed places, so that four such pairs say as little as they do.
    """
    if samples < 4 or not np.isfinite(rho):
        return float("nan"), float("nan")
    next_order = min(1 - 12 / (samples**3 - samples), float(np.nextafter(1.0, 0.0)))
    within = float(np.clip(rho, -next_order, next_order))
    half = float(ndtri(0.5 + level / 2)) * float(np.sqrt((1 + within**2 / 2) / (samples - 3)))
    middle = float(np.arctanh(within))
    low, high = float(np.tanh(middle - half)), float(np.tanh(middle + half))
    return (-1.0 if rho < -next_order else low), (1.0 if rho > next_order else high)


def upper_tail(t: Floats | pd.Series, samples: Floats | pd.Series) -> Floats:
    """Chance of a Student's t above ``t`` (samples - 1 degrees of freedom); 1 where undefined."""
    n = np.asarray(samples, dtype=np.float64)
    chance = stdtr(np.maximum(n - 1, 1), -np.asarray(t, dtype=np.float64))
    return np.asarray(np.where((n > 1) & np.isfinite(chance), chance, 1.0))


def holm(chances: Sequence[float] | Floats) -> Floats:
    """(m,) p values adjusted by Holm's step-down procedure (1979), in the order given.

    The chance of one false finding among them is bounded whatever the dependence between the
    comparisons. NaN, what could not be compared, stays NaN and is not counted.
    """
    p = np.asarray(chances, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * (len(order) - np.arange(len(order)))
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled)) if len(order) else scaled
    return adjusted


@dataclass(frozen=True)
class Bins:
    """Shared bins: ``edges`` (B+1,) ascending; ``log`` where they are even on a log scale.

    Values outside the edges are counted in the nearest bin; ``below`` and ``above`` say how many.
    """

    edges: Floats
    log: bool
    below: int = 0
    above: int = 0

    @property
    def count(self) -> int:
        """How many bins."""
        return len(self.edges) - 1

    @property
    def centres(self) -> Floats:
        """(B,) middles: geometric on a log scale."""
        if self.log:
            return np.sqrt(self.edges[:-1] * self.edges[1:])
        return (self.edges[:-1] + self.edges[1:]) / 2


def shared_bins(values: Floats, count: int = 48, *, log: bool = False) -> Bins:
    """Bins over the bulk of (N,) ``values``: from the 0.1th to the 99.9th percentile.

    On a log scale values that are not positive fall into the lowest bin. Where all values are
    equal, or there is none, one unit around the value is binned.
    """
    usable = values[np.isfinite(values)]
    usable = usable[usable > 0] if log else usable
    if usable.size == 0:
        return Bins(np.linspace(0.1 if log else 0.0, 1.0, count + 1), log)
    low, high = (float(v) for v in np.quantile(usable, [TAIL, 1 - TAIL]))
    if not high > low:
        low, high = (low / 2, low * 2) if log else (low - 0.5, low + 0.5)
    edges = np.geomspace(low, high, count + 1) if log else np.linspace(low, high, count + 1)
    finite = values[np.isfinite(values)]
    return Bins(edges, log, int((finite < low).sum()), int((finite > high).sum()))


BULK = 0.05
"""Share of values at either end that :func:`quantile_bins` leaves beyond its edges."""


def quantile_bins(values: Floats, count: int) -> Floats:
    """(about ``count`` + 1,) round edges over the 5th to the 95th percentile of (N,) ``values``.

    The step is 1, 2, 2.5 or 5 times a power of ten. What lies beyond either edge is the caller's.
    """
    usable = values[np.isfinite(values)]
    if usable.size == 0:
        return np.array([0.0, 1.0])
    low, high = (float(v) for v in np.quantile(usable, [BULK, 1 - BULK]))
    if not high > low:
        low, high = float(usable.min()), float(usable.max())
    width = (high - low) / count or 1.0
    power = 10.0 ** np.floor(np.log10(width))
    step = power * min(m for m in (1, 2, 2.5, 5, 10) if m * power >= width * (1 - 1e-9))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.asarray(np.arange(first, max(last, first + 1) + 1) * step)


@dataclass(frozen=True)
class Trend:
    """Medians of a value along a column of numbers, with 95 % intervals.

    ``x`` (B,) mean of the column in each bin, ``median``, ``low`` and ``high`` (B,), ``rows`` (B,).
    """

    x: Floats
    median: Floats
    low: Floats
    high: Floats
    rows: Ints


def trend(column: Floats, values: Floats, count: int = 12) -> Trend:
    """The median of (N,) ``values`` along (N,) ``column``: one point a value, or a bin of many.

    Above ``count`` distinct values the bins are those of :func:`quantile_bins`, with one beyond
    either end. The interval of a median is that of order statistics (binomial, normal
    approximation); bins of fewer than 6 rows are left out, where none can be given.
    """
    use = np.isfinite(column) & np.isfinite(values)
    x, y = column[use], values[use]
    distinct = np.unique(x)
    if len(distinct) <= count:
        place, bins = np.searchsorted(distinct, x), len(distinct)
    else:
        edges = quantile_bins(x, count)
        place, bins = np.searchsorted(edges, x, side="right"), len(edges) + 1
    # Small numbers, which a stable sort puts in order by their digits.
    order = np.argsort(place.astype(np.min_scalar_type(bins)), kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=bins))[:-1]
    points = []
    for parts in zip(*(np.split(v[order], ends) for v in (x, y)), strict=True):
        n, ordered = len(parts[1]), np.sort(parts[1])
        if n < 6:
            continue
        half = Z95 * np.sqrt(n) / 2
        low = ordered[max(int(np.floor(n / 2 - half)), 1) - 1]
        high = ordered[min(int(np.ceil(n / 2 + half)) + 1, n) - 1]
        points.append((parts[0].mean(), np.median(ordered), low, high, n))
    table = np.array(points, dtype=np.float64).reshape(-1, 5).T
    return Trend(table[0], table[1], table[2], table[3], table[4].astype(np.int64))


def bin_of(values: Floats, bins: Bins) -> Ints:
    """(N,) bin of every value, clipped to the outermost bins; -1 where the value is missing."""
    low, high = bins.edges[0], bins.edges[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        if bins.log:
            place = np.log(np.maximum(values, 0) / low) / np.log(high / low)
        else:
            place = (values - low) / (high - low)
        place = np.clip(place * bins.count, 0, bins.count - 1)
    missing = np.isnan(values)
    return np.where(missing, -1, np.where(missing, 0, place)).astype(np.int64)


def histogram(values: Floats, codes: NDArray[np.int32], groups: int, bins: Bins) -> Ints:
    """(groups, B) counts of ``values`` (N,) by group code and bin."""
    place = bin_of(values, bins)
    use = (place >= 0) & (codes >= 0)
    flat = codes[use].astype(np.int64) * bins.count + place[use]
    return np.bincount(flat, minlength=groups * bins.count).reshape(groups, bins.count)


def histogram2d(across: Ints | NDArray[np.int32], up: Ints, shape: tuple[int, int]) -> Ints:
    """(By, Bx) = ``shape`` counts of pairs of bins, each as :func:`bin_of` gives them."""
    use = (across >= 0) & (up >= 0)
    flat = up[use] * np.int64(shape[1]) + across[use]
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def by_group(values: Floats, codes: NDArray[np.int32], groups: int) -> list[Floats]:
    """The finite values of every group, sorted: a list of ``groups`` arrays."""
    use = np.isfinite(values) & (codes >= 0)
    if groups == 1:
        return [np.sort(values[use])]
    kept, kept_codes = values[use], codes[use].astype(np.min_scalar_type(groups))
    order = np.argsort(kept_codes, kind="stable")
    ends = np.cumsum(np.bincount(kept_codes, minlength=groups))[:-1]
    return [np.sort(part) for part in np.split(kept[order], ends)]


def by_group_and_all(values: Floats, codes: NDArray[np.int32], groups: int) -> list[Floats]:
    """:func:`by_group`, and last the values of every row that has a group."""
    everything = np.where(codes >= 0, 0, -1).astype(np.int32)
    return [*by_group(values, codes, groups), *by_group(values, everything, 1)]


def quantiles(sorted_values: Sequence[Floats], levels: Floats) -> Floats:
    """(groups, levels) quantiles, interpolated; NaN for an empty group."""
    out = np.full((len(sorted_values), len(levels)), np.nan)
    for i, part in enumerate(sorted_values):
        if part.size:
            place = levels * (part.size - 1)
            lower = np.floor(place).astype(np.int64)
            upper = np.minimum(lower + 1, part.size - 1)
            out[i] = part[lower] + (part[upper] - part[lower]) * (place - lower)
    return out


def statistics(
    values: Floats,
    tokens: Floats,
    codes: NDArray[np.int32],
    labels: Sequence[str],
    parts: Sequence[Floats] | None = None,
    lengths: Sequence[Floats] | None = None,
) -> pd.DataFrame:
    """One row a group: group, rows, mean, sd, p5, p25, median, p75, p95, tokens, tokens_p95.

    ``sd`` is the population's; ``tokens`` is the median token count. The last row, ``all``, is of
    every row that has a group. ``parts`` (of the scores) and ``lengths`` (of the tokens, that of
    all rows last) save the work of :func:`by_group` where it was done.
    """
    scores = list(parts) if parts is not None else by_group(values, codes, len(labels))
    lengths = by_group_and_all(tokens, codes, len(labels)) if lengths is None else lengths
    names = list(labels)
    if len(names) > 1:
        everything = np.where(codes >= 0, 0, -1).astype(np.int32)
        scores += by_group(values, everything, 1)
        names.append("all")
    levels = quantiles(scores, np.array([0.05, 0.25, 0.5, 0.75, 0.95]))
    token_levels = quantiles(lengths, np.array([0.5, 0.95]))[: len(names)]
    return pd.DataFrame(
        {
            "group": names,
            "rows": [s.size for s in scores],
            "mean": [float(s.mean()) if s.size else np.nan for s in scores],
            "sd": [float(s.std()) if s.size else np.nan for s in scores],
            **{n: levels[:, i] for i, n in enumerate(("p5", "p25", "median", "p75", "p95"))},
            "tokens": token_levels[:, 0],
            "tokens_p95": token_levels[:, 1],
        }
    )


@dataclass(frozen=True)
class ScoreByLength:
    """A score against the token count: counts (lengths, scores) and the median at each length."""

    lengths: Bins
    scores: Bins
    counts: Ints
    medians: Floats


@dataclass(frozen=True)
class Lengths:
    """Rows by token count: bins that are even on a log scale, and the bin (N,) of every row."""

    bins: Bins
    places: NDArray[np.int32]

    @classmethod
    def of(cls, tokens: Floats, count: int) -> Lengths:
        """``tokens`` (N,) in ``count`` bins."""
        bins = shared_bins(tokens, count, log=True)
        return cls(bins, bin_of(tokens, bins).astype(np.int32))


def score_by_length(
    lengths: Lengths, values: Floats, *, scores: int, log: bool = False
) -> ScoreByLength:
    """Cut rows into bins of tokens, and ``values`` (N,) into ``scores`` bins."""
    score_bins = shared_bins(values, scores, log=log)
    parts = by_group(values, lengths.places, lengths.bins.count)
    medians = quantiles(parts, np.array([0.5]))[:, 0]
    shape = (score_bins.count, lengths.bins.count)
    counts = histogram2d(lengths.places, bin_of(values, score_bins), shape)
    return ScoreByLength(lengths.bins, score_bins, counts, medians)


def histograms_together(
    columns: Sequence[Floats], count: int, *, log: bool = False
) -> tuple[Bins, Ints, int]:
    """Histograms of several columns over shared bins, on the rows where all are known.

    Returns:
        bins, counts (columns, bins), and the number of those rows.
    """
    known = np.logical_and.reduce([np.isfinite(column) for column in columns])
    present = [column[known] for column in columns]
    bins = shared_bins(np.concatenate(present), count, log=log)
    everyone = np.zeros(int(known.sum()), dtype=np.int32)
    counts = np.concatenate([histogram(column, everyone, 1, bins) for column in present])
    return bins, counts, len(everyone)
