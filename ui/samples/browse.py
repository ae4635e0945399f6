"""Browse: the rows that match, one page at a time, beside the one that is open."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.standing import from_percentile, from_rank, standings
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.review import ReviewState
from circuitseer_core.wording import count
from ui import cached_scores, judgements
from ui.samples import detail, filters, marks
from ui.samples.opened import close, open_sample, opened
from ui.widgets import live_head, refused
from ui.widgets.markdown import literal
from ui.widgets.tokens import sample_rows

PAGE = 12


def browse(run: Run, store: ScoreStore, scorer: str) -> None:
    """The whole view: toolbar, list, detail."""
    judged = judgements.state(run)
    with st.container(horizontal=True, vertical_alignment="center", key="browse_bar"):
        filters.search_box()
        filters.filter_menu(store, scorer)
        lowest = st.selectbox(
            "Order",
            ["Highest first", "Lowest first"],
            key="order",
            bind="query-params",
            label_visibility="collapsed",
            width=150,
        )
    rows = filters.current(scorer, lambda kind: judgements.marks(judged, kind))
    total = cached_scores.count(store, rows)
    with st.container(key="grid2_browse"):
        left, right = st.columns([4, 7], gap="medium")
    with left:
        first = _list(store, rows, total, scorer, lowest == "Highest first", judged)
    with right:
        sample_id = opened() or first
        if sample_id is None:
            st.caption("No sample matches these filters.")
            st.button("Clear filters", on_click=filters.clear, key="clear_none")
            return
        try:
            show(run, store, sample_id, scorer, judged)
        except UserError as error:
            st.text(str(error))
            st.button("Close it", on_click=close, key="close_unknown")


def show(run: Run, store: ScoreStore, sample_id: str, scorer: str, judged: ReviewState) -> None:
    """One sample in full."""
    sample = store.sample(sample_id)
    key = "open"
    with st.container(horizontal=True, vertical_alignment="center", key="detail_head"):
        st.caption(literal(f"{sample.source}  ·  {sample.id}"), width="stretch")
        marks.mark_buttons(run, sample, judged, key=key)
        st.button(
            "Side by side",
            icon=":material/compare:",
            help="Side by side with a sample of the same source and length whose score is far",
            key="compare_this",
            on_click=_compare,
            args=[sample_id],
        )
    st.markdown(detail.headline(store, sample, scorer))
    detail.split(sample, scorer)
    look = detail.look_controls(scorer)
    picked = detail.picked_span(sample, key)
    profile = detail.profile_in_view(run, sample, look, key=key)
    detail.tokens_of(sample, profile, look, scorer, key=key, picked=picked, box="token_box")
    detail.profile_figure(sample, profile, look, key=key, picked=picked)
    matrix = st.expander(
        "One head's attention, token by token", key="attention_matrix", on_change="rerun"
    )
    if matrix.open:  # nothing of the model is touched while it is folded
        with matrix:
            above = key if detail.chooses_head(sample, look) else None
            live_head.attention_figure(run, sample, key="matrix", of_profile=above)
    detail.original_columns(sample, store)


def _compare(sample_id: str) -> None:
    st.session_state["view"] = "Side by side"
    st.query_params["sample"] = sample_id


def _list(
    store: ScoreStore,
    rows: Filter,
    total: int,
    scorer: str,
    descending: bool,
    judged: ReviewState,
) -> str | None:
    """The page of rows and its pager; returns the id of the first row."""
    pages = max(1, -(-total // PAGE))
    state = st.session_state
    question = (str(store.run.path), store.name, rows, scorer, descending)
    if state.get("page_question") != question:  # another question starts on page 1
        state["page_question"] = question
        state["page_no"] = 1
    state["page_no"] = min(max(int(state.get("page_no", 1)), 1), pages)
    number = state["page_no"]
    with st.container(horizontal=True, vertical_alignment="center", key="pager"):
        all_match = total == store.rows
        label = count(total, "sample") if all_match else f"{total:,} of {store.rows:,} match"
        st.caption(label, width="stretch")
        st.button(
            "Previous page", icon=":material/chevron_left:", key="previous", disabled=number <= 1,
            type="tertiary", help="Previous page", on_click=_turn, args=[-1],
        )  # fmt: skip
        st.caption(f"{number:,} / {pages:,}", width="content")
        st.button(
            "Next page", icon=":material/chevron_right:", key="next", disabled=number >= pages,
            type="tertiary", help="Next page", on_click=_turn, args=[1],
        )  # fmt: skip
        _go_to(store, rows, scorer, total, pages, descending)
    if not total:
        return None
    offset = (number - 1) * PAGE
    page = cached_scores.page(store, rows, scorer, descending, offset, PAGE)
    first = str(page["id"].iloc[0])
    if step := state.pop("turned_by_key", 0):
        open_sample(first if step > 0 else str(page["id"].iloc[-1]))
    sample_rows(
        page,
        key="rows",
        numbers=_ranks(store, rows, page, scorer, offset if descending else None),
        chosen=opened() or first,
        extent=cached_scores.extent(store, scorer),
        marks={i: judgements.badge(judged, i) for i in page["id"]},
        on_choose=open_sample,
        on_turn=_turn_by_key,
        turns=[step for step in (-1, 1) if 1 <= number + step <= pages],
    )
    return first


def _ranks(
    store: ScoreStore, rows: Filter, page: pd.DataFrame, scorer: str, offset: int | None
) -> list[str]:
    """The rows' ranks among all rows; ``offset``: of the page in a list from the highest down."""
    ids = [str(i) for i in page["id"]]
    if rows.empty and offset is not None and page["score"].notna().all():
        return [f"{offset + 1 + i:,}" for i in range(len(ids))]  # a list of all: nothing to count
    own = dict(zip(ids, page["score"].fillna(math.nan).astype(float).tolist(), strict=True))
    places = cached_scores.standings(store, own, scorer)
    return [f"{places[i].rank:,}" if i in places else "–" for i in ids]


