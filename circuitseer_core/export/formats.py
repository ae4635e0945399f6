"""The formats of an export: what they are called, and how their files end."""

from __future__ import annotations

from typing import Literal

Format = Literal[
    "jsonl", "parquet", "csv", "datasets", "messages", "prompt-completion", "alpaca"
]  # fmt: skip
LABELS: dict[Format, str] = {
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "csv": "CSV",
    "datasets": "datasets folder",
    "messages": "Chat messages",
    "prompt-completion": "Prompt–completion",
    "alpaca": "Alpaca",
}
"""What the app calls each."""
FORMATS: tuple[Format, ...] = tuple(LABELS)

SHAPED: frozenset[str] = frozenset({"messages", "prompt-completion", "alpaca"})
"""JSON Lines whose columns are a trainer's (shapes.py); they hold rows with a response only."""

_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "jsonl": _LINES,
    "messages": _LINES,
    "prompt-completion": _LINES,
    "alpaca": _LINES,
    "parquet": (".parquet",),
    "csv": (".csv",),
}
"""How a file of a format may end, the usual way first; a datasets export is a folder."""

KNOWN_SUFFIXES = {*(end for ends in SUFFIXES.values() for end in ends), ".tsv", ".arrow"}
"""Endings that say what a file holds, those of no format here too."""


def format_of(suffix: str) -> Format:
    """The format that a file's ending means: JSON Lines where it means none."""
    return next((form for form, ends in SUFFIXES.items() if suffix.lower() in ends), "jsonl")


def file_name(stem: str, form: Format) -> str:
    """What an export is called where the person named only its folder."""
    middle = f".{form}" if form in SHAPED else ""
    return stem + middle + SUFFIXES.get(form, ("",))[0]
