"""Which view of a page is in sight: one row of buttons, part of the link."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st


def choose_view(views: Sequence[str], key: str, *, first: str | None = None) -> str:
    """The view asked for by click or link; ``first``, or the first of all, where none is."""
    first = views[0] if first is None else first
    chosen = st.segmented_control(
        "View",
        views,
        default=first,
        required=True,
        key=key,
        wrap=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or first
