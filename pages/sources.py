"""Sources: how scores are distributed, by source or by any column of the data."""

import streamlit as st

from circuitseer_core.installation import HOME
from ui.cached_scores import require_store
from ui.shell import page_header, require_run
from ui.sources import data as source_data
from ui.sources import length as length_views
from ui.sources import views as source_views
from ui.widgets.scorer_choice import choose_scorer

page_header("Sources", "How scores spread over sources, lengths and columns of the data.")
run = require_run("score")
store = require_store(run)
st.html(HOME / "ui" / "pages.css")

with st.container(horizontal=True, vertical_alignment="center", key="view_bar"):
    shape, group, log, shares = source_views.controls(store)
    scorer = choose_scorer(store)
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
