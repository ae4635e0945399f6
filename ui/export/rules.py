"""What decides who may be drawn, read once and kept: lists, benchmarks, near-duplicates, strata."""

from __future__ import annotations

import os

import streamlit as st

from circuitseer_core.aliases import Ints
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.data.fields import Fields
from circuitseer_core.files import user_path
from circuitseer_core.selection.decontaminate import Contamination, contamination_in
from circuitseer_core.selection.lists import Lists, read_list
from circuitseer_core.selection.near_duplicates import NearDuplicates, near_duplicates_in
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.strata import column_strata
from ui.cached_scores import HASH


def file_stamps(entries: tuple[str, ...]) -> tuple[int, ...]:
    """When the files among these entries were last written, ns: tells their versions apart."""
    paths = map(user_path, entries)
    return tuple(path.stat().st_mtime_ns for path in paths if os.path.isfile(path))


@st.cache_resource(max_entries=8, show_spinner=False)
def lists_as_read(
    exclude: tuple[str, ...], include: tuple[str, ...], stamps: tuple[int, ...], known: Fields
) -> Lists:
    """The rows that lists name; ``stamps`` as of ``file_stamps``, ``known`` as of ``read_list``."""
    return Lists(read_list(exclude, known), read_list(include, known))


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=HASH)
def contamination(
    store: ScoreStore, benchmarks: tuple[str, ...], words: int, stamps: tuple[int, ...]
) -> Contamination | None:
    """The rows that share ``words`` words in a row with a benchmark."""
    settings = SelectionSettings.of(scores=store.name, decontaminate=benchmarks, run_words=words)
    return contamination_in(store.run, settings)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=HASH)
def near_duplicates(store: ScoreStore, threshold: float) -> NearDuplicates | None:
    """The rows that repeat another one nearly, by the Jaccard index of their prompts."""
    settings = SelectionSettings.of(scores=store.name, near_duplicates=threshold)
    return near_duplicates_in(store.run, settings)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=HASH)
def strata_of(store: ScoreStore, column: str) -> tuple[Ints, tuple[str, ...]]:
    """The value of a column for every row (N,), as a place in the values' names."""
    return column_strata(store.run, store.name, column)
