"""Rows of other files that name rows of a pool: by the run's id, or by the data's own.

A pool's id is ``source/own`` (corpus.py). What the project exports carries it in a column of its
own; files of a person's have the data's, with the source in another column or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from circuitseer_core.data.fields import ID_NAMES, value_of

RUN_ID = re.compile(r"circuitseer\d*_id")
"""The column in which an exported row has the run's id."""


def id_of(row: Mapping[str, Any], asked: str | None = None, known: str | None = None) -> str | None:
    """The id that a row carries; None where it has none.

    Args:
        asked: the column that a person names: this alone.
        known: one that the run's data was read with: before those that are recognised.
    """
    if asked is not None:
        names = [asked]
    else:
        lower = {name.lower(): name for name in row}
        names = [name for name in row if RUN_ID.fullmatch(name)]
        names += [known] if known is not None else []
        names += [lower[name] for name in ID_NAMES if name in lower]
    for name in names:
        value = value_of(row, name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def own_ids(
    rows: Iterable[tuple[str, str]], wanted: Container[str] | None = None
) -> dict[str, int | None]:
    """The data's own id → number of the row; None where several sources have such an id.

    Args:
        rows: (id, source) of every row of a pool.
        wanted: the ids that are asked for; all where it is None.
    """
    own: dict[str, int | None] = {}
    for number, (name, source) in enumerate(rows):
        short = name.removeprefix(f"{source}/")
        if wanted is None or short in wanted:
            own[short] = None if short in own else number
    return own
