"""What a callback was refused: a line on the page that is drawn next, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from circuitseer_core.errors import UserError, machine_line, one_line
from ui.widgets.markdown import literal

_KEY = "_refused"


@contextmanager
def as_line() -> Iterator[None]:
    """Around what a callback does: bad input, and what the machine refuses, become one line."""
    try:
        yield
    except UserError as error:
        st.session_state[_KEY] = str(error)
    except OSError as error:
        st.session_state[_KEY] = machine_line(error) or one_line(error)


def show() -> None:
    """Write the line, once."""
    if problem := st.session_state.pop(_KEY, None):
        st.error(literal(problem), icon=":material/error:")
