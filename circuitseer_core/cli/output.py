"""What a command says at its end: lines for a person, or the same facts as JSON for a script."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from circuitseer_core.json_io import jsonable


@dataclass(frozen=True, slots=True)
class Outcome:
    """``facts``: what a script reads; ``lines``: the same in words."""

    facts: Mapping[str, Any]
    lines: Sequence[str]


Tell = Callable[[Callable[[], Outcome]], None]
"""Takes what makes the outcome: it is not made where nobody wants to know."""


@contextlib.contextmanager
def telling(quiet: bool, as_json: bool) -> Iterator[Tell]:
    """Work in the block, then tell how it ended.

    With ``as_json`` standard output gets one JSON object and nothing else: whatever else is printed
    in the block goes to standard error. With ``quiet`` alone nothing is told.
    """
    stdout = sys.stdout
    aside: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if as_json:
        aside = contextlib.redirect_stdout(sys.stderr)

    def tell(made: Callable[[], Outcome]) -> None:
        if as_json:
            facts = jsonable(made().facts)
            stdout.write(json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
        elif not quiet:
            for line in made().lines:
                typer.echo(line)

    with aside:
        yield tell
