"""What the commands share: option types, so that one option reads the same everywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from circuitseer_core.data.specs import DATA_SPEC
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.machine import ALLOW_PICKLE, DEVICE

REPEATABLE = {"--data", "--runs"}
"""Options that may be given several times, or several values at once."""

Run = Annotated[Path, typer.Option("--run", help="The run folder.", show_default=False)]
Data = Annotated[list[str], typer.Option(help=DATA_SPEC, metavar="<text>", show_default=False)]
Device = Annotated[str, typer.Option(help=DEVICE)]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help=ALLOW_PICKLE)]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print nothing but errors (and what --json asks for).")
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the facts as JSON on stdout, and nothing else there."),
]
SetName = Annotated[str, typer.Option(help="Name of this scoring, for several side by side.")]


def command_line() -> str:
    """This process's command, as a person would type it."""
    return as_typed(sys.argv[1:])


def quiet_libraries() -> None:
    """Leave the terminal to our progress: the libraries' own bars and hints are noise here."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
