"""File formats: a path in, a stream of rows out, nothing held but the row or batch at hand.

One `Table` per file. A row that cannot be read becomes a `Row` without a record and with the
reason: one bad line never ends a run. A file that cannot be read at all is a `UserError`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from circuitseer_core.data.compression import bare, codec_of, compressed_as, open_bytes
from circuitseer_core.data.delimiters import DELIMITERS, HEAD_BYTES, delimiter_of
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import file_hash
from circuitseer_core.json_io import is_utf8

BATCH_ROWS = 512
_WHOLE_KEYS = ("data", "rows", "examples", "samples", "items")
"""Names of lists that are all of a file's rows, whatever stands beside them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it came: where it stands, and its record or why there is none."""

    where: str
    record: dict[str, Any] | None
    problem: str = ""


class Table(Protocol):
    """A re-iterable, countable stretch of rows."""

    name: str
    """What it is called in messages and fingerprints (no absolute path)."""
    source: str
    """The source its rows belong to, unless they say otherwise."""

    @property
    def counts_itself(self) -> bool:
        """Whether ``count`` is of the rows themselves, not what a dataset's card says of them."""

    @property
    def format(self) -> str:
        """How a person calls what it is."""

    def rows(self) -> Iterator[Row]:
        """Stream the rows in file order."""

    def count(self) -> int:
        """Rows, read or not, as cheaply as the format allows."""

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the content, ready for JSON."""


_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""How files of wide characters begin; that of little-endian UTF-32 begins like UTF-16's."""


class FileTable:
    """What every file-backed table shares. Raises UserError where the file cannot be opened.

    ``shown``: what messages call the file; its path where not given.
    """

    counts_itself = True
    packable = True
    """Whether the file may be compressed as a whole (.gz, .zst)."""
    kind = ""

    @property
    def format(self) -> str:
        """How a person calls what it is."""
        codec = codec_of(self.path)
        return f"{self.kind}, {codec}" if codec else self.kind

    def __init__(self, path: Path, name: str, source: str, shown: str | None = None) -> None:
        self.path = path
        self.name = name
        self.source = source
        self.shown = shown or str(path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
                raise UserError(f"cannot read {self.shown}: it is no ordinary file")
            with path.open("rb") as file:
                head = file.read(4)
            packed = codec_of(path)
            if packed and self.packable:
                with self.open() as inside:
                    head = inside.read(4)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {self.shown}: {one_line(error)}") from error
        ending = compressed_as(head)
        if packed and not self.packable:
            raise UserError(
                f"{self.shown} is compressed once more around a format that compresses itself: "
                "unpack it"
            )
        if ending:
            raise UserError(
                f"{self.shown} is compressed{' twice' if packed else ''}: "
                + ("unpack it" if packed else f"let its name end in {ending}")
            )
        if head.startswith(_WIDE_MARKS):
            raise UserError(f"{self.shown} is UTF-16 or UTF-32: convert it to UTF-8")

    def open(self) -> BinaryIO:
        """The bytes, expanded where the file is compressed; see :func:`open_bytes`."""
        return open_bytes(self.path, self.shown)

    def fingerprint(self) -> dict[str, Any]:
        """Name, size in bytes and the SHA-256 of the content, streamed."""
        size = self.path.stat().st_size
        return {"name": self.name, "bytes": size, "sha256": file_hash(self.path)}


class JsonLines(FileTable):
    """One JSON object a line; blank lines are skipped. `where` is ``name:line``."""

    kind = "JSON Lines"

    def rows(self) -> Iterator[Row]:
        """Stream the lines."""
        with self.open() as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _json_row(line, f"{self.name}:{number}")

    def continues(self, size: int, sha256: str) -> bool:
        """Whether these are whole lines behind a file of ``size`` bytes with this SHA-256.

        Only of plain files: what was appended to a compressed one may be part of its last line.
        """
        if codec_of(self.path) or not 0 < size < self.path.stat().st_size:
            return False
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            left, block = size, b""
            while left and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            begun = block.endswith(b"\n") or file.readline().strip() == b""
        return not left and digest.hexdigest() == sha256 and begun

    def count(self) -> int:
        """Lines that are not blank."""
        with self.open() as file:
            return sum(1 for line in file if line.strip())


def _json_row(line: bytes, where: str) -> Row:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Row(where, None, f"not UTF-8 (byte {error.start + 1} of the line)")
    except RecursionError:
        return Row(where, None, "invalid JSON: nested too deeply")
    except ValueError as error:
        return Row(where, None, f"invalid JSON: {error}")
    if not isinstance(value, dict):
        return Row(where, None, "not a JSON object")
    return Row(where, value)


class JsonArray(FileTable):
    """A list of objects, bare or under a key such as ``data`` or ``train``; read whole.

    ``split``: which list, where there are several.

    JSON Lines under a .json name are read as such, line by line.
    """

    kind = "JSON"
    split: str | None = None

    def rows(self) -> Iterator[Row]:
        """The objects of the list."""
        values = self._values()
        if values is None:
            yield from self._as_lines().rows()
            return
        for number, value in enumerate(values, start=1):
            where = f"{self.name} row {number}"
            if isinstance(value, dict):
                yield Row(where, value)
            else:
                yield Row(where, None, "not a JSON object")

    def count(self) -> int:
        """Length of the list; reads the file."""
        values = self._values()
        if values is None:
            return self._as_lines().count()
        return len(values)

    def _as_lines(self) -> JsonLines:
        return JsonLines(self.path, self.name, self.source, self.shown)

    def _values(self) -> list[Any] | None:
        """The rows; None where the file is JSON Lines."""
        try:
            with self.open() as file:
                text = file.read().decode("utf-8-sig")
            value = json.loads(text)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.shown} is not UTF-8 (byte {error.start + 1})") from error
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and text.lstrip().startswith("{"):
                return None
            at = f"line {error.lineno}, column {error.colno}"
            raise UserError(f"{self.shown} is not valid JSON: {error.msg} at {at}") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.shown} is not valid JSON: {error}") from error
        if isinstance(value, dict):
            return self._under_a_key(value)
        if not isinstance(value, list):
            raise UserError(f"{self.shown} holds neither a list of rows nor an object with one")
        return value

    def _under_a_key(self, value: dict[str, Any]) -> list[Any]:
        lists = {
            key: rows
            for key, rows in value.items()
            if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        }
        if self.split is not None:
            return lists[named_split(self.shown, list(lists), self.split)]
        if len(lists) > 1 and _TURN_KEYS.isdisjoint(lists):
            whole = next((key for key in _WHOLE_KEYS if key in lists), None)
            return lists[whole or named_split(self.shown, list(lists), None)]
        if len(lists) == 1 and _TURN_KEYS.isdisjoint(lists):
            return next(iter(lists.values()))
        return [value]  # a single row


