"""A job's step in work as a bar: phase, how far, how long still; and going on with a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from circuitseer_core import stages
from circuitseer_core.experiments import ALL
from circuitseer_core.runs import jobs
from circuitseer_core.wording import duration
from ui.widgets import refused
from ui.widgets.markdown import inline

STEP_TITLES = {
    "detect": "Detect heads",
    "score": "Score samples",
    "calibrate": "Fit heads to a target",
    "cluster": "Group prompts by kind",
    "import-scores": "Join outside scores",
    "select": "Draw the subset",
    "validate": "Experiment",
    "arms": "Draw the comparison arms",
}
POLL_S = 1.0


def phase_bar(status: jobs.JobStatus) -> None:
    """The bar of the step in work; it has a name from the first second."""
    progress = status.progress
    if progress is None:
        st.progress(0.0, text=f"{jobs.STARTING} …")
        return
    if progress.state != "running":  # what follows a phase may be short, and without a bar
        st.progress(1.0, text=f"{inline(progress.phase or jobs.STARTING)}: done …")
        return
    if not progress.total:
        st.progress(0.0, text=f"{inline(progress.phase or jobs.STARTING)} …")
        return
    unit = progress.unit.replace(" x ", " × ")
    words = f"{progress.done:,} of {progress.total:,} {unit}"
    if progress.phase:
        words = f"{progress.phase}: {words}"
    if progress.rate:
        words += f", {progress.rate:,.1f} a second"
    if progress.eta_s is not None:
        of = " in this step" if len(status.steps) > 1 else ""
        words += f", {duration(progress.eta_s)} left{of}"
    st.progress(min(1.0, progress.done / progress.total), text=inline(words))


def title_of(step: Sequence[str]) -> str:
    """A step in words, as Markdown: "Draw the subset", "Experiment length"."""
    if step[0] == "validate" and len(step) > 3:
        return f"Experiment {inline(step[3])}" if step[3] != ALL else "Experiments that fit"
    return STEP_TITLES.get(step[0]) or inline(step[0])


def step_title(status: jobs.JobStatus) -> str:
    """The step in work, as Markdown, and which of how many it is: "Detect heads (1 of 3)"."""
    if not status.steps:
        return ""
    total = len(status.steps)
    number = min(status.step + 1, total)
    title = title_of(status.steps[number - 1])
    return title if total == 1 else f"{title} ({number} of {total})"


def resume(path: Path, adopt: bool = False) -> None:
    """Go on with the last job of a run (a callback)."""
    with refused.as_line():
        if adopt:
            stages.adopt_job(path)
        else:
            jobs.resume(path)


def cancel(path: Path) -> None:
    """Ask the job of a run to stop (a callback)."""
    with refused.as_line():
        jobs.cancel(path)
