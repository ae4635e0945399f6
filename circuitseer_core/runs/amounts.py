"""Amounts as people type them: 10 %, 2k, 1.5M.

For ``mode="before"`` validators of settings: what is no text passes through, a text becomes a
number, and pydantic checks that number as it checks any other.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SHARE = re.compile(rf"({_NUMBER})\s*(%?)")
_WHOLE = re.compile(rf"({_NUMBER})\s*([kKmMgGbB]?)")
_GROUPED = re.compile(r"\d{1,3}([_,])\d{3}(?:\1\d{3})*")
_UNITS = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9}
_DIGITS = 18
"""Beyond these no number of rows, tokens or bytes goes."""


def share(value: Any) -> Any:
    """A share of 1: ``0.1`` and ``10%`` are the same.

    Raises ValueError for a number above 1 without the sign, which was meant as per cent.
    """
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise ValueError(f"{value!r} is no share: write 0.1 or 10%")
    number = Decimal(match[1]) if match else value
    if match and match[2]:
        return float(number / 100)
    if isinstance(number, Decimal | int | float) and not isinstance(number, bool) and number > 1:
        if number > 100:
            raise ValueError(f"{number} is more than the whole: a share is at most 1, or 100%")
        raise ValueError(
            f"{number} is more than the whole: for {number} per cent write {number}% or "
            f"{float(number) / 100:g}"
        )
    return float(number) if match else value


def whole(value: Any) -> Any:
    """A whole number: ``2000``, ``2_000``, ``2,000`` and ``2k`` are the same; ``1.5M``.

    Raises ValueError for a text that is none.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _GROUPED.fullmatch(text):
        return int(text.replace("_", "").replace(",", ""))
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(f"{value!r} is no number: write 2000, 2k or 1.5M")
    try:
        number = Decimal(match[1]).scaleb(_UNITS[match[2].lower()])
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is beyond any number of rows") from error
    if number.adjusted() > _DIGITS:  # as an integer it would fill the memory
        raise ValueError(f"{value!r} is beyond any number of rows")
    if number != number.to_integral_value():
        raise ValueError(f"{value!r} is no whole number")
    return int(number)
