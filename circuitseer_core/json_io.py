"""JSON files in, and cells as they come from Parquet, Arrow or JSON made fit for JSON."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError

MOST_NESTED = 200
"""Levels of lists and objects in a row: far more than data has, far fewer than recursion allows."""

_MOST_DIGITS = 100
"""Of a whole decimal, where Arrow's have 76, and of a whole number in a record."""


def jsonable(value: Any, depth: int = 0) -> Any:
    """The same value in JSON's types. Raises RecursionError beyond ``MOST_NESTED`` levels.

    Dates and times become ISO 8601 text, durations seconds, bytes base64 text, decimals and
    numpy scalars plain numbers (whole decimals integers), tuples and sets lists, mapping keys text.
    NaN and infinities, which JSON lacks, become null; half a surrogate pair becomes U+FFFD, so that
    the text can be written as UTF-8.
    """
    if depth > MOST_NESTED:
        raise RecursionError(f"nested deeper than {MOST_NESTED} levels")
    if value is None or isinstance(value, bool):
        return value
    if type(value) is str:
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {jsonable(str(key)): jsonable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item, depth + 1) for item in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return jsonable(value.tolist(), depth + 1)
    if isinstance(value, Decimal):
        return plain_number(value)
    return jsonable(str(value))


def plain_number(value: Decimal) -> int | float | None:
    """A decimal as JSON has it: whole ones exactly, which ids may be; None where not finite."""
    if not value.is_finite():
        return None
    if value.adjusted() < _MOST_DIGITS and value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8: not with half of a surrogate pair in it, as a file's
    name of other bytes has."""
    if text.isascii():  # most are, and a look at every letter costs more than reading a file
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str | bytes, *, whole: Callable[[str], int] | None = None) -> Any:
    """The value that ``text`` says; half a surrogate pair (escaped, or as bytes) becomes U+FFFD.

    Args:
        whole: what makes a whole number of its digits.

    Raises ValueError where it is no JSON, or nested deeper than can be followed.
    """
    try:
        value = json.loads(text, parse_int=whole)
        broken = "\\u" in text if isinstance(text, str) else b"\\u" in text or b"\xed" in text
        return _whole(value) if broken else value
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(value: Any) -> Any:
    """The same value, its texts fit for UTF-8."""
    if isinstance(value, str):
        return jsonable(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {jsonable(key): _whole(item) for key, item in value.items()}
    return value


def json_object(value: Any) -> dict[str, Any]:
    """A JSON object from its text; empty where there is none."""
    if not isinstance(value, str):
        return {}
    try:
        parsed = parse_json(value)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _countable(digits: str) -> int:
    """A whole number that arithmetic takes: one of 400 digits is no float."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError where it is missing, unreadable or no object."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise OSError("it is no ordinary file")
        value = parse_json(path.read_text(encoding="utf-8"), whole=_countable)
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} cannot be read: it is not a JSON object")
    return value
