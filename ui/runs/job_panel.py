"""Watching a run's job: progress of every step, log, cancel, resume, rename, delete."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from circuitseer_core import stages
from circuitseer_core.errors import UserError
from circuitseer_core.runs import commands, jobs
from circuitseer_core.runs.cluster_records import CLUSTER
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import duration
from ui.runs.job_bar import POLL_S, cancel, phase_bar, resume, title_of
from ui.shell import BUNDLED, link_to, open_run, run_label
from ui.widgets import refused
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.words import BADGES, ago

ICONS = {"done": "check_circle", "waiting": "radio_button_unchecked"}
RESULTS: dict[str, tuple[str, dict[str, str]]] = {
    "calibrate": ("calibrate", {}),
    "cluster": ("export", {"stratify": "equal for every stratum", "stratify_by": CLUSTER}),
    "import-scores": ("sources", {}),
    "validate": ("evidence", {}),
    "arms": ("evidence", {}),
}
"""Where what a stage made is seen first; of the others it is the Overview."""


def watch(run: Run) -> None:
    """The panel of one run; its progress renews itself while a process is at work."""
    status = jobs.status(run.path)
    with st.container(border=True, key="card_job"):
        # The buttons stand outside the part that polls: a click on a button that is being redrawn
        # at that moment is lost.
        with st.container(horizontal=True, vertical_alignment="center"):
            key = st.session_state.get("run_key")
            name = run_label(key) if key == BUNDLED else run.path.name
            st.markdown(f"**{inline(name)}**", width="content")
            colour, word = BADGES[status.state]
            st.badge(word, color=colour)
            st.space("stretch")
            _actions(run.path, status)
        st.fragment(_progress, run_every=POLL_S if status.live else None)(run.path, status.state)
    if st.session_state.get("run_key") != BUNDLED:
        _manage(run, status.live)


def _progress(path: Path, shown: str) -> None:
    status = jobs.status(path)
    if status.state != shown:
        st.rerun()  # the buttons and the polling belong to the page's full run
    if status.state == "none":
        st.caption("No job was started from the app for this run.")
        link_to("overview", "See what it holds", icon=":material/arrow_forward:")
        return
    if status.started:
        st.caption(f"Started {ago(status.started)}, at work for {duration(status.seconds)}")
    for index, step in enumerate(status.steps):
        _step(index, step, status)
    if status.error:
        st.error(literal(status.error), icon=":material/error:")
    if status.state == "done":
        page, params = RESULTS.get(status.steps[-1][0] if status.steps else "", ("overview", {}))
        link_to(page, "See the results", icon=":material/arrow_forward:", **params)
    _log(path)


def _actions(path: Path, status: jobs.JobStatus) -> None:
    if status.live:
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            on_click=cancel,
            args=[path],
            disabled=status.state == "stopping",
            key="cancel",
        )
    elif status.resumable and not status.ours:
        with st.popover("Adopt", icon=":material/shield:"):
            _offer_adoption(path, status)
    elif status.resumable:
        st.button("Resume", icon=":material/resume:", on_click=resume, args=[path], key="resume")


def _offer_adoption(path: Path, status: jobs.JobStatus) -> None:
    """What a job of another machine would run here, bound to this folder; and the button."""
    try:
        steps = stages.check_foreign(status.steps, path)
    except UserError as error:
        st.text(f"This job was not started on this machine, and cannot be run: {error}")
        return
    st.markdown("This job was not started on this machine. It would run:")
    st.code("\n".join(commands.as_typed(step) for step in steps), language="bash", wrap_lines=True)
    st.button("Adopt and resume", on_click=resume, args=[path, True], key="adopt")


def _step(index: int, step: tuple[str, ...], status: jobs.JobStatus) -> None:
    """One line a step: waiting, its progress bar, done, or where it stopped."""
    title = title_of(step)
    if index > status.step:
        st.markdown(f":gray[:material/{ICONS['waiting']}: {title}]")
    elif index < status.step or status.state == "done":
        st.markdown(f":green[:material/{ICONS['done']}:] {title}")
    elif status.live:
        st.markdown(f":primary[:material/progress_activity:] **{title}**")
        phase_bar(status)
    else:
        colour, word = BADGES[status.state]
        st.markdown(f":{colour}[:material/cancel:] {title}: {word.lower()}")


def _log(path: Path) -> None:
    with st.expander("Log", icon=":material/article:", key="log", expanded=False):
        text = jobs.log_tail(path)
        st.code(text or "empty", language=None, height=260, wrap_lines=True)


def _manage(run: Run, live: bool) -> None:
    """Rename, delete, and the commands that made the run."""
    with st.container(horizontal=True, key="manage_bar"):
        with st.popover("Rename", icon=":material/edit:", type="tertiary", disabled=live):
            st.text_input("New name", run.name, key=f"new_name_{run.name}")
            st.button("Rename", on_click=_rename, args=[run.path], key="do_rename")
        with st.popover("Delete", icon=":material/delete:", type="tertiary", disabled=live):
            st.markdown(f"Delete **{inline(run.name)}** with its heads, scores and selections?")
            st.button(
                "Delete for good",
                type="primary",
                on_click=_delete,
                args=[run.path],
                key="do_delete",
            )
    typed = [commands.as_typed(step) for step in jobs.status(run.path).steps]
    if typed:
        show_commands("Commands of this job", "\n".join(typed), key="job_commands")


def _rename(path: Path) -> None:
    name = str(st.session_state[f"new_name_{path.name}"])  # as typed by now, not as drawn
    with refused.as_line():
        if name.strip() == BUNDLED:
            raise UserError(f"{BUNDLED} is the run that ships with the app")
        open_run(jobs.rename(path, name.strip()).name)


def _delete(path: Path) -> None:
    with refused.as_line():
        jobs.delete(path)
