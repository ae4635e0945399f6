"""High against low: some samples of either end, matched in pairs for source and length."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from circuitseer_core.browse.pairs import TOLERANCE
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent
from ui import cached_scores, judgements
from ui.samples import filters
from ui.samples.opened import open_sample
from ui.widgets.markdown import together
from ui.widgets.tokens import sample_rows

MOST = 50


def high_and_low(run: Run, store: ScoreStore, scorer: str) -> None:
    """Two columns, row by row of one source and nearly one length; a click reads the sample."""
    judged = judgements.state(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="contrast_bar"):
        filters.search_box()
        filters.filter_menu(store, scorer)
        wanted = int(st.number_input("Pairs", 1, MOST, 10, key="contrast_pairs",
                                    bind="query-params", width=110))  # fmt: skip
        gap = float(st.number_input(
            "Least gap, percentiles", 0.0, 99.0, 25.0, 5.0, key="contrast_gap",
            bind="query-params", format="%g", width=170,
        ))  # fmt: skip
    rows = filters.current(scorer, lambda kind: judgements.marks(judged, kind))
    pairs = cached_scores.sets(store, rows, scorer, wanted, gap)
    if pairs.empty:
        st.caption(
            "No two samples of one source and nearly one length lie this far apart: ask for a "
            "smaller gap, or for more rows."
        )
        st.button("Clear filters", on_click=filters.clear, key="clear_contrast")
        return
    fewer = len(pairs) < wanted
    shown = f"{len(pairs)} of " * fewer + count(wanted, "pair")
    more = " A smaller gap finds more." if fewer and gap else ""
    st.caption(
        together(
            f"{shown}, row by row of one source, lengths within {percent(TOLERANCE)}, no sample "
            f"twice, at least {gap:g} percentile points apart.{more}"
        )
    )
    with st.container(key="grid2_contrast"):
        columns = st.columns(2, gap="medium")
    for column, side in zip(columns, ("high", "low"), strict=True):
        with column:
            st.markdown(f"**{side.capitalize()} score**")
            _list(store, pairs, side, scorer)


def _list(store: ScoreStore, pairs: pd.DataFrame, side: str, scorer: str) -> None:
    names = {"id": side, "source": "source", "n_tokens": f"{side}_tokens"}
    names |= {name: f"{side}_{name}" for name in ("score", "text", "place")}
    frame = pd.DataFrame({name: pairs[column] for name, column in names.items()})
    sample_rows(
        frame,
        key=f"contrast_{side}",
        numbers=[f"{number:,}" for number in range(1, len(frame) + 1)],
        chosen=None,
        extent=cached_scores.extent(store, scorer),
        marks={
            i: f"percentile\u00a0{place:.1f}"
            for i, place in zip(frame["id"], frame["place"], strict=True)
        },
        on_choose=_read,
    )


def _read(sample_id: str) -> None:
    """Open the sample in Browse (a callback)."""
    open_sample(sample_id)
    st.session_state["view"] = "Browse"
