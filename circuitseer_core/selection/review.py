"""Judgements made by eye: one JSON object a line in ``RUN/review.jsonl``, appended, never edited.

Kinds: ``batch`` (pairs of samples to be judged together), ``verdict`` (which of two a person finds
harder, without seeing the scores), ``close`` (the end of a batch, from which on its agreement may
be looked at), ``pin`` and ``drop`` (always in, never in), ``tag``, and ``unpin``, ``undrop``,
``untag`` that take those back. The latest entry wins; a pin takes back a drop and a drop a pin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import now
from circuitseer_core.runs.review_lines import REVIEW_FILE, problem_of, read_lines
from circuitseer_core.runs.review_records import ReviewBatch, ReviewVerdict

DECIDED = ("left", "right")
VERDICT_COLUMNS = [
    *("time", "left", "right", "choice", "scorer", "left_score", "right_score"),
    *("batch", "scoring"),
]


@dataclass(slots=True)
class ReviewState:
    """Where the reviews of a run stand.

    ``tags``: id → tags. ``verdicts``: time, left, right, choice, scorer, left_score, right_score,
    batch, scoring, in the order they were given; only the latest of a pair under one score counts.
    ``batches``: by id, oldest first; ``closed``: the ids of those that were ended before their
    last pair was judged. ``lost``: lines that cannot be read, other than a torn last one.
    """

    pins: set[str] = field(default_factory=set)
    drops: set[str] = field(default_factory=set)
    tags: dict[str, set[str]] = field(default_factory=dict)
    verdicts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=VERDICT_COLUMNS))
    batches: dict[str, ReviewBatch] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    lost: int = 0

    def tagged(self, *tags: str) -> set[str]:
        """Ids that carry any of the tags."""
        wanted = set(tags)
        return {sample for sample, own in self.tags.items() if own & wanted}

    def of_batch(self, batch: ReviewBatch) -> dict[int, str]:
        """What was chosen by number of the pair (0 = first): left, right, tie or skip."""
        own = self.verdicts[self.verdicts["batch"] == batch.batch]
        choices = {
            (left, right): choice
            for left, right, choice in zip(own["left"], own["right"], own["choice"], strict=True)
        }
        chosen = {n: choices.get((pair.left, pair.right)) for n, pair in enumerate(batch.pairs)}
        return {n: str(choice) for n, choice in chosen.items() if choice is not None}

    def is_open(self, batch: ReviewBatch) -> bool:
        """Whether pairs of it are still to be judged."""
        return batch.batch not in self.closed and len(self.of_batch(batch)) < len(batch.pairs)

    def open_batch(self) -> ReviewBatch | None:
        """The latest batch that is not at its end."""
        return next((b for b in reversed(self.batches.values()) if self.is_open(b)), None)

    def shown(self) -> set[str]:
        """Ids that stand in any pair of the review, judged or not yet."""
        pairs = [pair for batch in self.batches.values() for pair in batch.pairs]
        planned = {sample for pair in pairs for sample in (pair.left, pair.right)}
        return {*self.verdicts["left"], *self.verdicts["right"], *planned}

    def finished_verdicts(self) -> pd.DataFrame:
        """The verdicts that may be compared with scores: none of a batch that is not at its end."""
        still = {b.batch for b in self.batches.values() if self.is_open(b)}
        return self.verdicts[~self.verdicts["batch"].isin(still)]


def append(run_path: str | Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Write one judgement down; returns the line as stored, with its time.

    One write of a whole line in append mode, so that two browser tabs cannot mix their lines.

    Raises:
        UserError: an unknown kind or choice, or a field is missing.
    """
    line = {"time": entry.get("time") or now(), **entry}
    problem = problem_of(line)
    if problem:
        raise UserError(f"not a review entry: {problem}")
    text = json.dumps(line, ensure_ascii=False) + "\n"
    path = Path(run_path) / REVIEW_FILE
    if _torn(path):
        text = "\n" + text
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    rest = text.encode("utf-8", "replace")
    try:
        while rest:  # a nearly full disk takes a part, and refuses the rest: that is told
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)
    return line


def load(run_path: str | Path) -> ReviewState:
    """Replay the file. Unreadable lines are passed over, and counted as ``lost``."""
    entries, lost = read_lines(run_path)
    state = ReviewState(lost=lost)
    verdicts: dict[tuple[str, ...], ReviewVerdict] = {}
    for entry in entries:
        if entry["kind"] == "verdict":
            verdict = ReviewVerdict.model_validate(_fields(entry))
            pair = sorted((verdict.left, verdict.right))
            key = (*pair, str(verdict.scorer), str(verdict.scoring))
            verdicts.pop(key, None)  # the later one also takes the later place
            verdicts[key] = verdict
        elif entry["kind"] == "batch":
            batch = ReviewBatch.model_validate(_fields(entry))
            state.batches.setdefault(batch.batch, batch)
        elif entry["kind"] == "close":
            state.closed.add(entry["batch"])
        else:
            _apply(state, entry)
    rows = [_row(verdict) for verdict in verdicts.values()]
    state.verdicts = pd.DataFrame(rows, columns=VERDICT_COLUMNS)
    return state


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


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A line without the word that says what it is."""
    return {name: value for name, value in entry.items() if name != "kind"}


def _row(verdict: ReviewVerdict) -> tuple[object, ...]:
    """A row of ``VERDICT_COLUMNS``."""
    return (
        verdict.time, verdict.left, verdict.right, verdict.choice, verdict.scorer,
        *(verdict.scores or (None, None)), verdict.batch, verdict.scoring,
    )  # fmt: skip


def _torn(path: Path) -> bool:
    """Whether a crash left the last line without its end."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
