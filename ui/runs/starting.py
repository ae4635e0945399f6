"""Starting a job from a form: it is watched then, or the form says why it did not start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs import jobs
from ui.shell import watch_run
from ui.widgets.markdown import literal


def start_and_watch(path: Path, steps: Sequence[list[str]]) -> None:
    """Start the steps in the run folder ``path``; ends the script run where they start."""
    try:
        jobs.start(path, list(steps))
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    watch_run(path.name)
