"""Options as text: NAME=VALUE, and several values in one.

These stand between commas, or in a JSON list where one of them has a comma.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from circuitseer_core.errors import UserError


def parted(value: Any) -> Any:
    """The values of a text: ``a,b``, or ``["a,b", "c"]``. What is no text passes through."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            values = json.loads(value)
        except ValueError:  # a name may begin like this
            values = None
        if isinstance(values, list) and all(isinstance(one, str) for one in values):
            return values
    return [part for part in value.split(",") if part]


def joined(values: Iterable[Any]) -> str:
    """The text that :func:`parted` reads back as these values."""
    words = [str(value) for value in values]
    plain = ",".join(words)
    return plain if parted(plain) == words else json.dumps(words, ensure_ascii=False)


def parse_options(pairs: Sequence[str]) -> dict[str, str]:
    """``["fraction=0.2", "seed=1"]`` as options.

    Raises UserError where one has no ``=``, or is there twice: one of the two would be lost.
    """
    options: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{pair!r} is not NAME=VALUE")
        key = name.strip().replace("-", "_")
        if key in options:
            raise UserError(f"option {name.strip()} is there twice: several values go with commas")
        options[key] = value.strip()
    return options
