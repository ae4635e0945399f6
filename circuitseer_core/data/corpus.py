"""Any dataset in, one `Sample` record out; what cannot be used comes out as a `Reject`.

A DATA spec is ``[name=]path`` (.jsonl, .json, .csv, .parquet, a folder of those or one written by
``datasets.save_to_disk``), ``[name=]hf:dataset[:config][:split]``, or ``demo``. The name becomes
the samples' source; without one it is the file's stem or the Hub id. A ``source`` column wins.

Ids are unique within one pass: ``source/own_id`` where rows have an id, else ``source/`` and a
hash of prompt and response. A repeated id gets an ordinal, ``#2``, ``#3`` …, in reading order.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import Any

from circuitseer_core.data.fields import (
    PROMPT_NAMES,
    Fields,
    Layout,
    RowProblem,
    prompt_and_response,
    recognise,
    value_of,
)
from circuitseer_core.data.formats import JsonLines, Row, Table
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.data.specs import open_spec
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import short_hash
from circuitseer_core.json_io import MOST_NESTED, jsonable, plain_number

__all__ = ["Corpus", "Fields", "FilePreview", "Preview", "Reject", "Sample"]

PEEK_ROWS = 100
_WORDS = re.compile(r"[a-z]+")
_OF_PROMPTS = {*PROMPT_NAMES, "questions", "problems", "prompts"}


@dataclass(frozen=True, slots=True)
class FilePreview:
    """How one file is read; ``format`` names the delimiter of a CSV file too."""

    name: str
    format: str
    source: str
    columns: list[str]
    layout: str
    rows: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A first look at a corpus: its files, the sources and rejects among their first rows."""

    rows: int
    files: list[FilePreview]
    samples: list[Sample]
    sources: dict[str, int]
    rejects: list[Reject]


