"""What the tables of a run hold: columns, their types, and where numbers may lie.

A table may come from anybody (a run folder that was sent, an editor, another version). What reads
it counts on its columns, so they are looked at once, where it is opened, and a table of another
shape is one line that names file and column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.errors import UserError, one_line
from circuitseer_core.runs.columns import score_columns

HEADS_FILE = "heads.parquet"
MOST_LAYERS = MOST_HEADS_A_LAYER = 2_000
"""Models have fewer by far: arrays are made by these numbers."""
MOST_HEADS = 1_000_000
"""Of a whole model."""
MOST_TOKENS = 10**9
_FEW_ROWS = 100_000


def _text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


_KINDS: dict[str, Callable[[pa.DataType], bool]] = {
    "text": _text,
    "whole numbers": pa.types.is_integer,
    "numbers": _number,
    "yes or no": pa.types.is_boolean,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its kind, and the bounds of its numbers (None: any, NaN too)."""

    kind: str
    low: float | None = None
    high: float | None = None


Shape = Mapping[str, Column]
_TEXT = Column("text")
_ANY = Column("numbers")
_FINITE = Column("numbers", -1e12, 1e12)
_TOKENS = Column("whole numbers", 0, MOST_TOKENS)
_HEAD: Shape = {
    "layer": Column("whole numbers", 0, MOST_LAYERS),
    "head": Column("whole numbers", 0, MOST_HEADS_A_LAYER),
}
HEADS: Shape = {
    **_HEAD,
    "importance": _FINITE,
    "stderr": _ANY,
    "n": Column("whole numbers", 1, MOST_TOKENS),
    "raced_out": Column("yes or no"),
    "rank": Column("whole numbers", 1, MOST_HEADS),
}
HEADS_FURTHER: Shape = {
    "below_noise": Column("yes or no"),
    "contrast_importance": _ANY,
    "specificity": _ANY,
    "specificity_stderr": _ANY,
    "specificity_rank": Column("whole numbers", 1, MOST_HEADS),
}
"""Columns of heads.parquet that not every detection writes."""
PROBE: Shape = {
    "id": _TEXT, "set": _TEXT, "source": _TEXT, "n_tokens": _TOKENS, "n_loss_tokens": _TOKENS,
    "base_loss": _ANY,
}  # fmt: skip
POOL: Shape = {"id": _TEXT, "source": _TEXT, "base_loss": _ANY}
IMPORTANCE: Shape = {"id": _TEXT, "set": _TEXT, **_HEAD, "delta_loss": _FINITE}
IDS: Shape = {"id": _TEXT, "source": _TEXT, "score": _ANY, "rank": Column("whole numbers")}
REJECTS: Shape = {"id": _TEXT, "source": _TEXT, "reason": _TEXT}


def read_shaped(path: Path, shape: Shape, *, unique: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table whose columns are those of ``shape``, and perhaps more.

    Args:
        unique: columns of which no two rows may agree, and of which there must be a row.

    Raises:
        UserError: it cannot be read, lacks a column, or one holds what it must not.
    """
    frame = _pandas(_table(path, shape), path)
    check_values(frame, shape, path)
    if unique and not len(frame):
        raise UserError(f"{path} cannot be used: it has no rows")
    if unique and frame.duplicated(list(unique)).any():
        raise UserError(f"{path} cannot be used: two rows have the same {' and '.join(unique)}")
    return frame


def read_parts(paths: Sequence[Path], shape: Shape) -> pd.DataFrame:
    """The columns of ``shape`` from one or more files, one after the other.

    Raises:
        UserError: one cannot be read, lacks a column, or holds what it must not.
    """
    tables = [_table(path, shape).select(list(shape)) for path in paths]
    folder = paths[0].parent
    whole = pa.concat_tables(
        [table.replace_schema_metadata() for table in tables], promote_options="permissive"
    )
    frame = _pandas(whole, folder)
    check_values(frame, shape, folder)
    return frame


def _table(path: Path, shape: Shape) -> pa.Table:
    try:
        # A detection under way leaves hundreds of small parts: read_table, which looks at each as a
        # data set, and threads take three times as long over them.
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=file.metadata.num_rows > _FEW_ROWS)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    check_schema(table.schema, shape, path)
    return table


def _pandas(table: pa.Table, path: Path) -> pd.DataFrame:
    try:
        return table.to_pandas()
    except (ValueError, KeyError, TypeError, OverflowError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error


def check_schema(schema: pa.Schema, shape: Shape, path: Path) -> None:
    """Raise UserError where a column is missing or of another type."""
    for name, column in shape.items():
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            many = "several columns" if places else "no column"
            raise UserError(f"{path} cannot be used: it has {many} {name!r}")
        kind = schema.field(places[0]).type
        if not _KINDS[column.kind](kind):
            raise UserError(
                f"{path} cannot be used: column {name!r} holds {kind}, not {column.kind}"
            )


def check_values(frame: pd.DataFrame, shape: Shape, path: Path) -> None:
    """Raise UserError where a column has gaps or numbers out of bounds."""
    for name, column in shape.items():
        bounded = column.low is not None or column.high is not None
        if (bounded or column.kind != "numbers") and frame[name].isna().any():
            raise UserError(f"{path} cannot be used: column {name!r} has gaps")
        if bounded:
            values = frame[name].to_numpy(dtype=np.float64)
            low = -np.inf if column.low is None else column.low
            high = np.inf if column.high is None else column.high
            if not ((values >= low) & (values <= high)).all():
                raise UserError(
                    f"{path} cannot be used: column {name!r} has numbers outside of "
                    f"{low:g} to {high:g}"
                )


def check_shards(paths: Sequence[Path]) -> None:
    """Raise UserError where a shard of scores lacks a column, or one has another type.

    Their numbers are not looked at: there may be millions.
    """
    first: pa.Schema | None = None
    for path in paths:
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path} cannot be read: {one_line(error)}") from error
        shape = {"id": _TEXT, "source": _TEXT, "n_tokens": Column("whole numbers")}
        check_schema(schema, shape | dict.fromkeys(score_columns(schema.names), _ANY), path)
        first = first or schema
        for name in score_columns(first.names):
            if name not in schema.names or schema.field(name).type != first.field(name).type:
                raise UserError(
                    f"{path} cannot be used: its column {name!r} is not that of {paths[0].name}"
                )
