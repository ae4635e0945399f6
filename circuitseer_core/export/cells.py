"""Rows as CSV: RFC 4180, UTF-8, a header; whatever is no text, number or truth value as JSON text.

A text that a spreadsheet would run as a formula begins with an apostrophe (spreadsheets.py), unless
texts are to stay as they are. A missing value and an empty text are the same empty cell.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError
from circuitseer_core.spreadsheets import quoted


def cell(value: Any) -> str:
    """One value as the text of its cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def row_of_cells(names: Sequence[str], row: dict[str, Any], *, safe: bool) -> list[str]:
    """One row; ``safe``: no text in it is run by a spreadsheet."""
    values = (row.get(name) for name in names)
    return [cell(quoted(value) if safe else value) for value in values]


def csv_pieces(
    names: Sequence[str], rows: Iterable[dict[str, Any]], *, safe: bool
) -> Iterator[bytes]:
    """The file in pieces: the header, then one row each.

    Args:
        safe: no text in it is run by a spreadsheet.

    Raises:
        UserError: a text that UTF-8 cannot hold.
    """
    yield _line([quoted(name) if safe else name for name in names], "the header")
    for number, row in enumerate(rows, start=1):
        yield _line(row_of_cells(names, row, safe=safe), f"row {number}")


def _line(cells: Sequence[str], what: str) -> bytes:
    buffer = io.StringIO(newline="")
    # The writer quotes its own line end alone, a reader ends a row at a bare "\r" as well.
    broken = any("\r" in text for text in cells)
    if broken:
        csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    else:
        csv.writer(buffer, lineterminator="\n").writerow(cells)
    try:
        return buffer.getvalue().encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{what} has text that UTF-8 cannot hold: export as jsonl") from error


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """The rows of such a file, every cell as text."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)
