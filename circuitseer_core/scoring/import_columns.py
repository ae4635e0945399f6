"""Which columns of a file of outside scores are scores, and the rows and numbers in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from circuitseer_core.data.fields import ID_NAMES, PROMPT_NAMES
from circuitseer_core.data.specs import open_spec
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import FIXED, WIDE
from circuitseer_core.runs.records import ScoringRecord

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_OWN_COLUMN = re.compile(r"circuitseer\d*_")


@dataclass(slots=True)
class _Values:
    """What a column of the files holds besides empty cells; ``truths``: true or false."""

    numbers: bool = False
    truths: bool = False
    others: bool = False


def columns_to_import(
    files: Sequence[str],
    scoring: ScoringRecord,
    columns: Sequence[str],
    *,
    joined_by: Sequence[str | None] = (),
    replace: bool = False,
) -> dict[str, str]:
    """Name in the scoring → column of the files: those asked for, else all that hold only numbers.

    True and false are 1 and 0 in a column that is asked for.

    Args:
        columns: COLUMN or NAME=COLUMN, those asked for.
        joined_by: columns that rows are joined by, which are no scores unless asked for.
        replace: whether a name that was imported before is taken again.

    Raises:
        UserError: there is none, one is not there or holds no number, or its name is taken.
    """
    seen: dict[str, _Values] = {}
    for _, row in rows_of(files):
        for name, value in row.items():
            values = seen.setdefault(name, _Values())
            if value is not None and value != "":
                number = finite_number(value) is not None
                values.numbers |= number
                values.others |= not number
                values.truths |= isinstance(value, bool)
    asked = dict(_renamed(item) for item in columns)
    if not asked:
        taken = {*ID_NAMES, *PROMPT_NAMES, *FIXED, *WIDE}
        asked = {
            name: name
            for name, values in seen.items()
            if values.numbers and not values.others and name not in joined_by
            and name.lower() not in taken and not _OWN_COLUMN.match(name)
        }  # fmt: skip
    if not asked:
        raise UserError(f"no column holds only numbers; found: {', '.join(seen) or 'none'}")
    before = {name for done in scoring.imported for name in done.columns}
    for name, column in asked.items():
        if column not in seen:
            raise UserError(f"no row has a column {column!r}; found: {', '.join(seen)}")
        if not (seen[column].numbers or seen[column].truths):
            raise UserError(f"column {column!r} holds no number")
        rename = f"import it as --column NAME={column}"
        if not _NAME.fullmatch(name) or name.startswith("control_"):
            raise UserError(f"{name!r} cannot be a scorer's name: {rename}")
        if name in before and not replace:
            raise UserError(f"{name!r} was imported before: --replace imports it anew")
        if name in {*scoring.scorers, *FIXED, *WIDE} - before:
            raise UserError(f"{name!r} is a column of the scoring: {rename}")
    return asked


def _renamed(item: str) -> tuple[str, str]:
    name, equals, column = item.partition("=")
    return (name, column) if equals else (item, item)


def rows_of(files: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row with where it stands. Raises UserError at the first that is broken."""
    for spec in files:
        for table in open_spec(spec):
            for row in table.rows():
                if row.record is None:
                    raise UserError(f"{row.where}: {row.problem}")
                yield row.where, row.record


def finite_number(value: Any, *, truths: bool = False) -> float | None:
    """A finite number, or text that is one; None for anything else.

    Args:
        truths: whether true and false are 1 and 0.
    """
    if not isinstance(value, int | float | str | Decimal) or (
        isinstance(value, bool) and not truths
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None
