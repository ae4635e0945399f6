"""Several values in one option of text: between commas, or as a JSON list where one has a comma."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


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
