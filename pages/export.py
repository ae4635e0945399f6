"""Export: turn the dial, watch the draw, take the subset away."""

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.installation import HOME
from ui import judgements
from ui.cached_scores import require_store
from ui.export import afar, draw, views
from ui.export.all_rows import all_rows
from ui.export.kept import kept_selections
from ui.export.removals import removed_rows
from ui.export.settings import draw_settings
from ui.export.take_away import take_away
from ui.shell import page_header, require_run

page_header("Export", "Draw a subset by the score, see what the draw does, take it away.")
run = require_run("score")
store = require_store(run)
st.html(HOME / "ui" / "pages.css")

with st.container(key="grid2_draw"):
    left, right = st.columns([3, 8], gap="large")
settings = drawn = None
with left, st.container(key="draw_settings"):
    try:
        settings = draw_settings(store, judgements.state(run))
    except UserError as error:
        st.text(str(error))
with right:
    if settings is not None and afar.may_read(settings):
        try:
            with st.spinner(f"Drawing from {store.rows:,} rows …"):
                drawn = draw.shown(run, store, settings)
        except UserError as error:
            st.text(str(error))
    if settings is not None and drawn is not None:
        views.numbers(drawn.effect, settings.lowest)
        views.words(drawn.effect, settings.lowest)
        removed_rows(drawn)
        take_away(run, store, drawn, settings)
        views.figures_of(run, store, settings, drawn)
if settings is not None and drawn is not None:
    st.subheader("First rows", anchor=False)
    views.first_rows(drawn.head)
    if run.selections():
        st.subheader("Kept selections", anchor=False)
        kept_selections(run, store, settings, drawn)
st.subheader("All rows", anchor=False)
all_rows(run, store)
