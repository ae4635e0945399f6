"""Checking an exported file by upload: does it still follow from this run and its manifest?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.export.uploaded import verify_uploaded
from circuitseer_core.export.verify import VerifyResult
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count
from ui.widgets.markdown import literal


def upload(run: Run) -> None:
    """Take a file and its manifest, derive the subset again, and say what differs."""
    st.subheader("Check an exported file", anchor=False)
    st.caption(
        "The downloaded archive, or the exported file and its manifest together: the subset is "
        "derived again from this run, and every difference is told. Nothing is kept of the upload."
    )
    files = st.file_uploader(
        "Downloaded archive, or exported file and manifest",
        accept_multiple_files=True,
        key="verify_files",
    )
    if not files:
        return
    try:
        result = checked(run, files)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    for note in result.notes:
        st.caption(literal(note))
    for message in result.messages:
        st.error(literal(message), icon=":material/difference:")
    if result.ok:
        st.success(f"{count(result.rows, 'row')} derived again, nothing differs.")


def checked(run: Run, files: list[Any]) -> VerifyResult:
    """Verify uploads (``name``, ``getvalue()``). UserError where they are no whole export."""
    return verify_uploaded([(file.name, file.getvalue()) for file in files], run.path)
