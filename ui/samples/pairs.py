"""Side by side: two samples of one source and nearly one length."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.pairs import TOLERANCE, partner
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent
from ui import cached_scores, judgements
from ui.samples import detail, filters, marks, opened
from ui.shell import folding_columns
from ui.widgets.markdown import inline, literal


def side_by_side(run: Run, store: ScoreStore, scorer: str) -> None:
    """A high-scoring sample and a low-scoring one, matched for source and length."""
    judged = judgements.state(run)
    with st.container(horizontal=True, vertical_alignment="center", key="pair_bar"):
        filters.search_box()
        filters.filter_menu(store, scorer)
        rows = filters.current(scorer, lambda kind: judgements.marks(judged, kind))
        ids = _chosen_pair(store, rows, scorer)
    if ids is None:
        return
    look = detail.look_controls(scorer)
    pair = sorted(store.samples(ids), key=lambda s: s.scores[scorer], reverse=True)
    sides = folding_columns(2, "side_by_side", gap="medium")
    for column, sample, word in zip(sides, pair, ("High", "Low"), strict=True):
        with column, st.container(border=True, key=f"card_{word.lower()}"):
            st.markdown(f"{word}er score · {detail.headline(store, sample, scorer)}")
            st.caption(literal(f"{sample.source}  ·  {sample.id}"))
            picked = detail.picked_span(sample, word)
            detail.split(sample, scorer)
            profile = detail.profile_in_view(run, sample, look, key=word)
            detail.tokens_of(
                sample, profile, look, scorer, key=word, picked=picked, box=f"token_box_{word}"
            )
            detail.profile_figure(sample, profile, look, key=word, picked=picked)
            if judgements.writable(run):
                marks.mark_buttons(run, sample, judged, key=word)


def _chosen_pair(store: ScoreStore, rows: Filter, scorer: str) -> tuple[str, str] | None:
    """The pair in view: the open sample's, or the n-th from the top; None, with the reason said."""
    anchor = opened.opened()
    if anchor is not None:
        st.button("From the top", key="unanchor", on_click=opened.close)
        try:
            place, _ = store.rank(anchor, scorer)
        except UserError as error:
            st.text(str(error))
            return None
        other = partner(store, anchor, scorer, rows=rows) if place else None
        if not place:
            st.caption(f"This sample has no {inline(scorer)}, so none is far from it.")
        elif other is None:
            st.caption(
                "Of the samples of its source that match the filters no other comes within "
                f"{percent(TOLERANCE)} of its length."
            )
        return None if other is None else (anchor, other)
    pairs = cached_scores.matched(store, rows, scorer)
    if pairs.empty:
        st.caption(
            f"No two matching samples of one source come within {percent(TOLERANCE)} in length."
        )
        return None
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        st.caption("Pair", width="content")
        number = st.number_input(
            "Pair", 1, len(pairs), 1, key="pair", label_visibility="collapsed", width=130,
            persist_state="session",
            help=f"{count(len(pairs), 'pair')}, from the highest score down. The partner is the "
            f"lowest score of the same source whose token count is within {percent(TOLERANCE)}.",
        )  # fmt: skip
    return str(pairs["high"].iloc[number - 1]), str(pairs["low"].iloc[number - 1])
