"""Sources: how scores are distributed, by source or by any column of the data."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.installation import HOME
from circuitseer_core.runs.folder import Run
from ui.cached_scores import require_store
from ui.shell import page_header, require_run
from ui.sources import data as source_data
from ui.sources import length as length_views
from ui.sources import views as source_views
from ui.sources.trend import score_along_column
from ui.sources.two_scorings import two_scorings
from ui.widgets.scorer_choice import choose_scorer


def distributions(run: Run, store: ScoreStore, scorer: str) -> None:
    """The scoring in view by group, against length and against random heads."""
    shape, group, log, shares = source_views.controls(store)
    source_data.begin_below(store, scorer, log)
    source_views.distribution(store, scorer, shape, group, log, shares)
    with st.expander("Statistics", expanded=True, key="statistics_box"):
        source_views.statistics(source_data.summary(store, scorer, group, log), group)
    with st.container(key="grid2_sources"):
        left, right = st.columns(2, gap="large")
    with left:
        length_views.length(store, scorer, log)
    with right:
        source_views.controls_figure(store, scorer, log)
    score_along_column(store, scorer, log)


VIEWS = {"Distributions": distributions, "Two scorings": two_scorings}

page_header("Sources", "How scores spread over sources, lengths and columns of the data.")
run = require_run("score")
store = require_store(run)
st.html(HOME / "ui" / "pages.css")

with st.container(horizontal=True, vertical_alignment="center", key="view_bar"):
    view = st.segmented_control(
        "View",
        list(VIEWS),
        default="Distributions",
        required=True,
        key="sources_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    st.space("stretch")
    scorer = choose_scorer(store)
VIEWS[view or "Distributions"](run, store, scorer)
