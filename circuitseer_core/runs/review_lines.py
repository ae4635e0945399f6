"""The lines of ``RUN/review.jsonl``: which of them are judgements, and how many cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from circuitseer_core.json_io import parse_json
from circuitseer_core.runs.review_records import CHOICES, ReviewBatch

REVIEW_FILE = "review.jsonl"
KINDS = ("batch", "verdict", "close", "pin", "drop", "tag", "unpin", "undrop", "untag")

_NEEDED = {
    "verdict": ("left", "right"),
    "tag": ("id", "tag"),
    "untag": ("id", "tag"),
    "batch": ("batch",),
    "close": ("batch",),
}


def read_lines(run_path: str | Path) -> tuple[list[dict[str, Any]], int]:
    """The judgements of a run, oldest first, and how many lines are none and count for nothing.

    A last line without an end is what a crash left of one that was never kept: it is no loss.
    """
    path = Path(run_path) / REVIEW_FILE
    if not path.is_file():
        return [], 0
    raw = path.read_bytes()
    lines = [line for line in raw.splitlines() if line.strip()]
    entries = [_parsed(line) for line in lines]
    lost = sum(entry is None for entry in entries)
    if entries and entries[-1] is None and not raw.endswith(b"\n"):
        lost -= 1
    return [entry for entry in entries if entry is not None], lost


def problem_of(entry: Mapping[str, Any]) -> str | None:
    """Why a line is no judgement; None where it is one."""
    kind = entry.get("kind")
    if kind not in KINDS:
        return f"kind {kind!r} is none of {', '.join(KINDS)}"
    for name in _NEEDED.get(str(kind), ("id",)):
        if not isinstance(entry.get(name), str) or not entry[name]:
            return f"{kind} without {name}"
    if kind == "verdict" and entry.get("choice") not in CHOICES:
        return f"choice {entry.get('choice')!r} is none of {', '.join(CHOICES)}"
    if kind == "batch":
        try:
            ReviewBatch.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            return f"batch: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = parse_json(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and problem_of(entry) is None else None
