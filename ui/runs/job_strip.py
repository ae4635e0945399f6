"""What is at work, on every page: a strip above it, with the way to stop a job or to go on with it.

Runs whose job is at work are found by their lock file, so a page asks nothing of the others.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs import jobs
from circuitseer_core.runs.listing import list_runs
from ui.runs.job_bar import POLL_S, cancel, phase_bar, resume, step_title
from ui.shell import BUNDLED, link_to, run_path
from ui.widgets.markdown import literal
from ui.words import BADGES

MOST = 3
"""Jobs shown at once."""


def show(page: str) -> None:
    """The strips of ``page``; under Watch the run in view has a panel instead."""
    in_view = st.session_state.get("run_key")
    watched = page == "runs" and _is_watching()
    shown = [path for path in list_runs() if (path / "lock").is_file()]
    if in_view and in_view != BUNDLED and run_path(in_view) not in shown:
        shown.append(run_path(in_view))
    count = 0
    for path in shown:
        if path.name == in_view and watched:
            continue
        try:
            status = jobs.status(path)
        except UserError:
            continue  # the page itself says what cannot be read
        if status.live or (status.resumable and path.name == in_view):
            count += 1
            if count <= MOST:
                _strip(path, status, foreign=path.name != in_view)
    if count > MOST:
        link_to("runs", f"and {count - MOST} more", icon=":material/list:", runs_view="Watch")


def _is_watching() -> bool:
    """Whether the Runs page, which is drawn after this, will show its panel of the run in view."""
    view = st.session_state.get("runs_view", st.query_params.get("runs_view"))
    return view == "Watch" if view else "stage" not in st.query_params


def _strip(path: Path, status: jobs.JobStatus, *, foreign: bool) -> None:
    """One job: its state and buttons, and below them the bar that renews itself."""
    with st.container(border=True, key=f"card_strip_{path.name}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            colour, word = BADGES[status.state]
            st.badge(word, color=colour)
            # The buttons stand outside the part that polls: see job_panel.watch.
            title = step_title(status)
            if foreign:
                title = f"**{literal(path.name)}**: {title}"
            st.markdown(title, width="stretch")
            if status.live:
                st.button(
                    "Cancel", icon=":material/stop_circle:", type="tertiary",
                    key=f"strip_cancel_{path.name}", on_click=cancel, args=[path],
                    disabled=status.state == "stopping",
                )  # fmt: skip
            elif status.ours:
                st.button(
                    "Resume", icon=":material/resume:", type="tertiary",
                    key=f"strip_resume_{path.name}", on_click=resume, args=[path],
                )  # fmt: skip
            link_to("runs", "Watch", icon=":material/visibility:", run=path.name, runs_view="Watch")
        if status.live:
            st.fragment(_bar, run_every=POLL_S)(path, status.state, status.step)
        elif status.error:
            st.caption(literal(status.error))


def _bar(path: Path, state: str, step: int) -> None:
    status = jobs.status(path)
    if (status.state, status.step) != (state, step):
        st.rerun()  # badge, buttons and title belong to the page's full run
    phase_bar(status)
