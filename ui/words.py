"""Numbers and times as people read them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.model.demo import MODEL_NAME
from circuitseer_core.wording import signed

BADGES: dict[str, tuple[Any, str]] = {
    "done": ("green", "Done"),
    "running": ("blue", "Running"),
    "stopping": ("orange", "Stopping"),
    "partial": ("orange", "Unfinished"),
    "missing": ("gray", "Not started"),
    "none": ("gray", "No job"),
    "new": ("gray", "New"),
    "failed": ("red", "Failed"),
    "cancelled": ("orange", "Cancelled"),
    "interrupted": ("orange", "Interrupted"),
    "broken": ("red", "Unreadable"),
}
"""Colour and word for every state of a stage, job or run."""


def ago(moment: str | None) -> str:
    """How long ago an ISO 8601 moment was: "just now", "14 min ago", "3 days ago", a date.

    Nothing for what is no moment: it comes from files that anybody may have written.
    """
    if not moment:
        return ""
    try:
        then = datetime.fromisoformat(moment)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        seconds = (datetime.now(UTC) - then).total_seconds()
    except (ValueError, OverflowError):
        return ""
    if seconds < 60:
        return "just now"
    for unit, size, most in (("min", 60, 60), ("h", 3600, 24), ("day", 86400, 14)):
        count = int(seconds // size)
        if count < most:
            return f"{count} {unit}{'s' if unit == 'day' and count != 1 else ''} ago"
    return f"on {then:%d %b %Y}"


def free_name(name: str, taken: Sequence[str]) -> str:
    """``name``, or where something is kept under it the first of name-2, name-3 … that is free."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(free for free in names if free not in taken)


def short_model(name: str) -> str:
    """A model id without its owner, which is what tells models apart in a narrow place."""
    return MODEL_NAME if name == "demo" else name.rstrip("/").rsplit("/", 1)[-1]


def correlation(value: float) -> str:
    """A correlation with its sign and two digits; "undefined" for NaN."""
    return "undefined" if np.isnan(value) else signed(value)


def in_column(values: pd.Series) -> list[str]:
    """Numbers that stand below one another: four digits each, or all of them whole."""
    if (values.dropna() % 1 == 0).all():
        return ["none" if pd.isna(v) else f"{v:,.0f}" for v in values]
    return ["none" if pd.isna(v) else f"{v:#.4g}".rstrip(".") for v in values]


def places(values: Floats) -> int:
    """Digits behind the point that give the largest of some numbers four digits in all."""
    largest = float(np.nanmax(np.abs(values), initial=0.0, where=np.isfinite(values)))
    return 3 if largest == 0 else min(max(3 - math.floor(math.log10(largest)), 0), 9)


def in_units(count: int, units: Sequence[tuple[str, float]]) -> str:
    """Three digits in the largest of ``units`` (with their sizes, largest first) that it fills.

    It fills one as rounded: 999,600 bytes are 1 MB, not 1e+03 kB. The count itself below them all.
    """
    for unit, factor in units:
        if (rounded := float(f"{count / factor:.3g}")) >= 1:
            return f"{rounded:.10g} {unit}"
    return f"{count:,}"


def size(count: int) -> str:
    """Bytes as "812 B", "14 kB", "3.2 MB"."""
    return in_units(count, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1))) if count else "0 B"
