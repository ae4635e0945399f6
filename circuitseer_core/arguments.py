"""Arguments of calls from Python: a wrong type is one clear line, as a wrong option is.

The settings classes check what they take; these check what is no setting: paths, texts, counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from operator import index
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError


def described(value: Any) -> str:
    """A value that does not fit, short enough for a message: ``int 5``, ``NoneType None``."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def a_path(name: str, value: Any) -> Path:
    """A path from text or a path. Raises UserError that names the argument."""
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        text = os.fspath(value)
        if isinstance(text, str):
            return Path(text)
    raise UserError(f"{name}: give a path, not {described(value)}")


def a_text(name: str, value: Any) -> str:
    """A text. Raises UserError that names the argument."""
    if isinstance(value, str) and value:
        return value
    raise UserError(f"{name}: give a text, not {described(value)}")


def a_count(name: str, value: Any) -> int:
    """A whole number of 1 or more. Raises UserError that names the argument."""
    try:
        number = index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise UserError(f"{name}: give a whole number of 1 or more, not {described(value)}")
    return number


def several_texts(name: str, value: Any) -> list[str]:
    """One text (or path) or several, as a list. Raises UserError that names the argument."""
    items = [value] if isinstance(value, str | os.PathLike) else value
    if isinstance(items, Iterable):
        listed = list(items)
        if all(isinstance(item, str | os.PathLike) for item in listed):
            return [str(os.fspath(item)) for item in listed]
    raise UserError(f"{name}: give a text or several, not {described(value)}")
