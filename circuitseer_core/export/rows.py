"""The rows of a selection as they leave the house, and their bytes as JSON Lines.

An exported row is the original row, untouched and in its own key order, then one prefixed group:
``circuitseer_score``, ``_rank`` (from 1, best key first), ``_probability`` (chance to be drawn
first) and ``_source``. Where the data already has such columns (a subset selected from a subset)
the group takes the next free prefix, ``circuitseer2_`` and so on. Rows stand in rank order.

``line_bytes`` is the only writer of JSON Lines: the app's download and the command line's file are
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from circuitseer_core.errors import UserError
from circuitseer_core.export.chat import RESERVED, to_messages
from circuitseer_core.export.schema import find_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import chosen_texts
from circuitseer_core.selection.select_run import ids_hash

Format = Literal["jsonl", "parquet", "datasets", "messages"]
FORMATS: tuple[Format, ...] = ("jsonl", "parquet", "datasets", "messages")
GROUP = ("id", "score", "rank", "probability", "source")
"""What the draw adds to every row, behind a prefix."""
FIRST_GROUP = ("score", "rank", "probability", "source")
"""What it added in exports whose manifest does not say."""


@dataclass(frozen=True, slots=True)
class ExportedRows:
    """A selection with its texts.

    ``ids``: the columns of ids.parquet, in rank order. ``texts``: id, prompt, response, original
    (JSON), in the same order. ``left_out``: original columns that chat messages do not carry, and
    why. ``silent``: rows of the selection that are left out, since chat messages need a response.
    ``group``: the columns that the draw adds.
    """

    ids: pd.DataFrame
    texts: pa.Table
    prefix: str
    left_out: dict[str, str] = field(default_factory=dict)
    silent: int = 0
    group: tuple[str, ...] = GROUP

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The original rows, each with the group."""
        for original, group in zip(self._originals(), self._groups(), strict=True):
            yield {**original, **group}

    def messages(self) -> Iterator[dict[str, Any]]:
        """The rows as chat: ``messages``, the other original columns, the group."""
        prompts, responses = (_values(self.texts.column(n)) for n in ("prompt", "response"))
        for original, prompt, response, group in zip(
            self._originals(), prompts, responses, self._groups(), strict=True
        ):
            kept = {k: v for k, v in original.items() if k not in self.left_out}
            yield {"messages": to_messages(original, prompt, response), **kept, **group}

    def _originals(self) -> Iterator[dict[str, Any]]:
        for text in _values(self.texts.column("original")):
            yield json.loads(text, parse_constant=_null)

    def _groups(self) -> Iterator[dict[str, Any]]:
        names = [self.prefix + name for name in self.group]
        values = (self.ids[name].tolist() for name in self.group)
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))


def load_rows(run: Run, name: str, form: Format = "jsonl") -> ExportedRows:
    """A stored selection with its texts, ready for one format.

    Raises:
        UserError: no such selection, its files disagree, texts are not at hand, or the format is
            ``messages`` and no row has a response.
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
    prefix = _free_prefix(texts.column("original"))
    if form != "messages":
        return ExportedRows(ids, texts, prefix, group=group)
    answered = pc.is_valid(texts.column("response"))
    silent = len(ids) - int(pc.sum(answered).as_py() or 0)
    if silent == len(ids):
        raise UserError(
            "no chosen row has a response, and chat messages need one: export as jsonl or parquet"
        )
    if silent:
        ids = ids[answered.to_numpy()].reset_index(drop=True)
        texts = texts.filter(answered)
    subset = ExportedRows(ids, texts, prefix, group=group)
    clashing = find_columns(subset.rows).as_json
    seen = dict.fromkeys(name for original in subset._originals() for name in original)
    left_out = {name: "types differ between rows" for name in seen if name in clashing}
    left_out |= {name: "read by trainers" for name in seen if name in RESERVED}
    return ExportedRows(ids, texts, prefix, left_out, silent, group)


def line_bytes(subset: ExportedRows, form: Format) -> Iterator[bytes]:
    """The subset as JSON Lines, UTF-8, one row a piece: the exact bytes of the exported file."""
    for row in subset.messages() if form == "messages" else subset.rows():
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


def _free_prefix(originals: pa.ChunkedArray) -> str:
    """The first of circuitseer_, circuitseer2_ … that no original column uses."""
    suspects = originals.filter(pc.match_substring(originals, '"circuitseer'))
    used = {name for text in suspects.to_pylist() for name in json.loads(text)}
    number = 1
    while True:
        prefix = f"circuitseer{number if number > 1 else ''}_"
        if not any(prefix + name in used for name in GROUP):
            return prefix
        number += 1
