"""Overview: where this run stands, what to distrust in it, and what to do next."""

import streamlit as st

from circuitseer_core.runs.stage import is_at_work
from ui.evidence import decision
from ui.overview import facts
from ui.overview.findings import show_findings
from ui.runs.table import show_runs
from ui.shell import folding_columns, link_to, page_header, require_run
from ui.words import BADGES

page_header("Overview", "Find a model's reasoning heads, score samples by them, draw the subset.")
run = require_run()

sentence = st.container(key="summary")
tiles = folding_columns(4, "numbers")
for column, (label, value, hint) in zip(tiles, facts.numbers(run), strict=True):
    column.metric(label, value, help=hint or None, border=True, height="stretch")

if run.selections():
    decision.show(run)
cards = st.container(key="warnings")
st.subheader("Steps", anchor=False)
steps = facts.steps(run)
live = is_at_work(run.path)
needs = None
for number, (column, step) in enumerate(
    zip(folding_columns(3, "steps"), steps, strict=True), start=1
):
    with column.container(border=True, height="stretch", key=f"card_step_{number}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{number}. {step.title}**")
            st.space("stretch")
            colour, word = BADGES[step.state]
            st.badge(word, color=colour)
        st.caption(step.text)
        if step.facts:
            st.markdown("  \n".join(step.facts))
        with st.container(horizontal=True):
            way = facts.way_on(step, needs, live)
            if isinstance(way, str):
                st.caption(way)
            else:
                link_to(way.page, way.label, icon=way.icon, **way.params)
        needs = None if step.state == "done" else number

st.subheader("Runs", anchor=False)
show_runs("overview_runs")

# Last, because it reads the scores: everything above is on the screen by then.
show_findings(run, sentence, cards)
