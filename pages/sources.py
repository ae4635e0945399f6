"""Sources: how scores are distributed, by source or by any column of the data."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.installation import HOME
from circuitseer_core.runs.folder import Run
from ui.cached_scores import require_store
from ui.shell import page_header, require_run
from ui.sources import data, length, views
from ui.sources.trend import score_along_column
from ui.sources.two_scorings import two_scorings
from ui.widgets.view_bar import view_bar


def distributions(run: Run, store: ScoreStore, scorer: str) -> None:
    """The scoring in view by group, against length and against random heads."""
    shape, group, log, shares = views.controls(store)
    data.begin_below(store, scorer, log)
    views.distribution(store, scorer, shape, group, log, shares)
    with st.expander("Statistics", expanded=True, key="statistics_box"):
        views.statistics(data.summary(store, scorer, group, log), group)
    with st.container(key="grid2_sources"):
        left, right = st.columns(2, gap="large")
    with left:
        length.length(store, scorer, log)
    with right:
        views.controls_figure(store, scorer, log)
    score_along_column(store, scorer, log)


VIEWS = {"Distributions": distributions, "Two scorings": two_scorings}

page_header("Sources", "How scores spread over sources, lengths and columns of the data.")
run = require_run("score")
store = require_store(run)
st.html(HOME / "ui" / "pages.css")

view, scorer = view_bar(store, VIEWS, "sources_view")
view(run, store, scorer)
