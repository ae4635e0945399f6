"""What the Sources page shows, computed once a scorer and a grouping and kept for all sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from circuitseer_core import distributions
from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.browse.groupings import Grouping
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.correlation import (
    ControlAgreement,
    Rank,
    control_agreement,
    correlation,
    partial,
    rank_correlation,
    ranked_rows,
    ranks,
)
from ui import cached_scores
from ui.cached_scores import HASH

ALL_ROWS = "all rows"
LEVELS = np.linspace(0, 1, 201)
_BESIDE = ThreadPoolExecutor(1, "sources")
POINTS = 2_000
"""Most rows shown one by one: more hide each other, and each is a node in the page."""
_LENGTH_BINS = 44
_SCORE_BINS = 40


@dataclass(frozen=True)
class Summary:
    """Scores by group: counts at shared bins, quantiles, statistics."""

    bins: distributions.Bins
    counts: Ints
    grid: Floats
    table: pd.DataFrame
    labels: tuple[str, ...]


@dataclass(frozen=True)
class LengthMap:
    """Rows by token count and score; ``spearman`` of the two."""

    lengths: distributions.Bins
    scores: distributions.Bins
    counts: Ints
    medians: Floats
    spearman: float


@dataclass(frozen=True)
class Points:
    """Single rows: token count, score, group and id of each."""

    tokens: Floats
    scores: Floats
    codes: NDArray[np.int32]
    labels: tuple[str, ...]
    ids: list[str]


@dataclass(frozen=True)
class Control:
    """The score beside that of random heads, on the ``rows`` rows that have both."""

    bins: distributions.Bins
    counts: Ints
    names: tuple[str, ...]
    agreement: ControlAgreement
    rows: int


def begin_below(store: ScoreStore, scorer: str, log: bool) -> None:
    """Start on the lower half of the page while the upper one is made.

    The page's own calls find it in the cache or wait for it there.
    """
    for part in (length_map, control):
        _BESIDE.submit(part, store, scorer, log)


@st.cache_resource(max_entries=12, show_spinner=False, hash_funcs=HASH)
def summary(store: ScoreStore, scorer: str, group: str, log: bool) -> Summary:
    """Distributions of ``scorer`` by ``group``."""
    values, tokens = cached_scores.numbers(store, scorer), cached_scores.numbers(store, "n_tokens")
    codes = _grouping(store, group)
    bins = distributions.shared_bins(values, log=log)
    parts = distributions.by_group(values, codes.codes, len(codes.labels))
    return Summary(
        bins,
        distributions.histogram(values, codes.codes, len(codes.labels), bins),
        distributions.quantiles(parts, LEVELS),
        distributions.statistics(
            values, tokens, codes.codes, codes.labels, parts, _lengths(store, group)
        ),
        codes.labels,
    )


@st.cache_resource(max_entries=12, show_spinner=False, hash_funcs=HASH)
def length_map(store: ScoreStore, scorer: str, log: bool) -> LengthMap:
    """The score against the token count."""
    values, tokens = cached_scores.numbers(store, scorer), cached_scores.numbers(store, "n_tokens")
    seen = distributions.score_by_length(_length_places(store), values, scores=_SCORE_BINS, log=log)
    rho = rank_correlation(values, tokens).rho
    return LengthMap(seen.lengths, seen.scores, seen.counts, seen.medians, rho)


@st.cache_resource(max_entries=12, show_spinner=False, hash_funcs=HASH)
def points(store: ScoreStore, scorer: str, group: str) -> Points:
    """Rows at even steps through the data, so that every part of it is there."""
    rows = np.linspace(0, store.rows - 1, min(POINTS, store.rows)).round().astype(np.int64)
    values, tokens = (cached_scores.numbers(store, n)[rows] for n in (scorer, "n_tokens"))
    known = np.isfinite(values) & (tokens > 0)
    codes = cached_scores.groups(store, group)
    return Points(
        tokens[known],
        values[known],
        codes.codes[rows][known],
        codes.labels,
        store.ids_at(rows[known]),
    )


@st.cache_resource(max_entries=12, show_spinner=False, hash_funcs=HASH)
def control(store: ScoreStore, scorer: str, log: bool) -> Control | None:
    """Reasoning heads against random ones; None where this score has no control."""
    names = store.controls(scorer)
    if not names:
        return None
    score, controls = cached_scores.numbers(store, scorer), store.numbers_together(names)
    agreement = control_agreement(score, controls)
    if agreement is None:
        return None
    bins, counts, rows = distributions.histograms_together([score, *controls], 60, log=log)
    labels = ("chosen heads", *(f"random heads {i + 1}" for i in range(len(names))))
    return Control(bins, counts, labels, agreement, rows)


@dataclass(frozen=True)
class ColumnTrend:
    """A score along a column of numbers: medians of all rows; Spearman, ``plain`` and at ``fixed``
    length."""

    trend: distributions.Trend
    plain: Rank
    fixed: float


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASH)
def with_column(store: ScoreStore, scorer: str, column: str) -> ColumnTrend:
    """Spearman of score and a column of numbers, plain and at fixed length, and the medians."""
    numbers = cached_scores.original_numbers(store, column)
    values, tokens = cached_scores.numbers(store, scorer), cached_scores.numbers(store, "n_tokens")
    use, rows = ranked_rows(numbers, values)
    score, other, length = (ranks(every[use]) for every in (values, numbers, tokens))
    plain = correlation(score, other)
    fixed = partial(plain, correlation(score, length), correlation(other, length))
    return ColumnTrend(distributions.trend(numbers, values), Rank(plain, len(use), rows), fixed)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=HASH)
def _length_places(store: ScoreStore) -> distributions.Lengths:
    """Every row's bin of tokens: the same whatever the scorer."""
    return distributions.Lengths.of(cached_scores.numbers(store, "n_tokens"), _LENGTH_BINS)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=HASH)
def _lengths(store: ScoreStore, group: str) -> list[Floats]:
    """Token counts by group and of all rows, sorted: the same whatever the scorer."""
    codes = _grouping(store, group)
    return distributions.by_group_and_all(
        cached_scores.numbers(store, "n_tokens"), codes.codes, len(codes.labels)
    )


def _grouping(store: ScoreStore, group: str) -> Grouping:
    if group == ALL_ROWS:
        return Grouping(np.zeros(store.rows, dtype=np.int32), (ALL_ROWS,))
    return cached_scores.groups(store, group)
