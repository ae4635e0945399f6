"""What a command says at its end: lines for a person, or the same facts as JSON for a script."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from circuitseer_core.errors import printable
from circuitseer_core.json_io import jsonable


@dataclass(frozen=True, slots=True)
class Outcome:
    """``facts``: what a script reads; ``lines``: the same in words."""

    facts: Mapping[str, Any]
    lines: Sequence[str]


def say(text: str, *, err: bool = False, colour: str | None = None) -> None:
    """Lines on a terminal, without what it would obey or refuse: they quote names from data."""
    lines = (printable(line) for line in text.split("\n"))
    typer.secho("\n".join(lines), err=err, fg=colour)


def json_text(facts: Any, *, indent: int | None = None) -> str:
    """JSON in readable letters; control characters and halves of surrogate pairs as escapes."""
    text = json.dumps(jsonable(facts), ensure_ascii=False, indent=indent, allow_nan=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_UNSAFE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

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
            stdout.write(json_text(made().facts, indent=1) + "\n")
        elif not quiet:
            for line in made().lines:
                say(line)

    with aside:
        yield tell
