"""A column of the data as strata: its values share the budget of a draw."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Ints
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import json_object, jsonable
from circuitseer_core.runs.cluster_records import CLUSTER
from circuitseer_core.runs.clusters import cluster_record, cluster_strata
from circuitseer_core.runs.columns import TEXT_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import pool_texts
from circuitseer_core.selection.settings import SelectionSettings

MISSING = "(none)"
"""The value of rows that have none."""
MOST_VALUES = 1000


def column_strata(run: Run, scores: str, column: str) -> tuple[Ints, tuple[str, ...]]:
    """(N,) the value of every row as a number into the sorted values of an original column, or of
    its cluster where the column is CLUSTER.

    Raises:
        UserError: no row has the column (naming those there are), or it has so many values that
            they share nothing out; no clusters were made.
    """
    if column == CLUSTER:
        return cluster_strata(run, scores)
    rows = (
        json_object(text)
        for table in pool_texts(run, scores)
        for text in table.column("original").to_pylist()
    )
    return strata_of(rows, column)


def strata_of(rows: Iterable[dict[str, Any]], column: str) -> tuple[Ints, tuple[str, ...]]:
    """The same of rows at hand."""
    seen: dict[str, None] = {}
    labels = []
    for row in rows:
        seen.update(dict.fromkeys(row))
        labels.append(as_value(row.get(column)))
    _refuse_unknown(column, seen)
    return _coded(labels, column)


def frame_strata(frame: pd.DataFrame, column: str) -> tuple[Ints, tuple[str, ...]]:
    """The same of a frame's column: a cell without a value is none, whole numbers are whole."""
    if column in TEXT_COLUMNS or column not in frame:
        _refuse_unknown(column, dict.fromkeys(map(str, frame.columns.drop(TEXT_COLUMNS, "ignore"))))
    cells = frame[column]
    floats = pd.api.types.is_float_dtype(cells.dtype)
    if floats and (cells.isna() | (cells % 1 == 0)).all():
        cells = cells.astype("Int64")  # pandas turns whole numbers beside a gap into floats
    missing = cells.isna().to_numpy(dtype=bool)
    values = cells.astype(object).tolist()
    labels = [
        as_value(None if gone else jsonable(v)) for v, gone in zip(values, missing, strict=True)
    ]
    return _coded(labels, column)


def _refuse_unknown(column: str, seen: Collection[str]) -> None:
    if column not in seen:
        raise UserError(f"--stratify-by: no row has a column {column!r}; found: {', '.join(seen)}")


def _coded(labels: list[str], column: str) -> tuple[Ints, tuple[str, ...]]:
    codes, values = pd.factorize(np.array(labels, dtype=object), sort=True)
    if len(values) > MOST_VALUES or len(values) > max(2, len(labels) // 2):
        raise UserError(
            f"--stratify-by {column}: {len(values):,} different values in {len(labels):,} rows "
            "are too many to share a budget out by"
        )
    return codes.astype(np.int64), tuple(map(str, values))


def clusters_drawn_by(run: Run, settings: SelectionSettings) -> str | None:
    """The hash of the clusters that share the budget; None where none do."""
    if settings.stratify_by != CLUSTER:
        return None
    record = cluster_record(run, settings.scores)
    return None if record is None else record.sha256


def as_value(value: Any) -> str:
    """A cell as the name of a stratum."""
    if value is None or value == "":
        return MISSING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
