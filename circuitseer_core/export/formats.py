"""The formats of an export: what they are called, and how their files end."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal[
    "jsonl", "parquet", "csv", "datasets", "messages", "prompt-completion", "alpaca"
]  # fmt: skip
FORMATS: tuple[Format, ...] = get_args(Format)

SHAPED: frozenset[str] = frozenset({"messages", "prompt-completion", "alpaca"})
"""JSON Lines whose columns are a trainer's (shapes.py); they hold rows with a response only."""

_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES: dict[str, tuple[str, ...]] = {
    "jsonl": _LINES,
    "messages": _LINES,
    "prompt-completion": _LINES,
    "alpaca": _LINES,
    "parquet": (".parquet",),
    "csv": (".csv",),
}
"""How a file of a format may end, the usual way first; a datasets export is a folder."""

KNOWN_SUFFIXES = {*_LINES, ".parquet", ".csv", ".tsv", ".arrow"}


def file_name(stem: str, form: Format) -> str:
    """What an export is called where the person named only its folder."""
    middle = f".{form}" if form in SHAPED else ""
    return stem + middle + SUFFIXES.get(form, ("",))[0]
