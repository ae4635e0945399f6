"""Judgements made by eye: one JSON object a line in ``RUN/review.jsonl``, appended, never edited.

Kinds: ``verdict`` (which of two samples a person finds harder, without seeing the scores), ``pin``
and ``drop`` (always in, never in), ``tag``, and ``unpin``, ``undrop``, ``untag`` that take those
back. The latest entry wins; a pin takes back a drop and a drop a pin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from circuitseer_core.distributions import Z95
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import parse_json
from circuitseer_core.runs.folder import now

KINDS = ("verdict", "pin", "drop", "tag", "unpin", "undrop", "untag")
CHOICES = ("left", "right", "tie")
VERDICT_COLUMNS = ["time", "left", "right", "choice", "scorer", "left_score", "right_score"]


@dataclass(frozen=True, slots=True)
class ReviewState:
    """Where the reviews of a run stand.

    ``tags``: id → tags. ``verdicts``: time, left, right, choice, scorer, left_score, right_score,
    in the order they were given; only the latest of a pair under one scorer counts.
    """

    pins: set[str] = field(default_factory=set)
    drops: set[str] = field(default_factory=set)
    tags: dict[str, set[str]] = field(default_factory=dict)
    verdicts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=VERDICT_COLUMNS))

    def tagged(self, *tags: str) -> set[str]:
        """Ids that carry any of the tags."""
        wanted = set(tags)
        return {sample for sample, own in self.tags.items() if own & wanted}


def append(run_path: str | Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Write one judgement down; returns the line as stored, with its time.

    One write of a whole line in append mode, so that two browser tabs cannot mix their lines.

    Raises:
        UserError: an unknown kind or choice, or a field is missing.
    """
    line = {"time": entry.get("time") or now(), **entry}
    problem = _problem(line)
    if problem:
        raise UserError(f"not a review entry: {problem}")
    text = json.dumps(line, ensure_ascii=False) + "\n"
    path = Path(run_path) / "review.jsonl"
    if _torn(path):
        text = "\n" + text
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, text.encode("utf-8", "replace"))
    finally:
        os.close(handle)
    return line


def load(run_path: str | Path) -> ReviewState:
    """Replay the file. Unreadable lines (a torn last line, say) are passed over."""
    path = Path(run_path) / "review.jsonl"
    state = ReviewState()
    if not path.is_file():
        return state
    verdicts: dict[tuple[str, ...], dict[str, Any]] = {}
    for text in path.read_bytes().splitlines():
        entry = _parse(text)
        if entry is None:
            continue
        if entry["kind"] == "verdict":
            pair = tuple(sorted((entry["left"], entry["right"])))
            key = (*pair, str(entry.get("scorer")))
            verdicts.pop(key, None)  # the later one also takes the later place
            verdicts[key] = _verdict(entry)
        else:
            _apply(state, entry)
    frame = pd.DataFrame(list(verdicts.values()), columns=VERDICT_COLUMNS)
    return ReviewState(state.pins, state.drops, state.tags, frame)


def agreement(
    verdicts: pd.DataFrame, scorer: str | None = None
) -> tuple[float, tuple[float, float], int]:
    """How often a person and the score prefer the same sample of a pair.

    Ties, by eye or by score, say nothing and are left out.

    Returns:
        (rate, (low, high), n): the share of n decided pairs that agree and its 95 % Wilson score
        interval (Wilson 1927); rate is NaN and the interval (0, 1) where n is 0.
    """
    of_scorer = verdicts if scorer is None else verdicts[verdicts["scorer"] == scorer]
    decided = of_scorer[of_scorer["choice"].isin(["left", "right"])]
    gap = decided["left_score"].astype(float) - decided["right_score"].astype(float)
    decided, gap = decided[(gap != 0) & gap.notna()], gap[(gap != 0) & gap.notna()]
    n = len(decided)
    agreed = int(((gap > 0) == (decided["choice"] == "left")).sum())
    return (agreed / n if n else float("nan")), wilson(agreed, n), n


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a proportion; (0, 1) where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float((rate * (1 - rate) / n + z**2 / (4 * n**2)) ** 0.5)
    return max(0.0, middle - half), min(1.0, middle + half)


def _problem(entry: Mapping[str, Any]) -> str | None:
    kind = entry.get("kind")
    if kind not in KINDS:
        return f"kind {kind!r} is none of {', '.join(KINDS)}"
    needed = {"verdict": ("left", "right"), "tag": ("id", "tag"), "untag": ("id", "tag")}
    for name in needed.get(str(kind), ("id",)):
        if not isinstance(entry.get(name), str) or not entry[name]:
            return f"{kind} without {name}"
    if kind == "verdict" and entry.get("choice") not in CHOICES:
        return f"choice {entry.get('choice')!r} is none of {', '.join(CHOICES)}"
    return None


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        entry = parse_json(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and _problem(entry) is None else None


def _apply(state: ReviewState, entry: Mapping[str, Any]) -> None:
    sample, kind = str(entry["id"]), str(entry["kind"])
    if kind in ("pin", "unpin", "drop"):
        state.pins.discard(sample)
    if kind in ("drop", "undrop", "pin"):
        state.drops.discard(sample)
    if kind == "pin":
        state.pins.add(sample)
    elif kind == "drop":
        state.drops.add(sample)
    elif kind == "tag":
        state.tags.setdefault(sample, set()).add(str(entry["tag"]))
    elif kind == "untag":
        state.tags.get(sample, set()).discard(str(entry["tag"]))
        if not state.tags.get(sample):
            state.tags.pop(sample, None)


def _verdict(entry: Mapping[str, Any]) -> dict[str, Any]:
    scores = entry.get("scores")
    left, right = scores if isinstance(scores, list) and len(scores) == 2 else (None, None)
    if not all(type(score) in (int, float) for score in (left, right)):
        left = right = None
    return {
        "time": entry.get("time"),
        "left": entry["left"],
        "right": entry["right"],
        "choice": entry["choice"],
        "scorer": entry.get("scorer"),
        "left_score": left,
        "right_score": right,
    }


def _torn(path: Path) -> bool:
    """Whether a crash left the last line without its end."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
