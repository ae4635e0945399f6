"""A run from another machine: read as it is, and adopted before anything is written into it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run
from ui.widgets import refused

FOREIGN = (
    "This run was not made on this machine: it opens for reading. Adopt it if you trust where it "
    "comes from; a job then uses the model that it names."
)


def offer_adoption(run: Run) -> bool:
    """True where the run may be written to; else one line, a button that adopts it, and False."""
    if ownership.is_own(run.path):
        return True
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(FOREIGN, width="content")
        adoption_button(run)
    return False


def adoption_button(run: Run, help: str | None = None) -> None:
    """The button alone."""
    st.button(
        "Adopt this run",
        icon=":material/shield:",
        on_click=_adopt,
        args=[run.path],
        key="adopt_run",
        help=help,
    )


def _adopt(path: Path) -> None:
    with refused.as_line():
        ownership.adopt(path)
