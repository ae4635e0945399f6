"""Keeping a draw: written by a job of its own, downloaded as the very bytes of ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core import limits
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.export.write import export, export_bytes
from circuitseer_core.runs import jobs, ownership
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection.overlap import NoiseFloor
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import percent
from ui import judgements as review_store
from ui.export import draw as draw_data
from ui.export import settings as draw_settings
from ui.export.draw import Shown
from ui.widgets import wishes
from ui.widgets.adoption import offer_adoption
from ui.widgets.commands import show_commands

FORMATS = {
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "messages": "Chat messages",
    "datasets": "datasets folder",
}
_MIME = {"jsonl": "application/jsonl", "messages": "application/jsonl"}


def keep(run: Run, settings: SelectionSettings) -> None:
    """Draw and keep the subset under a name; then take it away."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="keep_bar"):
        st.text_input("Name", value="default", key="selection_name", persist_state="session",
                      width=220)  # fmt: skip
        if wishes.granted("keep"):
            _start(run, settings)
        status = jobs.status(run.path)
        busy = status.live
        st.button(
            "Draw and keep it",
            type="primary",
            icon=":material/done_all:",
            key="keep",
            disabled=busy or not (review_store.writable(run) and ownership.is_own(run.path)),
            on_click=wishes.leave,
            args=["keep"],
        )
        same = _kept_as_shown(run, settings)
        if same:
            st.caption(f"Kept as shown: {settings.name}", width="content")
    if not review_store.offer_copy(run, "To keep a subset, make a copy."):
        return
    if not offer_adoption(run):
        return
    _watch(run, status.live)
    if problem := st.session_state.pop("keep_problem", None):
        st.text(problem)
    show_commands("The same by command", settings.command(run.path), key="draw_command")


def take_away(run: Run) -> None:
    """Download or write one kept selection."""
    names = list(run.selection_records())
    if not names:
        st.caption("Nothing is kept yet: draw and keep a subset first.")
        return
    if st.session_state.pop("just_kept", False) or "export_name" not in st.session_state:
        st.session_state["export_name"] = names[0]  # the newest
    with st.container(horizontal=True, vertical_alignment="bottom", key="export_bar"):
        name = st.selectbox("Selection", names, key="export_name", width=220)
        form: Any = st.segmented_control(
            "Format", list(FORMATS), default="jsonl", required=True, key="format",
            format_func=FORMATS.__getitem__, persist_state="session",
        )  # fmt: skip
        if form != "datasets":
            suffix = "parquet" if form == "parquet" else "jsonl"
            st.download_button(
                "Export",
                data=lambda: export_bytes(run, name, form),
                file_name=f"{name}.{suffix}",
                mime=_MIME.get(form, "application/octet-stream"),
                on_click="ignore",
                type="primary",
                icon=":material/download:",
                key="export",
            )
    _write_folder(run, name, form)


def earlier(run: Run, store: ScoreStore, settings: SelectionSettings, drawn: Shown) -> None:
    """Kept selections, comparable: settings, diagnostics, overlap with the draw in view."""
    records = run.selection_records()
    for name in set(run.selections()) - set(records):
        st.text(f"Selection {name} cannot be read: its selection.json is damaged.")
    if not records:
        return
    names = list(records)
    shared = draw_data.overlaps(run, store, drawn, names)
    floors = draw_data.floors(run, store, settings, records)
    rows = [_row(records[name]) | _overlap(shared[name], floors[name]) for name in names]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content" if len(rows) < 10 else 380,
        key="earlier",
        column_config={
            "rows": st.column_config.NumberColumn("rows", format="localized"),
            "lift": st.column_config.NumberColumn("lift", format="percent"),
            "effective": st.column_config.NumberColumn("effective size", format="percent"),
            "shared": st.column_config.NumberColumn(
                "shared with the draw above", format="percent",
                help="Share of the draw in view that this selection holds too",
            ),
            "shuffled": st.column_config.NumberColumn(
                "with shuffled scores", format="percent",
                help="The same share had its scores been shuffled: what its size and, under one "
                "seed, the shared noise make alone (mean of 20 shuffles)",
            ),
            "equal": st.column_config.NumberColumn(
                "with equal scores", format="percent",
                help="The same share had all its scores been equal",
            ),
            "beyond": st.column_config.NumberColumn(
                "beyond shuffled", format="percent",
                help="From 0, what shuffled scores share, to 100 %, all of the draw in view",
            ),
        },
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Selection to reopen", names, key="reopen", width=220)
        st.button(
            "Use its settings",
            key="use_settings",
            icon=":material/tune:",
            on_click=draw_settings.load,
            args=[records[chosen].settings.to_json()],
        )


