"""Which column of the data a figure is about: a select box in the line above it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st


def named_apart(column: str, own: Collection[str], whose: str = "the data") -> str:
    """The name of a column of the data in a table that has columns of its ``own``."""
    return f"{column} of {whose}" if column in own else column


def choose_column(
    label: str,
    columns: Sequence[str],
    key: str,
    *,
    width: int,
    help: str | None = None,
    word: str = "",
) -> str:
    """The column asked for by choice or link; the first where these data have not that one.

    ``word``: written before the box, and with it on one line.
    """
    if word:
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", width="content"
        ):
            st.caption(word, width="content")
            return choose_column(label, columns, key, width=width, help=help)
    if st.session_state.get(key) not in columns:
        st.session_state.pop(key, None)
    return str(
        st.selectbox(
            label,
            columns,
            key=key,
            bind="query-params",
            label_visibility="collapsed",
            width=width,
            help=help,
        )
    )
