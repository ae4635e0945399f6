"""Evidence: does it hold here? Every experiment with its verdict, and the go/no-go sentence."""

import streamlit as st

from circuitseer_core.installation import HOME
from ui.evidence import arms_sets, cards, decision, running, verifying
from ui.shell import page_header, require_run

page_header("Evidence", "What this run shows, and what it does not: each verdict with interval.")
run = require_run()
st.html(HOME / "ui" / "pages.css")

decision.show(run)
can_run = running.bar(run)
for section, shown in cards.sections(run).items():
    st.subheader(section, anchor=False)
    for card in shown:
        cards.card(run, card, can_run)
arms_sets.card(run, can_run)
verifying.upload(run)
