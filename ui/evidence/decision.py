"""The top of the page: the go/no-go sentence of the newest selection from the scoring in view."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.go_no_go import go_no_go
from ui.shell import link_to
from ui.widgets.markdown import inline, prose
from ui.widgets.scoring_choice import drawn_in_view

_BADGES: dict[str, tuple[Any, str]] = {
    "go": ("green", "Go"),
    "open": ("gray", "Open"),
    "no-go": ("orange", "No-go"),
}


def show(run: Run) -> None:
    """The decision, or what has to be there before one can be made."""
    selection = drawn_in_view(run)
    with st.container(border=True, key="card_decision"):
        if selection is None:
            st.markdown("**Is a draw from this run anything but length and any heads?**")
            st.caption("Not known before a subset is drawn from these scores.")
            link_to("export", "Draw a subset", icon=":material/arrow_forward:")
            return
        answer = go_no_go(run, selection)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Selection {inline(selection.name)}**", width="content")
            colour, word = _BADGES[answer.decision]
            st.badge(word, color=colour)
        st.markdown(prose(answer.reason))
