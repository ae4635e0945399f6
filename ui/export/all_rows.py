"""The whole scored pool, nothing drawn: every row with every score, handed out like a subset."""

from __future__ import annotations

from functools import partial

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.export.archive import pool_archive_bytes
from circuitseer_core.export.formats import Format, file_name
from circuitseer_core.export.pool_rows import finished_scorers
from circuitseer_core.export.write import export_all
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, listing
from ui.export.take_away import choose_format, keeps_formulas, write_to_folder
from ui.widgets.commands import show_commands
from ui.widgets.markdown import literal

MOST_ROWS = 100_000
"""Rows up to which an archive is handed to the browser: it is made in memory."""
_NAMED = 6


def all_rows(run: Run, store: ScoreStore) -> None:
    """The card: what the file holds, and the ways out. Nothing of the draw's settings counts."""
    try:
        scorers = finished_scorers(run, store.name)
    except UserError as error:
        st.caption(literal(error))
        return
    with st.container(border=True, key="card_all_rows"):
        st.markdown(
            f"{count(store.rows, 'row')} of “{literal(store.name)}” in the order of the data, each "
            f"with {count(len(scorers), 'score')} ({literal(listing(scorers, _NAMED))}). Nothing "
            "is drawn, and no setting above counts."
        )
        with st.container(horizontal=True, vertical_alignment="bottom", key="all_rows_bar"):
            form = choose_format("all_format")
            keep = keeps_formulas(form, "all_keep_formulas")
            if store.rows <= MOST_ROWS:
                st.download_button(
                    "Download all",
                    data=partial(pool_archive_bytes, run, store.name, form, keep_formulas=keep),
                    file_name=f"{store.name}.all.zip",
                    mime="application/zip",
                    on_click="ignore",
                    icon=":material/download:",
                    key="export_all",
                )
            folder = st.popover("Write to a folder", icon=":material/folder:", type="tertiary",
                                key="write_all_menu", on_change="rerun")  # fmt: skip
        if store.rows > MOST_ROWS:
            st.caption(
                f"More than {MOST_ROWS:,} rows are too many for a download: they go into a file "
                "on this machine."
            )
        stem = f"{store.name}.all"
        if folder.open:
            with folder:
                write_to_folder(
                    f"out_{stem}_{form}", file_name(stem, form), "write_all",
                    lambda out: export_all(run, store.name, out, form, keep_formulas=keep),
                )  # fmt: skip
        show_commands("The same by command", _command(run, store, form, keep), key="all_command")


def _command(run: Run, store: ScoreStore, form: Format, keep_formulas: bool) -> str:
    out = file_name(f"{store.name}.all", form)
    words = ["export", "--run", str(run.path), "--all", "--scores", store.name]
    option = ["--keep-formulas"] if keep_formulas else []
    return as_typed([*words, "--out", out, "--format", form, *option])
