"""Rows by their places: in data order (shard after shard), and as DuckDB names them, by file.

A place leads DuckDB to the one row group that holds the row; an id does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Ints
from circuitseer_core.browse.filters import literal

COLUMNS = "filename, file_row_number"
"""The columns of the view ``samples`` that are a row's place."""


def in_data_order(frame: pd.DataFrame, parts: Sequence[Path], starts: Ints) -> Ints:
    """(n,) places of the rows of an answer with ``COLUMNS``, which are taken out of it.

    ``starts``: (shards,) the place of the first row of every one of ``parts``.
    """
    first = dict(zip(map(str, parts), starts.tolist(), strict=True))
    begins = frame.pop("filename").map(first).to_numpy(dtype=np.int64)
    return np.asarray(begins + frame.pop("file_row_number").to_numpy(dtype=np.int64))


def by_shard(rows: Ints, parts: Sequence[Path], starts: Ints) -> list[str]:
    """The ``rows`` (n,), places in data order, as SQL: a condition for every shard that has any."""
    shards = np.searchsorted(starts, rows, "right") - 1
    conditions = []
    for shard in np.unique(shards):
        numbers = ", ".join(str(int(row)) for row in rows[shards == shard] - starts[shard])
        file = literal(str(parts[shard]))
        conditions.append(f"filename = {file} AND file_row_number IN ({numbers})")
    return conditions
