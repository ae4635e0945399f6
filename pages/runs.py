"""Runs: start one, watch it, stop it, go on with it."""

import streamlit as st

from ui.runs import prefill
from ui.runs.cluster_form import cluster_form
from ui.runs.form import form
from ui.runs.import_form import import_form
from ui.runs.job_panel import watch
from ui.runs.table import show_runs
from ui.shell import current_run, page_header, run_keys
from ui.widgets.view_choice import choose_view

page_header("Runs", "Every stage runs as a process of its own: closing this page stops nothing.")
run = current_run()
start_first = run is None or "stage" in st.query_params
views = ["Watch", "Start", "Import scores", "Clusters"]
view = choose_view(views, "runs_view", first="Start" if start_first else "Watch")
if view == "Start":
    prefill.from_link()
    form(run)
    st.stop()
if view == "Import scores":
    import_form(run)
    st.stop()
if view == "Clusters":
    cluster_form(run)
    st.stop()

if run is not None:
    watch(run)
if run_keys():
    st.subheader("All runs", anchor=False)
    show_runs("all_runs")
else:
    st.caption("There is no run yet.")
