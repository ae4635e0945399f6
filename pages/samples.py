"""Samples: find, read and judge what was scored."""

import streamlit as st

from ui.sample_browse import browse, restore
from ui.sample_pairs import blind_review, side_by_side
from ui.scorer_choice import choose_scorer
from ui.shell import ROOT, page_header, require_run
from ui.store import require_store

VIEWS = {"Browse": browse, "Side by side": side_by_side, "Blind review": blind_review}

page_header("Samples", "Read what scores high and what scores low, and check the score by eye.")
run = require_run("score")
store = require_store(run)
st.html(ROOT / "ui" / "samples.css")

with st.container(horizontal=True, vertical_alignment="center", key="view_bar"):
    view = st.segmented_control(
        "View",
        list(VIEWS),
        default="Browse",
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    st.space("stretch")
    scorer = choose_scorer(store)
restore()
VIEWS[view or "Browse"](run, store, scorer)