def named_split(path: Path | str, splits: Sequence[str], split: str | None) -> str:
    """The split that is meant. Raises UserError, naming those there are, where none is."""
    if split is None and len(splits) == 1:
        return splits[0]
    if split in splits:
        return str(split)
    there = ", ".join(splits) or "none"
    if split is None:
        raise UserError(f"{path} has the splits {there}: name one, as {path}:{splits[0]}")
    raise UserError(f"{path} has no split {split!r}; there are {there}")


_TURN_KEYS = {"messages", "conversations", "conversation"}


class Csv(FileTable):
    """Separated by commas, semicolons or tabs, first line the header, quotes as in RFC 4180.

    `where` is ``name:line`` with the line on which the record starts.
    """

    kind = "CSV"

    @property
    def format(self) -> str:
        """How a person calls what it is, its delimiter included."""
        return f"{super().format}, {DELIMITERS[self.delimiter]}s"

    @property
    def delimiter(self) -> str:
        """What separates the cells; see :func:`delimiter_of`."""
        default = "\t" if bare(self.path).suffix.lower() == ".tsv" else ","
        with self.open() as file:
            return delimiter_of(file.read(HEAD_BYTES), default)

    def rows(self) -> Iterator[Row]:
        """Stream the records."""
        header: list[str] | None = None
        for line, cells, problem in self._records():
            where = f"{self.name}:{line}"
            if problem:
                yield Row(where, None, problem)
            elif header is None:
                header = cells
            elif len(cells) != len(header):
                yield Row(where, None, f"{len(cells)} cells under a header of {len(header)}")
            elif not all(map(is_utf8, cells)):  # bytes that were not are lone surrogates now
                yield Row(where, None, "not UTF-8")
            else:
                yield Row(where, dict(zip(header, cells, strict=True)))

    def count(self) -> int:
        """Records below the header; reads the file."""
        return sum(1 for _ in self.rows())

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        """(first line, cells, problem) of every record that is not blank."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # whole documents stand in one cell
        delimiter = self.delimiter
        # Bytes that are not UTF-8 survive as lone surrogates, so that only their row is lost.
        with io.TextIOWrapper(self.open(), "utf-8-sig", "surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            while True:
                line = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield line, [], f"invalid CSV: {error}"
                    continue
                if cells:
                    yield line, cells, ""
