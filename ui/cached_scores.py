"""Scores of the run in view, cached for all sessions of the app.

Caches are keyed by the files behind them (name, size, time of every shard), so a run that is being
scored or was scored again is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Floats
from circuitseer_core.browse import standing
from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.groupings import Grouping, number_columns_of
from circuitseer_core.browse.pairs import matched_pairs, matched_sets
from circuitseer_core.browse.standing import Standing
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.files import stamp
from circuitseer_core.installation import DEMO_PACKAGES
from circuitseer_core.runs import texts
from circuitseer_core.runs.clusters import cluster_files
from circuitseer_core.runs.folder import Run
from ui.shell import broken_state, empty_state
from ui.widgets.scoring_choice import scoring_in_view

NO_TEXTS = (
    f"This run holds numbers only, so ids stand in for texts. To see the texts: `{DEMO_PACKAGES}`"
)


def require_store(run: Run) -> ScoreStore:
    """The scores in view, or an empty state and the end of this script run."""
    try:
        store = open_store(run, scoring_in_view(run))
    except UserError as error:
        broken_state(error)
        st.stop()
    if store is None:
        empty_state("No scores yet", "Scoring has not finished its first part yet.")
        st.stop()
    return store


def open_store(run: Run, name: str | None = None) -> ScoreStore | None:
    """The scoring of this name, else the first; None before its first finished shard.

    Raises UserError where it cannot be read.
    """
    names = run.scorings()
    if name not in names:
        name = names[0] if names else "default"
    parts = run.score_parts(name)
    marks = stamp([*parts, *cluster_files(run, name)])  # what the store's key is made of
    return _open(str(run.path), name, marks) if parts else None


def numbers(store: ScoreStore, column: str) -> Floats:
    """One number column of all rows; do not write into it."""
    return _numbers(store, column)


def groups(store: ScoreStore, column: str) -> Grouping:
    """Group codes of all rows; do not write into them."""
    return _groups(store, column)


def facets(store: ScoreStore) -> dict[str, list[str]]:
    """Columns of the original rows that can be filtered by, with their values.

    ``source`` is the run's own, under which a column of that name stands already.
    """
    return {name: values for name, values in _of_originals(store)[0].items() if name != "source"}


def number_columns(store: ScoreStore) -> list[str]:
    """Columns of the original rows that hold numbers."""
    return _of_originals(store)[1]


def original_numbers(store: ScoreStore, column: str) -> Floats:
    """A column of the original rows as numbers, NaN where it is none; do not write into it."""
    return _original_numbers(store, column)


def groupings(store: ScoreStore) -> list[str]:
    """What rows can be grouped by beside their source: columns of few values, or of numbers."""
    return list(dict.fromkeys([*facets(store), *number_columns(store)]))


def extent(store: ScoreStore, column: str) -> tuple[float, float]:
    """Smallest and largest finite value of a number column; (0, 0) where there is none."""
    return _extent(store, column)


def sources(store: ScoreStore) -> dict[str, int]:
    """Rows by source, most first."""
    return _sources(store)


def _key(store: ScoreStore) -> Any:
    return store.key


HASH: dict[Any, Any] = {ScoreStore: _key, Filter: repr}
"""How caches tell scores and filters apart."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _texts() -> dict[str, Sample]:
    return texts.demo_texts()


@st.cache_resource(max_entries=3, show_spinner=False)
def _open(path: str, name: str, mark: tuple[tuple[str, int, int], ...]) -> ScoreStore:
    run = Run.open(path)
    store = ScoreStore(run, name)
    return store if store.has_texts else ScoreStore(run, name, texts=_texts())


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=HASH)
def _numbers(store: ScoreStore, column: str) -> Floats:
    return store.numbers(column)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASH)
def _groups(store: ScoreStore, column: str) -> Grouping:
    return store.groups(column)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASH)
def _of_originals(store: ScoreStore) -> tuple[dict[str, list[str]], list[str]]:
    """Columns to filter by, with their values, and columns of numbers."""
    originals = store.some_originals()
    return store.facets(originals), number_columns_of(originals)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASH)
def _original_numbers(store: ScoreStore, column: str) -> Floats:
    return store.original_numbers(column)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASH)
def _extent(store: ScoreStore, column: str) -> tuple[float, float]:
    values = numbers(store, column)
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASH)
def _sources(store: ScoreStore) -> dict[str, int]:
    frame = store.sources()
    return {str(k): int(v) for k, v in zip(frame["source"], frame["rows"], strict=True)}


def count(store: ScoreStore, rows: Filter) -> int:
    """How many rows a filter admits."""
    return _count(store, rows)


def scored_rows(store: ScoreStore, scorer: str) -> int:
    """How many rows have a score."""
    return int(np.isfinite(numbers(store, scorer)).sum())


def page(
    store: ScoreStore, rows: Filter, scorer: str, descending: bool, offset: int, limit: int
) -> pd.DataFrame:
    """One page of rows (see ``ScoreStore.page``); do not write into it."""
    return _page(store, rows, scorer, descending, offset, limit)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=HASH)
def _count(store: ScoreStore, rows: Filter) -> int:
    return store.count(rows)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASH)
def _page(
    store: ScoreStore, rows: Filter, scorer: str, descending: bool, offset: int, limit: int
) -> pd.DataFrame:
    return store.page(rows, scorer=scorer, descending=descending, offset=offset, limit=limit)


def standings(store: ScoreStore, own: Mapping[str, float], scorer: str) -> dict[str, Standing]:
    """Where samples stand among all rows: ``own`` scores by id (see ``standing.places_of``)."""
    return _standings(store, tuple(own.items()), scorer)


@st.cache_resource(max_entries=128, show_spinner=False, hash_funcs=HASH)
def _standings(
    store: ScoreStore, own: tuple[tuple[str, float], ...], scorer: str
) -> dict[str, Standing]:
    return standing.places_of(store, dict(own), scorer, numbers(store, scorer))


def matched(store: ScoreStore, rows: Filter, scorer: str) -> pd.DataFrame:
    """Matched high and low samples (see ``pairs.matched_pairs``); do not write into it."""
    return _matched(store, rows, scorer)


def sets(store: ScoreStore, rows: Filter, scorer: str, count: int, gap: float) -> pd.DataFrame:
    """High samples and their low partners (see ``pairs.matched_sets``); do not write into it.

    Also high_text and low_text, the first characters of each.
    """
    return _sets(store, rows, scorer, count, gap)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASH)
def _sets(store: ScoreStore, rows: Filter, scorer: str, count: int, gap: float) -> pd.DataFrame:
    pairs = matched_sets(store, rows, scorer, count, gap)
    rows_of_both = pairs[["high_row", "low_row"]].to_numpy(dtype=np.int64).ravel()
    texts = store.texts_at(rows_of_both)
    return pairs.assign(high_text=pairs["high"].map(texts), low_text=pairs["low"].map(texts))


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASH)
def _matched(store: ScoreStore, rows: Filter, scorer: str) -> pd.DataFrame:
    return matched_pairs(store, rows, scorer)
