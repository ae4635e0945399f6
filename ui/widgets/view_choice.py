"""Which of a few ways to look at something: one row of buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def choose_view(views: Sequence[str], key: str, *, first: str | None = None) -> str:
    """The view of a page asked for by click or link; ``first``, or the first of all, else."""
    return choose_one("View", views, key, first=first, in_link=True, wrap=True)


def choose_one(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    first: str | None = None,
    in_link: bool = False,
    wrap: bool = False,
    help: str | None = None,
    format_func: Callable[[str], str] = str,
) -> str:
    """The option chosen, while there is such an option; ``first``, or the first of all, else.

    ``label`` is for those who cannot see the row; ``in_link``: the choice is part of the address,
    else it lasts as long as the session.
    """
    if st.session_state.get(key) not in options:  # chosen on another run
        st.session_state.pop(key, None)
    first = options[0] if first is None else first
    keep: dict[str, Any] = {"bind": "query-params"} if in_link else {"persist_state": "session"}
    chosen: str | None = st.segmented_control(
        label,
        options,
        default=first,
        required=True,
        key=key,
        wrap=wrap,
        label_visibility="collapsed",
        help=help,
        format_func=format_func,
        **keep,
    )
    return chosen or first
