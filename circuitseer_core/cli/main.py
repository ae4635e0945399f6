"""The command line: one command a stage, thin over the library.

Typer parses, pydantic validates, the stages work; a :class:`UserError` becomes one line on stderr
and exit code 1, a cancelled stage exit code 130. Heavy imports stay inside the commands, so that
``--help`` and ``select`` need no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from circuitseer_core import __version__
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.cli import deliver, heads_hub, stages, study
from circuitseer_core.cli import options as opt
from circuitseer_core.cli.adopt import adopt
from circuitseer_core.cli.app import app as open_app
from circuitseer_core.cli.config import configurable
from circuitseer_core.cli.data import data
from circuitseer_core.cli.from_settings import repeatable
from circuitseer_core.cli.options import command_line, quiet_libraries
from circuitseer_core.cli.output import say
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import Cancelled, UserError, machine_line
from circuitseer_core.json_io import is_utf8
from circuitseer_core.scoring.import_scores import ImportSettings
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings

app = typer.Typer(
    name="circuitseer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut option names off at 80 columns
)
_SETTINGS: tuple[type[BaseModel], ...] = (
    *(DetectSettings, ScoreSettings, CalibrateSettings, ImportSettings, SelectionSettings),
    ArmsSettings,
)
REPEATABLE = opt.REPEATABLE.union(*map(repeatable, _SETTINGS))
"""Options that may be given several times."""
_SPREAD = REPEATABLE - {"--column"}
"""Those that may be given several values at once."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"circuitseer {__version__}")
        raise typer.Exit


@app.callback()
def circuitseer(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Its number.")
    ] = False,
) -> None:
    """Find a model's reasoning heads, score every sample by them, draw the subset."""


def main() -> None:
    """Entry point: run a command; failures a person can mend are one line."""
    try:
        for word in sys.argv[1:]:
            if not is_utf8(word):  # no record could hold it
                raise UserError(f"{word!a} is not UTF-8; rename what it names")
        _command()(spread_values(sys.argv[1:]))
    except UserError as error:
        say(f"error: {error}", err=True, colour="red")
        sys.exit(1)
    except (Cancelled, KeyboardInterrupt) as stop:
        say(str(stop) or "cancelled", err=True, colour="yellow")
        sys.exit(130)
    except MemoryError:
        typer.secho("error: memory ran out; run it again to go on", err=True, fg="red")
        sys.exit(1)
    except OSError as error:
        line = machine_line(error)
        if line is None:
            raise
        refused = f"error: {line}; once that is mended, run it again to go on"
        typer.secho(refused, err=True, fg="red")
        sys.exit(1)


@cache
def _command() -> Callable[[list[str]], object]:
    """All commands as Typer makes them of their functions, which is much of a short call's time."""
    return typer.main.get_command(app)


def spread_values(words: Sequence[str]) -> list[str]:
    """Let repeatable options take several values at once: ``--data A B`` is ``--data A --data B``.

    Typer has no such option; without this a shell glob would need one ``--data`` a file. Words
    behind ``--`` are no options' values, and ``--column`` takes one at a time, as files follow it.
    """
    spread: list[str] = []
    current: str | None = None
    for place, word in enumerate(words):
        if word == "--":
            return [*spread, *words[place:]]
        if word.startswith("--"):
            current = word if word in _SPREAD else None
        elif current is not None and spread[-1] != current:
            spread.append(current)
        spread.append(word)
    return spread


def demo(
    run: Annotated[Path | None, typer.Option(help="Where; ./runs/demo by default.")] = None,
) -> None:
    """The whole pipeline on the embedded model and data."""
    from circuitseer_core.cli.demo import run_demo
    from circuitseer_core.runs.folder import runs_home

    quiet_libraries()
    for line in run_demo(run or runs_home() / "demo", command=command_line()):
        say(line)


for command in (
    *stages.COMMANDS, *deliver.COMMANDS, *study.COMMANDS, *heads_hub.COMMANDS, data, demo, adopt,
    open_app,
):  # fmt: skip
    app.command()(configurable(command))