def _overlap(share: float, floor: NoiseFloor | None) -> dict[str, float | None]:
    """What a kept selection shares with the draw in view, beside what it would share by chance."""
    if floor is None:
        return {"shared": share, "shuffled": None, "equal": None, "beyond": None}
    beyond = limits.beyond_chance(share, floor.permuted)
    return {"shared": share, "shuffled": floor.permuted, "equal": floor.uniform, "beyond": beyond}


def _start(run: Run, settings: SelectionSettings) -> None:
    try:
        jobs.start(run.path, [settings.words(run.path)])
    except UserError as error:
        st.session_state["keep_problem"] = str(error)


def _watch(run: Run, live: bool) -> None:
    """Follow the job that draws, then draw the page anew."""

    @st.fragment(run_every=0.5 if live else None)
    def follow() -> None:
        status = jobs.status(run.path)
        if status.live:
            message = (status.progress and status.progress.message) or "drawing"
            st.caption(f"{message} … {status.seconds:.0f} s")
        elif live:
            st.session_state["just_kept"] = True
            st.rerun()
        elif status.state == "failed" and status.steps and status.steps[-1][0] == "select":
            st.text(status.error or "The draw failed: see the run's log on the Runs page.")

    follow()


def _kept_as_shown(run: Run, settings: SelectionSettings) -> bool:
    kept = run.selection_records().get(settings.name)
    return kept is not None and kept.settings.to_json() == settings.model_dump(mode="json")


def _write_folder(run: Run, name: str, form: str) -> None:
    """Data, manifest and dataset card into a folder of this machine."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="write_bar"):
        suffix = {"parquet": ".parquet", "datasets": ""}.get(form, ".jsonl")
        out = st.text_input(
            "Or write it on this machine, with manifest and dataset card",
            value=str(Path("exports") / f"{name}{suffix}"),
            key=f"out_{name}_{form}",
        )
        if st.button("Write", key="write", icon=":material/folder:"):
            try:
                done = export(run, name, Path(out), form)  # type: ignore[arg-type]
            except UserError as error:
                st.session_state["written"] = str(error)
            else:
                st.session_state["written"] = (
                    f"{done.rows:,} rows in {done.path}; manifest {done.manifest.name}, "
                    f"card {done.card.name}"
                )
    if written := st.session_state.pop("written", None):
        st.text(written)


def _row(selection: SelectionRecord) -> dict[str, Any]:
    settings = SelectionSettings.of(**selection.settings.to_json())
    if settings.count:
        budget = f"{settings.count:,} rows"
    elif settings.tokens:
        budget = f"{settings.tokens:,} tokens"
    else:
        budget = percent(settings.share or 0)
    control = "" if settings.length_control == "none" else ", length out"
    drawn = selection.diagnostics
    return {
        "name": selection.name,
        "drawn": selection.created[:16].replace("T", " "),
        "scorer": settings.scorer + control,
        "τ": f"{selection.temperature:g}",
        "budget": budget,
        "seed": settings.seed,
        "rows": selection.counts.selected,
        "lift": drawn.score.lift if drawn else None,
        "effective": drawn.ess_share if drawn else None,
    }
