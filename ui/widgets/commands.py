"""Commands to copy, folded away: what colours code is half a second's work for the browser."""

from __future__ import annotations

import streamlit as st


def show_commands(label: str, text: str, key: str) -> None:
    """A folded block of commands; nothing in it is drawn until it is opened."""
    block = st.expander(label, icon=":material/terminal:", key=key, on_change="rerun")
    if block.open:
        with block:
            st.code(text, language="bash", wrap_lines=True)
