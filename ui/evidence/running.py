"""Running experiments from the page: as jobs of the run, with an estimated time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import ALL, EXPERIMENTS
from circuitseer_core.report.report import render
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import duration
from ui import judgements
from ui.widgets import wishes
from ui.widgets.adoption import offer_adoption
from ui.widgets.markdown import inline, literal

POLL_S = 1.0


def bar(run: Run) -> bool:
    """Run what fits, follow the job, take the report; whether experiments may be started now."""
    may_write = judgements.writable(run)
    status = jobs.status(run.path)
    with st.container(horizontal=True, vertical_alignment="bottom", key="evidence_bar"):
        seconds = st.number_input(
            "Seconds to spend", 10, 86_400, 900, step=60, key="seconds", width=150,
            help="Estimated, all together; what does not fit is left out, and the log says why.",
        )  # fmt: skip
        st.button(
            "Run what fits",
            type="primary",
            icon=":material/play_arrow:",
            key="run_all",
            disabled=status.live or not may_write,
            on_click=wishes.leave,
            args=["run_all"],
        )
        st.space("stretch")
        st.download_button(
            "Report",
            data=lambda: render(run),
            file_name=f"{run.name}-report.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/description:",
            key="report",
        )
    if not judgements.offer_copy(run, "To run experiments, make a copy."):
        return False
    if not offer_adoption(run):
        return False
    if wishes.granted("run_all"):
        start(run, ALL, {"seconds": seconds})
        status = jobs.status(run.path)
    _follow(run, status)
    if problem := st.session_state.pop("evidence_problem", None):
        st.error(literal(problem), icon=":material/error:")
    return not status.live


def start(run: Run, name: str, options: Mapping[str, Any]) -> None:
    """Start one experiment (or all) as a job; what hinders it is shown on the next drawing."""
    step = ["validate", "--run", str(run.path), name]
    for option, value in options.items():
        step += ["--set", f"{option}={value}"]
    try:
        if name in EXPERIMENTS:
            EXPERIMENTS[name].options_class().of(**options)
        jobs.start(run.path, [step])
    except UserError as error:
        st.session_state["evidence_problem"] = str(error)


def _follow(run: Run, status: jobs.JobStatus) -> None:
    """Progress of the job at work, whichever it is; the page is drawn anew when it ends."""
    if not status.live:
        failed = status.state == "failed" and status.steps and status.steps[-1][0] == "validate"
        if failed and status.error:
            st.error(literal(status.error), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="job_strip"):
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            on_click=jobs.cancel,
            args=[run.path],
            disabled=status.state == "stopping",
            key="cancel_experiment",
        )
        st.fragment(_progress, run_every=POLL_S)(run)


def _progress(run: Run) -> None:
    status = jobs.status(run.path)
    if not status.live:
        st.rerun()
    step = status.steps[status.step] if status.steps else ("",)
    name = step[3] if step[0] == "validate" and len(step) > 3 else step[0]
    progress = status.progress
    if progress is None or progress.state != "running" or not progress.total:
        st.progress(0.0, text=inline(f"{name}: starting, {duration(status.seconds)} so far"))
        return
    done = f"{progress.done:,} of {progress.total:,} {progress.unit}"
    words = f"{name}: {progress.message or progress.stage}, {done}"
    st.progress(
        min(1.0, progress.done / progress.total),
        text=inline(f"{words}, {duration(status.seconds)}"),
    )
