"""One action on the draw in view: keep it under a name, and hand it out with manifest and card.

A job of its own draws and keeps; the download follows by itself when it has ended. What is handed
out is the kept selection, and only where it is the very draw on the screen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError, machine_line, one_line
from circuitseer_core.export.archive import archive_bytes, push_preview
from circuitseer_core.export.formats import FORMATS, LABELS, Format, file_name
from circuitseer_core.export.push import push_files
from circuitseer_core.export.write import Exported, export
from circuitseer_core.files import user_path
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import count
from ui import judgements
from ui.export import draw
from ui.export.draw import Shown
from ui.widgets import wishes
from ui.widgets.click_once import click_once
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline
from ui.words import ago, free_name, size

KEEP = "Draw, keep and download"


@wishes.answered("keep")
def take_away(run: Run, store: ScoreStore, drawn: Shown, settings: SelectionSettings) -> None:
    """The card with the one action, and the other ways out below it."""
    with st.container(border=True, key="card_take_away"):
        with st.container(horizontal=True, vertical_alignment="bottom", key="take_away_bar"):
            name = st.text_input("Keep it as", "default", key="selection_name",
                                 bind="query-params", width=190)  # fmt: skip
            form = choose_format("format")
            keep_formulas = keeps_formulas(form, "keep_formulas")
            try:
                named = SelectionSettings.of(**settings.model_dump() | {"name": name.strip()})
            except UserError as error:
                st.text(str(error))
                return
            if wishes.granted("keep"):
                _start(run, named)
            status = jobs.status(run.path)
            same = draw.is_kept(run, store, drawn, named)
            _button(run, named.name, form, keep_formulas, same=same, busy=status.live)
        _state(run, named.name, same=same)
        if not same and not judgements.offer_copy(run, "To keep a subset, make a copy."):
            return
        _watch(run, status.live)
        if problem := st.session_state.pop("keep_problem", None):
            st.text(problem)
        _other_ways(run, named, form, keep_formulas, same=same)


def choose_format(key: str) -> Format:
    """The format that is handed out; part of the link."""
    chosen: Format = st.selectbox(
        "Format", FORMATS, key=key, bind="query-params", format_func=LABELS.__getitem__, width=170
    )
    return chosen


def keeps_formulas(form: str, key: str) -> bool:
    """Whether cells that a spreadsheet would run stay as they are; asked for CSV alone."""
    return form == "csv" and st.toggle(
        "Keep formulas",
        key=key,
        bind="query-params",
        help="Cells that begin with an equals sign, plus, minus or at sign get an apostrophe, so "
        "that no spreadsheet runs them. This leaves them as they are.",
    )


def _button(
    run: Run, name: str, form: Format, keep_formulas: bool, *, same: bool, busy: bool
) -> None:
    if same:
        st.download_button(
            "Download",
            data=partial(archive_bytes, run, name, form, keep_formulas=keep_formulas),
            file_name=f"{name}.zip",
            mime="application/zip",
            on_click="ignore",
            type="primary",
            icon=":material/download:",
            key="export",
        )
        if st.session_state.pop("fetch_when_kept", None) == (str(run.path), name):
            click_once("export", key="fetch")
        return
    disabled = busy or not judgements.writable(run)
    if name in run.selections():
        free = free_name(name, run.selections())
        with st.popover(
            KEEP, type="primary", icon=":material/download:", key="replace_menu", disabled=disabled
        ):
            st.markdown(
                f"Another draw is kept as “{inline(name)}”. This one would replace it, for good. "
                f"To keep both, type another name: “{inline(free)}” is free."
            )
            _keep_button("Replace and download", disabled)
    else:
        _keep_button(KEEP, disabled)


def _keep_button(label: str, disabled: bool) -> None:
    st.button(
        label, type="primary", icon=":material/download:", key="keep", disabled=disabled,
        on_click=wishes.leave, args=["keep"],
    )  # fmt: skip


def _state(run: Run, name: str, *, same: bool) -> None:
    """What the archive holds, and how the kept selection of this name stands to the draw."""
    record = run.selection_records().get(name)
    if same and record is not None:
        st.caption(
            f"Kept as shown: {inline(name)}, {count(record.counts.selected, 'row')}, "
            f"{ago(record.created)}. The archive holds data, manifest and dataset card."
        )
    elif name in run.selections():
        st.caption(f"Another draw is kept as “{inline(name)}”.")
    else:
        st.caption("One archive with data, manifest and dataset card.")


def _start(run: Run, settings: SelectionSettings) -> None:
    replace = ["--replace"] if settings.name in run.selections() else []  # it was asked for
    try:
        jobs.start(run.path, [[*settings.words(run.path), *replace]])
    except UserError as error:
        st.session_state["keep_problem"] = str(error)
    else:
        st.session_state["fetch_when_kept"] = (str(run.path), settings.name)


def _failed_step(status: jobs.JobStatus) -> str | None:
    """The command that a failed job stopped at: what failed before a draw is no fault of it."""
    return status.steps[status.step][0] if status.step < len(status.steps) else None


def _watch(run: Run, live: bool) -> None:
    """Follow the job that draws, then draw the page anew."""

    @st.fragment(run_every=0.5 if live else None)
    def follow() -> None:
        status = jobs.status(run.path)
        if status.live:
            phase = (status.progress and status.progress.phase) or jobs.STARTING
            st.caption(f"{inline(phase)} … {status.seconds:.0f} s")
        elif live:
            st.rerun()
        elif status.state == "failed" and _failed_step(status) == "select":
            st.session_state.pop("fetch_when_kept", None)
            st.text(status.error or "The draw failed: see the run's log on the Runs page.")

    follow()


def _other_ways(
    run: Run, settings: SelectionSettings, form: Format, keep_formulas: bool, *, same: bool
) -> None:
    """A folder of this machine, the Hub, the command: for the draw in view, once it is kept."""
    with st.container(horizontal=True, vertical_alignment="center", key="other_ways"):
        folder = st.popover(
            "Write to a folder", icon=":material/folder:", type="tertiary", disabled=not same,
            key="write_menu", on_change="rerun", help=None if same else "Keep it first.",
        )  # fmt: skip
        hub = st.popover(
            "Push to the Hub", icon=":material/cloud_upload:", type="tertiary", disabled=not same,
            key="push_menu", on_change="rerun", help=None if same else "Keep it first.",
        )  # fmt: skip
    if same and folder.open:
        with folder:
            write_to_folder(
                f"out_{settings.name}_{form}", file_name(settings.name, form), "write",
                lambda out: export(run, settings.name, out, form, keep_formulas=keep_formulas),
            )  # fmt: skip
    if same and hub.open:
        with hub:
            _push(run, settings.name, form, keep_formulas)
    show_commands("The same by command", settings.command(run.path), key="draw_command")


def write_to_folder(
    key: str, proposed: str, button: str, write: Callable[[Path], Exported]
) -> None:
    """Data, manifest and dataset card into a folder of this machine.

    ``key``, ``button``: of the field, and of the button that calls ``write`` with its path.
    """
    out = st.text_input(
        "Path on this machine; manifest and dataset card lie beside it",
        value=str(Path("exports") / proposed),
        key=key,
        width=420,
    )
    if st.button("Write", key=button):
        try:
            with st.spinner("Writing …"):
                done = write(user_path(out))
        except UserError as error:
            st.text(str(error))
        except OSError as error:
            st.text(machine_line(error) or one_line(error))
        else:
            st.text(
                f"{count(done.rows, 'row')} in {done.path}; manifest {done.manifest.name}, "
                f"card {done.card.name}"
            )


def _push(run: Run, name: str, form: Format, keep_formulas: bool) -> None:
    """What would leave the machine, file by file, and the button that sends just that."""
    repo = st.text_input("Dataset repository", key="push_repo", placeholder="owner/name", width=420)
    with tempfile.TemporaryDirectory(prefix="circuitseer-") as folder:
        try:
            files = push_preview(run, name, form, Path(folder), keep_formulas=keep_formulas)
            rows = run.selection(name).counts.selected
            st.markdown(
                f"**What leaves this machine:** {count(len(files), 'file')} to huggingface.co, "
                f"with the full texts of {count(rows, 'sample')}."
            )
            st.markdown(
                "\n".join(
                    f"- `{file}`, {size(path.stat().st_size)}" for file, path in files.items()
                )
            )
            st.caption(
                "The manifest names the model, the data files with their hashes, all settings and "
                "the commands, of paths only the last part. A repository that does not exist yet "
                "is made, private. The token is read from HF_TOKEN of the app's environment and "
                "is in none of the files."
            )
            if st.button("Push these files", key="push", icon=":material/cloud_upload:",
                         disabled=not repo.strip()):  # fmt: skip
                with st.spinner("Sending …"):
                    st.text(f"Pushed to {push_files(repo.strip(), files)}")
        except UserError as error:
            st.text(str(error))
