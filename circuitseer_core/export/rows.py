"""The rows of an export as they leave the house, and their bytes as JSON Lines.

An exported row is the original row, untouched and in its own key order, then one prefixed group.
Of a selection: ``circuitseer_id``, ``_score``, ``_rank`` (from 1, best key first),
``_probability`` (chance to be drawn first) and ``_source``; rows stand in rank order. Of a whole
pool (pool_rows.py): id, source, tokens and every score. Where the data already has such columns (a
subset selected from a subset) the group takes the next free prefix, ``circuitseer2_`` and so on.

``line_bytes`` is the only writer of JSON Lines: what the app hands out and what the command line
writes are the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import SHAPED, Format
from circuitseer_core.export.schema import find_columns
from circuitseer_core.export.shapes import reserved, shape
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import chosen_texts
from circuitseer_core.selection.ids import ids_hash

GROUP = ("id", "score", "rank", "probability", "source")
"""What the draw adds to every row, behind a prefix."""
FIRST_GROUP = ("score", "rank", "probability", "source")
"""What it added in exports whose manifest does not say."""

Texts = Callable[[], Iterable[pa.Table]]
"""Texts of rows, a table at a time, as often as they are asked for."""


@dataclass(frozen=True, slots=True)
class ExportedRows:
    """Rows with their texts.

    ``ids``: the group's columns, in the order of the rows. ``texts``: id, prompt, response,
    original (JSON), in the same order. ``left_out``: original columns that a shape does not carry,
    and why. ``silent``: rows that are left out, since the shape needs a response. ``group``: the
    columns that are added. ``safe_cells``: in CSV, no text is run by a spreadsheet.
    """

    ids: pd.DataFrame
    texts: Texts
    prefix: str
    left_out: dict[str, str] = field(default_factory=dict)
    silent: int = 0
    group: tuple[str, ...] = GROUP
    safe_cells: bool = False

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The original rows, each with the group."""
        for original, group in zip(self.originals(), self._groups(), strict=True):
            yield {**original, **group}

    def shaped(self, form: Format) -> Iterator[dict[str, Any]]:
        """The rows in a trainer's columns, then the other original columns, then the group."""
        for (original, prompt, response), group in zip(
            self._with_texts(), self._groups(), strict=True
        ):
            kept = {k: v for k, v in original.items() if k not in self.left_out}
            yield {**shape(form, original, prompt, response), **kept, **group}

    def originals(self) -> Iterator[dict[str, Any]]:
        """The rows as they came."""
        for table in self.texts():
            for text in _values(table.column("original")):
                yield json.loads(text, parse_constant=_null)

    def _with_texts(self) -> Iterator[tuple[dict[str, Any], str, str | None]]:
        for table in self.texts():
            columns = (_values(table.column(name)) for name in ("original", "prompt", "response"))
            for text, prompt, response in zip(*columns, strict=True):
                yield json.loads(text, parse_constant=_null), prompt, response

    def _groups(self) -> Iterator[dict[str, Any]]:
        names = [self.prefix + name for name in self.group]
        values = (map(_known, self.ids[name].tolist()) for name in self.group)
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))


def load_rows(run: Run, name: str, form: Format = "jsonl") -> ExportedRows:
    """A stored selection with its texts, ready for one format.

    Raises:
        UserError: no such selection, its files disagree, texts are not at hand, or the format
            needs responses and no row has one.
    """
    summary = run.selection(name)
    ids = run.selection_ids(name)
    if ids_hash(ids["id"]) != summary.ids_hash:
        raise UserError(
            f"selection {name!r} of {run.path} was altered after the draw: its ids.parquet is not "
            "the one selection.json was written with; draw it again"
        )
    return exported_rows(run, summary.scores, ids, form)


def exported_rows(
    run: Run,
    scores: str,
    ids: pd.DataFrame,
    form: Format,
    group: tuple[str, ...] = GROUP,
) -> ExportedRows:
    """Fetch the texts of these rows and settle the group's prefix; see ``load_rows``."""
    texts = chosen_texts(run, scores, ids["id"].tolist())
    return ready(ids, lambda: [texts], form, group)


def ready(
    ids: pd.DataFrame, texts: Texts, form: Format, group: tuple[str, ...] = GROUP
) -> ExportedRows:
    """Rows and their texts, made ready for one format.

    Raises:
        UserError: the format needs responses and no row has one.
    """
    subset = ExportedRows(ids, texts, _free_prefix(texts(), group), group=group)
    return _with_response(subset, form) if form in SHAPED else subset


def _with_response(subset: ExportedRows, form: Format) -> ExportedRows:
    """The rows that have a response, and the columns that they cannot carry in this shape."""
    texts = subset.texts
    answered = pa.chunked_array(
        [chunk for table in texts() for chunk in pc.is_valid(table["response"]).chunks], pa.bool_()
    )
    silent = len(subset) - int(pc.sum(answered).as_py() or 0)
    if silent == len(subset):
        raise UserError(
            f"no row has a response, and {form} needs one: export as jsonl, csv or parquet"
        )
    if silent:
        ids = subset.ids[answered.to_numpy()].reset_index(drop=True)

        def with_response() -> Iterator[pa.Table]:
            return (table.filter(pc.is_valid(table["response"])) for table in texts())

        subset = replace(subset, ids=ids, texts=with_response, silent=silent)
    clashing = find_columns(subset.rows).as_json
    seen = dict.fromkeys(name for original in subset.originals() for name in original)
    left_out = {name: "types differ between rows" for name in seen if name in clashing}
    left_out |= {name: "read by trainers" for name in seen if name in reserved(form)}
    return replace(subset, left_out=left_out)


def line_bytes(subset: ExportedRows, form: Format) -> Iterator[bytes]:
    """The rows as JSON Lines, UTF-8, one row a piece: the exact bytes of the exported file."""
    for row in subset.shaped(form) if form in SHAPED else subset.rows():
        yield line(row)


def line(row: dict[str, Any]) -> bytes:
    """One row as a line of JSON; text that UTF-8 cannot hold is escaped, as JSON allows."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, allow_nan=False).encode() + b"\n"


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values of a column, a chunk at a time as Python objects."""
    for start in range(0, len(column), 4096):
        yield from column.slice(start, 4096).to_pylist()


def _null(constant: str) -> None:
    """NaN and infinities, which are not JSON, become null."""


def _known(value: Any) -> Any:
    """A value of the group; a number that is missing or not finite is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _free_prefix(texts: Iterable[pa.Table], group: tuple[str, ...]) -> str:
    """The first of circuitseer_, circuitseer2_ … that no original column uses."""
    used: set[str] = set()
    for table in texts:
        originals = table.column("original")
        suspects = originals.filter(pc.match_substring(originals, '"circuitseer'))
        used |= {name for text in suspects.to_pylist() for name in json.loads(text)}
    number = 1
    while True:
        prefix = f"circuitseer{number if number > 1 else ''}_"
        if not any(prefix + name in used for name in {*GROUP, *group}):
            return prefix
        number += 1
