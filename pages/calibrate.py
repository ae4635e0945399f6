"""Calibrate: a score fitted to a person's own measure of difficulty, and whether it means much."""

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs.commands import as_typed
from ui import judgements
from ui.calibrate import fit, result
from ui.shell import broken_state, link_to, page_header, require_run
from ui.widgets.commands import show_commands

page_header(
    "Calibrate",
    "Beyond the paper: every head's readings fitted to your own measure of difficulty.",
)
run = require_run("score")
names = fit.scorings_with_readings(run)
if names:
    fit.form(run, names)
else:
    fit.explain()
if not names and judgements.offer_copy(run, "To score it with head readings, make a copy."):
    st.info(
        "No scoring has head readings yet. Score with `--head-features` under another name.",
        icon=":material/info:",
    )
    link_to("runs", "Score with head readings", icon=":material/refresh:", stage="Score and draw")
    words = ["score", "--run", str(run.path), "--head-features", "--name", "heads", "--data"]
    show_commands("The same by command", f"{as_typed(words)} …", key="readings_command")
known = run.calibrations()
if known:
    if st.session_state.get("calibration") not in [None, *known]:
        del st.session_state["calibration"]
    chosen = st.selectbox("Calibration", known, key="calibration", bind="query-params", width=240)
    try:
        result.show(run, run.calibration(chosen))
    except UserError as error:
        broken_state(error)
