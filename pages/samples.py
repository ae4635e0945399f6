"""Samples: find, read and judge what was scored."""

import streamlit as st

from circuitseer_core.installation import HOME
from ui.cached_scores import require_store
from ui.samples.blind import blind_review
from ui.samples.browse import browse
from ui.samples.contrast import high_and_low
from ui.samples.opened import restore
from ui.samples.pairs import side_by_side
from ui.shell import page_header, require_run
from ui.widgets.view_bar import view_bar

VIEWS = {
    "Browse": browse,
    "High and low": high_and_low,
    "Side by side": side_by_side,
    "Blind review": blind_review,
}

page_header("Samples", "Read what scores high and what scores low, and check the score by eye.")
run = require_run("score")
store = require_store(run)
st.html(HOME / "ui" / "pages.css")

view, scorer = view_bar(store, VIEWS, "view")
restore()
view(run, store, scorer)
