"""Checking an exported file by upload: does it still follow from this run and its manifest?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.data.uploads import file_name
from circuitseer_core.errors import UserError
from circuitseer_core.export.manifest import SUFFIX
from circuitseer_core.export.verify import VerifyResult, verify
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count
from ui.widgets.markdown import literal


def upload(run: Run) -> None:
    """Take a file and its manifest, derive the subset again, and say what differs."""
    st.subheader("Check an exported file", anchor=False)
    st.caption(
        "The exported file and its manifest, together: the subset is derived again from this run, "
        "and every difference is told. Nothing is kept of the upload."
    )
    files = st.file_uploader(
        "Exported file and NAME.manifest.json",
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
    """Verify uploads (``name`` and ``getvalue()``): one data file and its manifest.

    Raises:
        UserError: they are not one file with its manifest, or cannot be read.
    """
    manifests = [file for file in files if file.name.endswith(SUFFIX)]
    data = [file for file in files if not file.name.endswith(SUFFIX)]
    if len(manifests) != 1 or len(data) != 1:
        raise UserError("choose one exported file and the .manifest.json that lies beside it")
    name = file_name(data[0].name)
    with tempfile.TemporaryDirectory(prefix="circuitseer-") as folder:
        (Path(folder) / name).write_bytes(data[0].getvalue())
        (Path(folder) / f"{name}{SUFFIX}").write_bytes(manifests[0].getvalue())
        return verify(Path(folder) / name, run.path)
