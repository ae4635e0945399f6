"""``circuitseer adopt RUN``: take over a run that came from another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def adopt(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
) -> None:
    """Take over a run from another machine, to write into it.

    Look at it first: a stage uses the model and the data that it names.
    """
    from circuitseer_core.runs import ownership
    from circuitseer_core.runs.folder import Run

    folder = Run.open(run).path
    if ownership.is_own(folder):
        typer.echo(f"{folder} is yours already")
        return
    ownership.adopt(folder)
    typer.echo(f"{folder} is yours now: stages and jobs go on in it")
