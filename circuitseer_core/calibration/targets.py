"""The measure of difficulty that is fitted: a number, words with an order, a count, or verdicts.

A column is looked for in the scores, then in the rows of the data as they came. Ordinal words are
read in this order: given levels; numbers written as text; one number behind the same words
("Level 3"); a known ladder ("easy", "medium", "hard"). What says nothing there ("Level ?") is left
out and counted; where that is most of the rows, nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import COUNT, CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import TargetRecord
from circuitseer_core.wording import listing

LADDERS = (
    ("trivial", "very easy", "easy", "medium", "hard", "very hard", "extreme"),
    ("beginner", "easy", "intermediate", "hard", "advanced", "expert"),
    ("elementary", "basic", "intermediate", "advanced", "olympiad"),
    ("elementary school", "middle school", "high school", "college", "graduate"),
    ("primary", "middle", "high", "college", "graduate"),
    ("very low", "low", "medium", "high", "very high"),
    ("easy", "moderate", "difficult", "challenging"),
    ("introductory", "interview", "competition"),
    ("simple", "moderate", "complex"),
)
"""Words that are known to have an order; a target may use some of one ladder."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Target:
    """``values``: (N,), higher is harder, NaN where unknown; ``levels``: of an ordinal target."""

    name: str
    kind: str
    values: Floats
    levels: list[str]
    unread: int

    def record(self, rows: Rows, length_correlation: float | None) -> TargetRecord:
        """What calibration.json says of it; ``rows`` are those with a value."""
        pairs = json.dumps([rows.ids, [float(v) for v in self.values]])
        return TargetRecord(
            name=self.name,
            kind=self.kind,
            rows=len(rows),
            levels=self.levels,
            unread=self.unread,
            sources=dict(sorted(Counter(rows.source.tolist()).items())),
            length_correlation=length_correlation,
            sha256=hashlib.sha256(pairs.encode()).hexdigest(),
        )


def read_target(rows: Rows, settings: CalibrateSettings) -> Target:
    """The target of every row.

    Raises:
        UserError: no such column, or its values are neither numbers nor words of a known order.
    """
    name = settings.target or ""
    if name.startswith(COUNT):
        return _counted(rows, name)
    if name in rows.numbers and not settings.levels:
        return Target(name, "number", rows.numbers[name], [], 0)
    raw = [row.get(name) for row in rows.originals]
    if all(value is None for value in raw):
        known = sorted({key for row in rows.originals for key in row} | set(rows.numbers))
        raise UserError(f"no column {name!r} with values; there are {listing(known, 20)}")
    values, levels = ordinal(raw, settings.levels, name)
    unread = sum(
        value is not None and not np.isfinite(number)
        for value, number in zip(raw, values, strict=True)
    )
    return Target(name, "ordinal" if levels else "number", values, levels, unread)


def _counted(rows: Rows, name: str) -> Target:
    text = name.removeprefix(COUNT).replace("\\n", "\n")
    if not text:
        raise UserError(f"--target {COUNT}: say what to count")
    counts = [np.nan if r is None else float(r.count(text)) for r in rows.responses]
    return Target(name, "count", np.array(counts), [], 0)


def ordinal(
    raw: Sequence[Any], levels: Sequence[str] = (), name: str = "the target"
) -> tuple[Floats, list[str]]:
    """(N,) numbers of values as they stand in the data, and the words behind them, lowest first
    (none where they are numbers)."""
    if levels:
        return _by_rank(raw, [level.lower().strip() for level in levels], list(levels))
    plain = np.array([_plain_number(value) for value in raw])
    words = [_words(value) for value in raw]
    readable = [word for word in words if word is not None]
    if not readable or np.isfinite(plain).sum() > len(readable) / 2:
        return plain, []
    numbered = _numbered(words)
    if np.isfinite(numbered).sum() > len(readable) / 2:
        return numbered, _levels_of(raw, numbered)
    distinct = set(readable)
    for ladder in LADDERS:
        if len(distinct & set(ladder)) > max(1, len(distinct) / 2):
            values, _ = _by_rank(raw, list(ladder), [])
            return values, [word for word in ladder if word in distinct]
    raise UserError(
        f"the order of {name!r} is not known ({listing(sorted(distinct), 6)}): give its words "
        "with --level, lowest first"
    )


def _plain_number(value: Any) -> float:
    """A number, or a text that is nothing but one; NaN otherwise."""
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # the last: an integer of 309 digits or more
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def _words(value: Any) -> str | None:
    return None if value is None else str(value).strip().lower()


def _numbered(words: Sequence[str | None]) -> Floats:
    """The number in texts that are else the same; NaN where a text has another form."""
    forms = [None if word is None else _NUMBER.sub("#", word) for word in words]
    counts = Counter(form for form in forms if form is not None and form.count("#") == 1)
    common = counts.most_common(1)[0][0] if counts else None
    return np.array(
        [
            float(_NUMBER.findall(word)[0]) if word is not None and form == common else np.nan
            for word, form in zip(words, forms, strict=True)
        ]
    )


def _levels_of(raw: Sequence[Any], numbers: Floats) -> list[str]:
    """One text a number, lowest first."""
    shown = {n: str(v).strip() for v, n in zip(raw, numbers, strict=True) if np.isfinite(n)}
    return [shown[number] for number in sorted(shown)]


def _by_rank(
    raw: Sequence[Any], order: Sequence[str], shown: list[str]
) -> tuple[Floats, list[str]]:
    place = {word: float(rank) for rank, word in enumerate(order)}
    return np.array([place.get(_words(value) or "", np.nan) for value in raw]), shown
