"""Which character separates the cells of a CSV file."""

from __future__ import annotations

import csv
from itertools import islice

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""The delimiters that are recognised, and how a person calls them."""
HEAD_BYTES = 1 << 16
_RECORDS = 20


def delimiter_of(head: bytes, default: str) -> str:
    """The delimiter of a file that begins with ``head`` (of at most HEAD_BYTES).

    ``default`` (by the file's ending) stays where it splits the header and half of the first
    records agree with the header's number of cells; else it is the delimiter under which most of
    the first records agree, and ``default`` again where none splits the header.
    """
    text = head.decode("utf-8-sig", "surrogateescape")
    lines = text.splitlines(keepends=True)
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut off
    agreeing = {d: _agreement(lines, d) for d in (default, *DELIMITERS)}
    if agreeing[default] >= 0.5:
        return default
    best = max(agreeing, key=agreeing.__getitem__)
    return best if agreeing[best] > 0 else default


def _agreement(lines: list[str], delimiter: str) -> float:
    """Share of the first records with as many cells as the header; 0 where it has one cell."""
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        records = [cells for cells in islice(reader, _RECORDS + 1) if cells]
    except csv.Error:
        return 0.0
    if not records or len(records[0]) < 2:
        return 0.0
    below = records[1:]
    return sum(len(cells) == len(records[0]) for cells in below) / len(below) if below else 1.0
