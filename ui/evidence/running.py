"""Running experiments from the page: as jobs of the run, with an estimated time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import ALL, EXPERIMENTS
from circuitseer_core.experiments.affordable import DEFAULT, Options
from circuitseer_core.report.report import render
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from ui import judgements
from ui.widgets import wishes
from ui.widgets.markdown import literal
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.settings_field import proposed


def bar(run: Run) -> bool:
    """Run what fits, take the report; whether experiments may be started now.

    The strip above every page follows the job.
    """
    may_write = judgements.writable(run)
    status = jobs.status(run.path)
    with st.container(horizontal=True, vertical_alignment="bottom", key="evidence_bar"):
        seconds = st.number_input(
            "Seconds to spend", 10, 86_400, int(proposed(Options, "seconds")), step=60,
            key="seconds", width=150,
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
            data=partial(render, run, scoring=scoring_in_view(run)),
            file_name=f"{run.name}-report.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/description:",
            key="report",
        )
    if not judgements.offer_copy(run, "To run experiments, make a copy."):
        return False
    if wishes.granted("run_all"):
        scores = other_scoring(run)
        start(run, ALL, {"seconds": seconds} | ({"scores": scores} if scores else {}))
        st.rerun()
    if problem := st.session_state.pop("evidence_problem", None):
        st.error(literal(problem), icon=":material/error:")
    return not status.live


def other_scoring(run: Run) -> str:
    """The scoring in view where experiments would take another by themselves; else nothing."""
    in_view = scoring_in_view(run)
    return "" if in_view in (None, DEFAULT) else str(in_view)


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