def _turn(step: int) -> None:
    st.session_state["page_no"] += step


def _turn_by_key(step: int) -> None:
    """Past the edge of a page: the other page's nearest row opens (a callback)."""
    _turn(step)
    st.session_state["turned_by_key"] = step


def _go_to(
    store: ScoreStore, rows: Filter, scorer: str, total: int, pages: int, descending: bool
) -> None:
    """Jump to a page, a rank, a percentile, or a row drawn at random."""
    with st.popover("Go to", key="go_menu", width="content"):
        state = st.session_state

        def by_rank() -> None:
            with refused.as_line():
                jump(from_rank(store, rows, scorer, int(state["go_rank"])))

        def by_percentile() -> None:
            with refused.as_line():
                jump(from_percentile(store, rows, scorer, float(state["go_percentile"])))

        def jump(sample_id: str | None) -> None:
            """To the row and its page; rows without a score stand behind all others."""
            if sample_id is None:
                return
            place = standings(store, [sample_id], scorer, rows)[sample_id]
            _jump(sample_id, place.rank if descending else place.from_lowest)

        def by_chance() -> None:
            state["random_pick"] = state.get("random_pick", 0) + 1
            with refused.as_line():
                _jump(store.at_random(rows, state["random_pick"]), None)

        def by_page() -> None:
            state["page_no"] = int(state["go_page"])

        if not total:
            st.caption("Nothing to go to.")
            return
        scored = cached_scores.scored_rows(store, scorer)
        nearest = "Among all rows. Where the filters hide that row, the next lower one opens."
        st.number_input(
            "Rank (1 = highest score)", 1, max(scored, 1), 1,
            key="go_rank", on_change=by_rank, help=nearest,
        )  # fmt: skip
        st.number_input(
            "Percentile (100 = highest score)", 0.0, 100.0, 50.0, 1.0,
            key="go_percentile", on_change=by_percentile, help=nearest,
        )  # fmt: skip
        st.number_input("Page", 1, pages, 1, key="go_page", on_change=by_page)
        st.button("A random sample", icon=":material/casino:", key="go_random", on_click=by_chance)


def _jump(sample_id: str | None, place: int | None) -> None:
    if sample_id is None:
        return
    open_sample(sample_id)
    if place is not None:
        st.session_state["page_no"] = (place - 1) // PAGE + 1
