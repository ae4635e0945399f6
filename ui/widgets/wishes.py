"""Buttons that start something: the click leaves a wish, the script run that follows acts on it.

A callback's own arguments are those of the page as last drawn. A click that overtakes a change of
the settings, as on a busy machine, would act on the settings of before the change.

A wish is for the form as it then is: where that cannot be started, :func:`answered` drops the wish,
or it would start by itself once the settings are mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


def leave(name: str) -> None:
    """Leave the wish ``name`` (a callback)."""
    st.session_state[f"wish_{name}"] = True


def granted(name: str) -> bool:
    """Whether the wish was left; true once."""
    return bool(st.session_state.pop(f"wish_{name}", False))


@contextmanager
def answered(name: str) -> Iterator[None]:
    """Around (or decorating) what draws a form: a wish it did not grant is gone at its end.

    A drawing that is cut short by the next one leaves the wish to that.
    """
    yield
    granted(name)
