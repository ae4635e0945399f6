"""Numbers of values as data has them: numbers, or words with an order.

Read in this order: levels named by the caller; numbers written as text; one number behind the same
words ("Level 3"); a known ladder ("easy", "medium", "hard"). What says nothing there ("Level ?") is
left out; where that is most of the rows, nothing is guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.errors import UserError
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


def ordinal(
    raw: Sequence[Any], levels: Sequence[str] = (), name: str = "the target"
) -> tuple[Floats, list[str]]:
    """(N,) numbers of values as they stand in the data, and the words behind them, lowest first
    (none where they are numbers).

    Raises:
        UserError: most values are words of no order that is known.
    """
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
    raise UserError(f"the order of {name!r} is not known ({listing(sorted(distinct), 6)})")


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
