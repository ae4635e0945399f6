"""File formats: a path in, a stream of rows out, nothing held but the row or batch at hand.

One `Table` per file. A row that cannot be read becomes a `Row` without a record and with the
reason: one bad line never ends a run. A file that cannot be read at all is a `UserError`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from circuitseer_core.errors import UserError, one_line

BATCH_ROWS = 512
_ARRAY_KEYS = ("data", "train", "rows", "examples", "samples", "items", "test", "validation")


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

    def rows(self) -> Iterator[Row]:
        """Stream the rows in file order."""

    def count(self) -> int:
        """Rows, read or not, as cheaply as the format allows."""

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the content, ready for JSON."""


_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""How files of wide characters begin; that of little-endian UTF-32 begins like UTF-16's."""


class FileTable:
    """What every file-backed table shares. Raises UserError where the file cannot be opened."""

    def __init__(self, path: Path, name: str, source: str) -> None:
        self.path = path
        self.name = name
        self.source = source
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
                raise UserError(f"cannot read {path}: it is no ordinary file")
            with path.open("rb") as file:
                head = file.read(4)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {one_line(error)}") from error
        if head.startswith(_WIDE_MARKS):
            raise UserError(f"{path} is UTF-16 or UTF-32: convert it to UTF-8")

    def fingerprint(self) -> dict[str, Any]:
        """Name, size in bytes and the SHA-256 of the content, streamed."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return {
            "name": self.name,
            "bytes": self.path.stat().st_size,
            "sha256": digest.hexdigest(),
        }


class JsonLines(FileTable):
    """One JSON object a line; blank lines are skipped. `where` is ``name:line``."""

    def rows(self) -> Iterator[Row]:
        """Stream the lines."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _json_row(line, f"{self.name}:{number}")

    def count(self) -> int:
        """Lines that are not blank."""
        with self.path.open("rb") as file:
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

    JSON Lines under a .json name are read as such, line by line.
    """

    def rows(self) -> Iterator[Row]:
        """The objects of the list."""
        values = self._values()
        if values is None:
            yield from JsonLines(self.path, self.name, self.source).rows()
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
            return JsonLines(self.path, self.name, self.source).count()
        return len(values)

    def _values(self) -> list[Any] | None:
        """The rows; None where the file is JSON Lines."""
        try:
            text = self.path.read_text(encoding="utf-8-sig")
            value = json.loads(text)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path} is not UTF-8 (byte {error.start + 1})") from error
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and text.lstrip().startswith("{"):
                return None
            at = f"line {error.lineno}, column {error.colno}"
            raise UserError(f"{self.path} is not valid JSON: {error.msg} at {at}") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path} is not valid JSON: {error}") from error
        if isinstance(value, dict):
            return self._under_a_key(value)
        if not isinstance(value, list):
            raise UserError(f"{self.path} holds neither a list of rows nor an object with one")
        return value

    def _under_a_key(self, value: dict[str, Any]) -> list[Any]:
        lists = {
            key: rows
            for key, rows in value.items()
            if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        }
        for key in _ARRAY_KEYS:
            if key in lists:
                return lists[key]
        if len(lists) == 1 and _TURN_KEYS.isdisjoint(lists):
            return next(iter(lists.values()))
        if not lists or not _TURN_KEYS.isdisjoint(lists):
            return [value]  # a single row
        raise UserError(f"{self.path} has several lists of rows ({', '.join(lists)}): keep one")


_TURN_KEYS = {"messages", "conversations", "conversation"}


class Csv(FileTable):
    """Comma-separated (tab-separated for .tsv), first line the header, quotes as in RFC 4180.

    `where` is ``name:line`` with the line on which the record starts.
    """

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
            elif any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
                yield Row(where, None, "not UTF-8")
            else:
                yield Row(where, dict(zip(header, cells, strict=True)))

    def count(self) -> int:
        """Records below the header; reads the file."""
        return sum(1 for _ in self.rows())

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        """(first line, cells, problem) of every record that is not blank."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # whole documents stand in one cell
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else ","
        # Bytes that are not UTF-8 survive as lone surrogates, so that only their row is lost.
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
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
