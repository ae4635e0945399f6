"""Lists and benchmarks that lie elsewhere: nothing is fetched before somebody here asks for it.

A link and a run from somebody else both name them, and opening either must not call an address.
"""

from __future__ import annotations

import streamlit as st

from circuitseer_core.selection.lists import remote_entries
from circuitseer_core.selection.settings import SelectionSettings

_ASKED_FOR = "read_from_afar"


def may_read(settings: SelectionSettings) -> bool:
    """Whether all that the draw reads lies here or was asked for; else what it is, and a button."""
    asked_for: set[str] = st.session_state.setdefault(_ASKED_FOR, set())
    left = [entry for entry in remote_entries(settings) if entry not in asked_for]
    if not left:
        return True
    with st.container(border=True, key="card_afar"):
        st.markdown(
            "This draw reads lists that are not on this machine. Nothing was fetched so far, and "
            "there is no draw without them."
        )
        st.code("\n".join(left), language=None, wrap_lines=True)
        st.button(
            "Fetch and draw",
            icon=":material/cloud_download:",
            key="fetch_lists",
            on_click=asked_for.update,
            args=[left],
        )
    return False
