"""The rows of an exported file against rows built anew from the run."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from circuitseer_core.data.arrow_formats import Parquet
from circuitseer_core.data.formats import JsonLines, Table
from circuitseer_core.data.specs import open_path
from circuitseer_core.errors import UserError
from circuitseer_core.export.cells import cell, read_csv, row_of_cells
from circuitseer_core.export.formats import SHAPED, Format
from circuitseer_core.export.rows import ExportedRows
from circuitseer_core.export.schema import find_columns, tables
from circuitseer_core.spreadsheets import quoted

_SHOWN = 3


class _Unreadable(Exception):
    """The file is not of its format any more."""


def compare_rows(
    subset: ExportedRows, target: Path, form: Format, prefix: str
) -> tuple[list[str], int]:
    """Go through both side by side.

    Returns:
        One line for each of the first rows that differ (and one that counts the others), and the
        number of rows that are the same.
    """
    expected = subset.ids["id"].tolist()
    differences: list[str] = []
    same = count = 0
    pairs = zip_longest(_expected(subset, form), _READERS.get(form, _read_lines)(target))
    try:
        for number, (wanted, exported) in enumerate(pairs, start=1):
            problem = _row_problem(wanted, exported, prefix)
            if problem is None:
                same += 1
                continue
            count += 1
            if count <= _SHOWN:
                name = f" ({expected[number - 1]})" if number <= len(expected) else ""
                differences.append(f"row {number}{name}: {problem}")
    except _Unreadable as error:
        return [*differences, str(error)], same
    if count > _SHOWN:
        differences.append(f"and {count - _SHOWN} more rows differ")
    return differences, same


def _expected(subset: ExportedRows, form: Format) -> Iterator[dict[str, Any]]:
    if form in SHAPED:
        return subset.shaped(form)
    if form == "jsonl":
        return subset.rows()
    if form == "csv":
        return _as_cells(subset)
    columns = find_columns(subset.rows)
    return (row for table in tables(subset.rows(), columns) for row in table.to_pylist())


def _as_cells(subset: ExportedRows) -> Iterator[dict[str, Any]]:
    """Every row as the text of its cells; floats as they are, which are compared as numbers."""
    names = list(dict.fromkeys(name for row in subset.rows() for name in row))
    safe = subset.safe_cells
    read = [quoted(name) if safe else name for name in names]
    for row in subset.rows():
        cells = dict(zip(read, row_of_cells(names, row, safe=safe), strict=True))
        cells |= {name: row[name] for name in names if isinstance(row.get(name), float)}
        yield cells


def _row_problem(
    wanted: Mapping[str, Any] | None, exported: Mapping[str, Any] | None, prefix: str
) -> str | None:
    """What is wrong with a row, or None."""
    if exported is None:
        return "is missing from the export"
    if wanted is None:
        return "does not belong to the subset"
    for name in [*wanted, *(name for name in exported if name not in wanted)]:
        if name not in exported:
            return f"has no column {name!r}"
        if name not in wanted:
            return f"has a column {name!r} that the data has not"
        if not _same(wanted[name], exported[name], name.startswith(prefix)):
            return f"{name!r} is not what the run gives"
    return None


def _same(one: Any, other: Any, rounded: bool) -> bool:
    if isinstance(one, float) and isinstance(other, str):  # a cell of CSV
        if cell(one) == other:
            return True
        try:
            other = float(other)
        except ValueError:
            return False
    if rounded and isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _read_lines(target: Path) -> Iterator[dict[str, Any]]:
    return _rows_of("JSON Lines", lambda: [JsonLines(target, target.name, "")])


def _read_cells(target: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from read_csv(target)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise _Unreadable(f"{target.name} is no CSV any more: {error}") from error


def _read_parquet(target: Path) -> Iterator[dict[str, Any]]:
    return _rows_of("Parquet", lambda: [Parquet(target, target.name, "")])


def _read_folder(target: Path) -> Iterator[dict[str, Any]]:
    return _rows_of("datasets", lambda: open_path(target, None))


def _rows_of(kind: str, tables: Callable[[], Sequence[Table]]) -> Iterator[dict[str, Any]]:
    """The rows as data of anybody's is read: a file may come from elsewhere, changed on the way. A
    row that cannot be read is an empty one."""
    try:
        for table in tables():
            yield from (row.record or {} for row in table.rows())
    except UserError as error:
        raise _Unreadable(f"this is no {kind} export any more: {error}") from error


_READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "parquet": _read_parquet,
    "datasets": _read_folder,
    "csv": _read_cells,
}
"""How a format is read; the others are JSON Lines."""
