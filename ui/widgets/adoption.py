"""A run from another machine: read as it is, and adopted before a job may be started in it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run


def offer_adoption(run: Run) -> bool:
    """True where jobs may be started in the run; else one line, a button that adopts it, False."""
    if ownership.is_own(run.path):
        return True
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(
            "This run was not made on this machine: it opens for reading. Adopt it if you trust "
            "where it comes from; a job then uses the model that it names.",
            width="content",
        )
        st.button(
            "Adopt this run",
            icon=":material/shield:",
            on_click=_adopt,
            args=[run.path],
            key="adopt_run",
        )
    if problem := st.session_state.pop("adopt_problem", None):
        st.text(problem)
    return False


def _adopt(path: Path) -> None:
    try:
        ownership.adopt(path)
    except UserError as error:
        st.session_state["adopt_problem"] = str(error)
