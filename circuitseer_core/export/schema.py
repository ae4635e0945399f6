"""Rows of mixed origin as one table: columns, their types, and what to do where types clash.

Sources disagree about columns: one has ``answer`` as text, another as a number. A missing column is
null; integers and floats meet as floats, where no integer is beyond 2^53; a column whose values
have no common type is stored as JSON text and named in the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

BATCH = 2048
Rows = Callable[[], Iterable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Columns:
    """``schema`` in order of first appearance; ``as_json``: columns without a common type."""

    schema: pa.Schema
    as_json: tuple[str, ...]


def find_columns(rows: Rows) -> Columns:
    """Go through the rows once, a batch in memory at a time, and settle every column's type."""
    types: dict[str, pa.DataType | None] = {}
    widened: set[str] = set()
    for batch in batches(rows()):
        names = dict.fromkeys(name for row in batch for name in row)
        for name in names:
            kind = _type_of([row.get(name) for row in batch])
            before = types.get(name, kind)
            types[name] = _common(before, kind) if name in types else kind
            if before != kind:
                widened.add(name)
    for name in _not_held(rows, {name: types[name] for name in widened}):
        types[name] = None
    fields = []
    for name, kind in types.items():
        settled = pa.string() if kind is None or pa.types.is_null(kind) else _without_nulls(kind)
        fields.append(pa.field(name, settled))
    return Columns(pa.schema(fields), tuple(n for n, kind in types.items() if kind is None))


def tables(rows: Iterable[dict[str, Any]], columns: Columns) -> Iterator[pa.Table]:
    """The rows as tables of one schema, a batch at a time."""
    for batch in batches(rows):
        arrays = []
        for field in columns.schema:
            values = [row.get(field.name) for row in batch]
            if field.name in columns.as_json:
                values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
            arrays.append(pa.array(values, field.type))
        yield pa.table(arrays, schema=columns.schema)


def batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Lists of up to ``BATCH`` rows."""
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _type_of(values: list[Any]) -> pa.DataType | None:
    """The type of all values, or None where there is no one type."""
    try:
        kind = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        return None
    return None if _has_empty_struct(kind) else kind


def _common(one: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    if one is None or other is None:
        return None
    schemas = [pa.schema([("x", kind)]) for kind in (one, other)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
    except pa.ArrowException:
        return None


def _not_held(rows: Rows, types: dict[str, pa.DataType | None]) -> set[str]:
    """Columns with values that their common type cannot hold: integers beyond 2^53 beside floats.

    Goes through the rows again where there are columns of several types at all.
    """
    left = {name: kind for name, kind in types.items() if kind is not None}
    refused: set[str] = set()
    for batch in batches(rows()) if left else ():
        for name in left.keys() - refused:
            try:
                pa.array([row.get(name) for row in batch], left[name])
            except (pa.ArrowException, OverflowError):
                refused.add(name)
    return refused


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Whether an object without keys is inside: Parquet cannot store one."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(
            _has_empty_struct(kind.field(i).type) for i in range(kind.num_fields)
        )
    return pa.types.is_list(kind) and _has_empty_struct(kind.value_type)


def _without_nulls(kind: pa.DataType) -> pa.DataType:
    """The same type with text where nothing but null was ever seen: readers refuse null types."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_nulls(kind.value_type))
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([pa.field(f.name, _without_nulls(f.type)) for f in fields])
    return kind
