"""``circuitseer app``: the browser app, from any folder."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from circuitseer_core.installation import HOME, require_extra


def app(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="8501 or the next free one by default.")
    ] = None,
) -> None:
    """Open the app on localhost, over the runs in ./runs."""
    require_extra("app", "the app", "streamlit", "starlette", "plotly", "duckdb")
    # -P: a file of the current folder must not stand in for a library's module. Streamlit reads
    # the configuration beside the script last, so one in the current folder changes nothing here.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(HOME / "app.py")]
    if port is not None:
        command += ["--server.port", str(port)]
    sys.stdout.flush()
    os.execv(sys.executable, command)
