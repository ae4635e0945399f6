"""The filters of the Samples page: widgets whose values live in the URL."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from circuitseer_core.browse.filters import FINITE, Filter
from circuitseer_core.browse.store import ScoreStore
from ui import cached_scores
from ui.widgets.markdown import inline

KEYS = ("q", "source", "low", "high", "tokens_from", "tokens_to", "facet", "value", "marked")
MARKS = ("pinned", "dropped", "tagged", "unmarked")
_INT_MAX = 2**31 - 1


def search_box() -> None:
    """The text search; the filter reads it from the session."""
    st.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="Search prompts and responses",
        label_visibility="collapsed",
        icon=":material/search:",
    )


def filter_menu(store: ScoreStore, scorer: str) -> None:
    """Everything but the text search, in one popover that says how many filters are set."""
    with st.popover(
        "Filters" + (f" · {n}" if (n := _active()) else ""),
        icon=":material/filter_list:",
        key="filter_menu",
        width="content",
    ):
        names = cached_scores.sources(store)
        st.multiselect(
            "Source",
            list(names),
            key="source",
            bind="query-params",
            placeholder="All sources",
        )
        low, high = cached_scores.extent(store, scorer)
        _range("low", "high", f"Score ({inline(scorer)})", (f"{low:.3g}", f"{high:.3g}"), None)
        low, high = cached_scores.extent(store, "n_tokens")
        _range("tokens_from", "tokens_to", "Tokens", (f"{low:.0f}", f"{high:.0f}"), 1)
        _original(store)
        st.pills("Marked by eye", MARKS, key="marked", bind="query-params")
        st.button("Clear all", on_click=clear, type="tertiary", icon=":material/close:", key="clr")


def current(scorer: str, marks: Callable[[str], set[str]] | None = None) -> Filter:
    """The filter that the widgets' values make; ``marks`` gives the ids that carry a mark."""
    state = st.session_state
    low, high = state.get("low"), state.get("high")
    first, last = state.get("tokens_from"), state.get("tokens_to")
    column, values = state.get("facet"), state.get("value")
    within, without = _marked(state.get("marked"), marks)
    return Filter(
        sources=tuple(state.get("source") or ()),
        scores=()
        if low is None and high is None
        else ((scorer, (FINITE[0] if low is None else low, FINITE[1] if high is None else high)),),
        tokens=None
        if first is None and last is None
        else (int(first or 0), _INT_MAX if last is None else int(last)),
        text=(state.get("q") or "").strip(),
        original=((column, tuple(values)),) if column and values else (),
        within=within,
        without=without,
    )


def clear() -> None:
    """Forget every filter (a callback)."""
    for key in KEYS:
        st.session_state[key] = "" if key == "q" else [] if key in ("source", "value") else None


def _active() -> int:
    state = st.session_state
    pairs = (("source",), ("low", "high"), ("tokens_from", "tokens_to"), ("value",), ("marked",))
    return sum(any(state.get(k) not in (None, [], ()) for k in keys) for keys in pairs)


def _range(low: str, high: str, label: str, ends: tuple[str, str], step: int | None) -> None:
    left, right = st.columns(2)
    for column, key, word, end in ((left, low, "from", ends[0]), (right, high, "to", ends[1])):
        column.number_input(
            f"{label} {word}",
            value=None,
            step=step if step else 0.001,
            format=None if step else "%.6g",
            placeholder=end,
            key=key,
            bind="query-params",
        )


def _original(store: ScoreStore) -> None:
    """Columns of the rows as they came: one column, any of its values."""
    facets = cached_scores.facets(store)
    if not facets:
        return
    left, right = st.columns(2)
    column = left.selectbox(
        "Column of the data",
        list(facets),
        index=None,
        key="facet",
        bind="query-params",
        placeholder="None",
    )
    right.multiselect(
        "Values",
        facets.get(column, []) if column else [],
        key="value",
        bind="query-params",
        placeholder="Any" if column else "Choose a column",
        disabled=column is None,
    )


def _marked(
    mark: str | None, marks: Callable[[str], set[str]] | None
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    if not mark or marks is None:
        return None, ()
    if mark == "unmarked":
        return None, tuple(sorted(marks("any")))
    return tuple(sorted(marks(mark))), ()