class Corpus:
    """One or several DATA specs as one re-iterable stream of samples.

    Raises UserError on construction where a file is missing, unreadable or of an unknown format.
    That no row has a prompt, or that there are no rows at all, shows with the first row, count
    or preview (and so does all that concerns the Hub): UserError again, naming the fields found.
    """

    def __init__(self, specs: Sequence[str], fields: Fields | None = None) -> None:
        if isinstance(specs, str) or not specs:
            raise UserError("name at least one dataset")
        self.fields = fields or Fields()
        self._specs: list[tuple[str, list[Table]]] = [(spec, open_spec(spec)) for spec in specs]
        self._order = [table for _, tables in self._specs for table in tables]
        self._prints: dict[int, dict[str, Any]] = {}
        self.appended = False
        """Whether the last file of ``begin_with`` has more lines than it had then."""

    def __iter__(self) -> Iterator[Sample | Reject]:
        """Stream every row in order: a Sample, or a Reject with its reason.

        Memory: one batch of rows, and 8 bytes of hash (in a set) for each id seen.
        """
        self._check()
        register = _Register()
        for table in self._tables():
            layouts: dict[tuple[str, ...], Layout | None] = {}
            for row in self._as_counted(table):
                yield self._convert(row, table, layouts, register)

    def _as_counted(self, table: Table) -> Iterator[Row]:
        """The rows of a table. UserError where they are not as many as were counted in it."""
        known: dict[int, int] | None = self.__dict__.get("_counts")
        seen = 0
        try:
            for row in table.rows():
                seen += 1
                yield row
        except OSError as error:
            why = error.strerror or one_line(error)
            raise UserError(
                f"{table.name} can no longer be read after row {seen}: {why}"
            ) from error
        if known is not None and table.counts_itself and seen != (before := known[id(table)]):
            raise UserError(
                f"{table.name} was changed while it was read: {seen:,} rows, {before:,} at first"
            )

    def count(self) -> int:
        """Rows, including those that will be rejected; the files' metadata where they have it."""
        self._check()
        return sum(self._counts.values())

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the content, ready for JSON.

        Returns:
            ``{"sha256", "fields", "files": [{"source", "name", "bytes", "sha256"} …],
            "response_items"}``; a Hub dataset has id, config, split, revision in place of bytes
            and sha256. The outer sha256 covers fields and files, in order; the item that is taken
            of list-valued responses is among the fields where it was chosen.
        """
        files = [self._print_of(table) for table in self._tables()]
        content = {"fields": self.fields.named(), "files": files}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return {"sha256": sha256} | content | {"response_items": self.fields.response_items}

    def begin_with(self, known: Sequence[Mapping[str, Any]]) -> bool:
        """Put the files of an earlier fingerprint first, in their order; the others follow.

        The last of them may have lines appended (``appended``): all that stood before them in the
        stream still does.

        Returns:
            Whether all of them are there, unchanged; where not, the order stays as it was.
        """
        self.appended = False
        left = self._tables()
        first: list[Table] = []
        for place, entry in enumerate(known, start=1):
            table = next((t for t in left if _same_file(self._print_of(t), entry)), None)
            if table is None and place == len(known):
                table = next((t for t in left if _continues(t, entry)), None)
                self.appended = table is not None
            if table is None:
                return False
            left.remove(table)
            first.append(table)
        self._order = [*first, *left]
        return True

    def _print_of(self, table: Table) -> dict[str, Any]:
        """A table's fingerprint with its source; read once."""
        if id(table) not in self._prints:
            self._prints[id(table)] = {"source": table.source} | table.fingerprint()
        return self._prints[id(table)]

    def preview(self, rows: int = 20) -> Preview:
        """Look at the first rows of every file: recognised fields, sources, samples, rejects.

        Up to 100 rows a file are read; ``rows`` samples are returned, spread over the files.
        """
        self._check()
        register = _Register()
        files: list[FilePreview] = []
        samples: list[list[Sample]] = []
        rejects: list[Reject] = []
        for table in self._tables():
            count = self._counts[id(table)]
            layouts: dict[tuple[str, ...], Layout | None] = {}
            head = list(islice(table.rows(), PEEK_ROWS))
            entries = [self._convert(row, table, layouts, register) for row in head]
            columns = list(dict.fromkeys(name for row in head for name in row.record or ()))
            layout = next(
                (of_file.describe() for of_file in layouts.values() if of_file), "no prompt"
            )
            files.append(
                FilePreview(table.name, table.format, table.source, columns, layout, count)
            )
            samples.append([entry for entry in entries if isinstance(entry, Sample)])
            rejects += [entry for entry in entries if isinstance(entry, Reject)]
        sources = Counter(sample.source for of_file in samples for sample in of_file)
        turns = [s for n in range(PEEK_ROWS) for of_file in samples for s in of_file[n : n + 1]]
        return Preview(sum(self._counts.values()), files, turns[:rows], dict(sources), rejects)

    def _tables(self) -> list[Table]:
        return list(self._order)

    @cached_property
    def _counts(self) -> dict[int, int]:
        """Rows of each table, by its identity: the order may change."""
        return {id(table): table.count() for table in self._tables()}

    @cached_property
    def _checked(self) -> bool:
        for spec, tables in self._specs:
            filled = [_has_prompt(table, self.fields) for table in tables]  # looks at every table
            if True not in filled:
                raise UserError(f"{spec} has no rows")
        return True

    def _check(self) -> None:
        """Once: every file has rows with a recognisable prompt. Raises UserError."""
        assert self._checked

    def _convert(
        self,
        row: Row,
        table: Table,
        layouts: dict[tuple[str, ...], Layout | None],
        register: _Register,
    ) -> Sample | Reject:
        if row.record is None:
            return Reject(row.where, table.source, row.problem)
        columns = tuple(row.record)
        if columns not in layouts:
            layouts[columns] = recognise(columns, self.fields)
        layout = layouts[columns]
        if layout is None:
            return Reject(row.where, table.source, f"no prompt field among: {_listed(columns)}")
        source = _label(value_of(row.record, layout.source)) or table.source
        try:
            prompt, response = prompt_and_response(row.record, layout)
        except RowProblem as problem:
            return Reject(row.where, source, str(problem))
        own = _label(value_of(row.record, layout.id)) or short_hash(prompt, response or "")
        sample_id = register.unique(f"{source}/{own}")
        try:
            original = jsonable(row.record)
        except RecursionError:
            return Reject(row.where, source, f"nested deeper than {MOST_NESTED} levels")
        return Sample(sample_id, source, prompt, response, original)


