"""Runs: start one, watch it, stop it, go on with it."""

import streamlit as st

from ui.runs import prefill
from ui.runs.form import form
from ui.runs.import_form import import_form
from ui.runs.job_panel import watch
from ui.runs.table import pick_run, runs_table
from ui.shell import current_run, page_header, run_keys

page_header("Runs", "Every stage runs as a process of its own: closing this page stops nothing.")
run = current_run()
start_first = run is None or "stage" in st.query_params
view = st.segmented_control(
    "View",
    ["Watch", "Start", "Import scores"],
    default="Start" if start_first else "Watch",
    required=True,
    key="runs_view",
    bind="query-params",
    label_visibility="collapsed",
)
if view == "Start":
    prefill.from_link()
    form(run)
    st.stop()
if view == "Import scores":
    import_form(run)
    st.stop()

if run is not None:
    watch(run)
if run_keys():
    st.subheader("All runs", anchor=False)
    table = runs_table()
    st.dataframe(
        table,
        hide_index=True,
        key="all_runs",
        on_select=lambda: pick_run(table, "all_runs"),
        selection_mode="single-row",
        column_order=["run", "model", "state", "detect", "score", "select", "created"],
        column_config={name: name.capitalize() for name in table.columns},
        alt="All runs; pick a row to open the run",
    )
else:
    st.caption("There is no run yet.")
