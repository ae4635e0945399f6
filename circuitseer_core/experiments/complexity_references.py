"""What a complexity score is held against: steps, operations, lengths, levels, pass rates.

A reference is known on some rows only; worked steps where a source's responses have them
(references.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.data.ordinal import ordinal
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.references import STEP_MARK, where_used
from circuitseer_core.experiments.surface import operations
from circuitseer_core.json_io import json_object
from circuitseer_core.runs.columns import score_columns

STEPS, OPERATIONS, RESPONSE = "worked steps", "operations", "response tokens"

_ORDINAL = re.compile(
    r"(?i)^(?:.*_)?(level|difficulty|steps?|n_?steps|grade|tier|hops?|depth|complexity|rating)$"
)
_RATE = re.compile(
    r"(?i)^(?:.*[_-])?((?:pass|solve|success|correct)[_ -]?(?:rate|ratio|share)|accuracy|pass@\d+)$"
)
_LEAST_KNOWN = 30
"""Rows that must have a number in a column for it to be taken without being asked for."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The n rows in question: the columns of their scores, and their texts where at hand.

    ``texts``: prompt, response and original (JSON), or None.
    """

    scores: pd.DataFrame
    texts: pd.DataFrame | None

    @property
    def source(self) -> pd.Series:
        """(n,) source of each."""
        return self.scores["source"].astype("string").fillna("")


def references(rows: Rows, columns: Sequence[str] = ()) -> dict[str, Floats]:
    """Every reference that these rows have, (n,) by name, NaN where unknown.

    Args:
        rows: in question.
        columns: of the original rows or of the scores, to be used whatever their name; without
            any, columns of the original rows whose name says that they are a level, a number of
            steps or a pass rate. A pass rate is turned round (1 - rate), so that more is harder.

    Raises:
        UserError: a named column is in no row, or holds no numbers.
    """
    by_name: dict[str, Floats] = {}
    if rows.texts is not None:
        answers = rows.texts["response"]
        by_name[STEPS] = where_used(_counted(answers, STEP_MARK), rows.source)
        by_name[OPERATIONS] = np.array(
            [np.nan if text is None else operations(text) for text in answers]
        )
    if "n_response_tokens" in rows.scores:
        tokens = rows.scores["n_response_tokens"].to_numpy(dtype=np.float64, na_value=np.nan)
        by_name[RESPONSE] = np.where(tokens > 0, tokens, np.nan)
    scored = [name for name in columns if name in score_columns(rows.scores.columns)]
    others = [name for name in columns if name not in scored]
    by_name |= _named(rows.scores, scored)
    if rows.texts is not None and (others or not columns):
        by_name |= _of_columns(rows.texts["original"], others)
    elif others:
        raise UserError("the rows' texts are not at hand, and with them their columns")
    return {name: values for name, values in by_name.items() if _varies(values)}


def _of_columns(originals: pd.Series, columns: Sequence[str]) -> dict[str, Floats]:
    table = pd.DataFrame([json_object(text) for text in originals])
    if columns and (missing := [name for name in columns if name not in table]):
        have = ", ".join(map(str, table.columns)) or "none"
        raise UserError(f"the rows have no column {missing[0]!r}; found: {have}")
    wanted = columns or [n for n in map(str, table.columns) if _ORDINAL.match(n) or _RATE.match(n)]
    return _named(table, wanted, asked=bool(columns))


def _named(table: pd.DataFrame, wanted: Sequence[str], *, asked: bool = True) -> dict[str, Floats]:
    """Columns of numbers as references; ``asked``: for by name, so that none may be empty."""
    by_name = {}
    for name in wanted:
        values = _in_order(table[name], name)
        if asked and not np.isfinite(values).any():
            raise UserError(f"column {name!r} holds no numbers, and no words of a known order")
        if _RATE.match(name):
            by_name[f"1 - {name}"] = 1 - values
        elif asked or np.isfinite(values).sum() >= _LEAST_KNOWN:
            by_name[f"column {name}"] = values
    return by_name


def _in_order(column: pd.Series, name: str) -> Floats:
    """(n,) numbers of a column of numbers, numbered levels or words with a known order, else NaN.

    True and false are no numbers.
    """
    read = [
        v if isinstance(v, str | int | float) and not isinstance(v, bool) else None for v in column
    ]
    known = [None if isinstance(v, float) and not np.isfinite(v) else v for v in read]
    try:
        return ordinal(known, name=name)[0]
    except UserError:
        return np.full(len(known), np.nan)


def _counted(texts: pd.Series, mark: str) -> Floats:
    return np.array([np.nan if text is None else float(text.count(mark)) for text in texts])


def _varies(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return known.size > 0 and bool(np.ptp(known) > 0)
