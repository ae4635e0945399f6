"""Tables on their way into a spreadsheet: text that it would run as a formula is made text again.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``, and a formula can send what
stands beside it elsewhere. An apostrophe in front shows the same text and runs nothing (OWASP, CSV
injection). Numbers stay numbers.
"""

from __future__ import annotations

import csv
from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(frame: pd.DataFrame, *, as_it_is: bool = False) -> str:
    """The table as CSV; with ``as_it_is`` cells that a spreadsheet would run are left alone."""
    if not as_it_is:
        frame = frame.rename(columns=quoted)
        for column in frame.columns[frame.dtypes.map(_may_hold_text).to_numpy(dtype=bool)]:
            frame[column] = frame[column].map(quoted)
    text = str(frame.to_csv(index=False))
    if "\r" in text:  # which is not quoted by itself, and ends a row for a reader
        text = str(frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
    return text


def _may_hold_text(kind: Any) -> bool:
    return not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))


def quoted(cell: Any) -> Any:
    """A cell as text that runs nothing; what is no text, or harmless, as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
