"""Buttons that start something: the click leaves a wish, the script run that follows acts on it.

A callback's own arguments are those of the page as last drawn. A click that overtakes a change of
the settings, as on a busy machine, would act on the settings of before the change.
"""

from __future__ import annotations

import streamlit as st


def leave(name: str) -> None:
    """Leave the wish ``name`` (a callback)."""
    st.session_state[f"wish_{name}"] = True


def granted(name: str) -> bool:
    """Whether the wish was left; true once."""
    return bool(st.session_state.pop(f"wish_{name}", False))