class _Register:
    """The ids given out so far, as 64-bit hashes. A false repeat (odds of 1 in 10^7 for a million
    ids) only adds an ordinal that was not needed."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeats: dict[int, int] = {}

    def unique(self, wanted: str) -> str:
        """``wanted``, or with the first free ordinal from #2 on."""
        key = _key(wanted)
        if key not in self._seen:
            self._seen.add(key)
            return wanted
        ordinal = self._repeats.get(key, 1)
        while True:
            ordinal += 1
            numbered = f"{wanted}#{ordinal}"
            if (other := _key(numbered)) not in self._seen:
                self._repeats[key] = ordinal
                self._seen.add(other)
                return numbered


def _same_file(now: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    return dict(now) == {key: value for key, value in then.items() if key in now}


def _continues(table: Table, then: Mapping[str, Any]) -> bool:
    """Whether a table is JSON Lines that were appended to a file of an earlier fingerprint."""
    if not isinstance(table, JsonLines) or (table.name, table.source) != (
        then.get("name"),
        then.get("source"),
    ):
        return False
    size, sha256 = then.get("bytes"), then.get("sha256")
    return isinstance(size, int) and isinstance(sha256, str) and table.continues(size, sha256)


def _key(sample_id: str) -> int:
    data = sample_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _has_prompt(table: Table, fields: Fields) -> bool:
    """False for a table without rows; UserError where none of its first rows has a prompt."""
    head = list(islice(table.rows(), PEEK_ROWS))
    if not head:
        return False
    records = [row.record for row in head if row.record is not None]
    if not records:
        raise UserError(f"no row of {table.name} can be read; {head[0].where}: {head[0].problem}")
    columns = list(dict.fromkeys(name for record in records for name in record))
    for option, name in fields.columns().items():
        inside = any(value_of(record, name) is not None for record in records)
        if name not in columns and not inside:
            alike = get_close_matches(name.lower(), [column.lower() for column in columns], 1)
            meant = next((c for c in columns if alike and c.lower() == alike[0]), None)
            hint = f" (--{option}-field {shlex.quote(meant)}?)" if meant else ""
            raise UserError(
                f"{table.name} has no field {name!r} for the {option}; found: {_listed(columns)}",
                hint=hint,
            )
    if not any(recognise(tuple(record), fields) for record in records):
        likely = next((c for c in columns if set(_WORDS.findall(c.lower())) & _OF_PROMPTS), None)
        named = f"--prompt-field {shlex.quote(likely)}" if likely else "--prompt-field"
        raise UserError(
            f"no prompt field recognised in {table.name}; found: {_listed(columns)}",
            hint=f" (name it with {named})",
        )
    return True


def _label(value: Any) -> str | None:
    """A source or id as text; None where the cell has none that could serve."""
    if isinstance(value, Decimal):
        value = plain_number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas turns whole numbers beside a gap into floats
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    return text.encode("utf-8", "replace").decode("utf-8") or None


def _listed(columns: Sequence[str]) -> str:
    """Names of columns; one in which a name could seem to end stands in quotes."""
    shown = ", ".join(f'"{c}"' if re.search(r"[\s,]", str(c)) else str(c) for c in columns[:20])
    return f"{shown} and {len(columns) - 20} more" if len(columns) > 20 else shown or "none"
