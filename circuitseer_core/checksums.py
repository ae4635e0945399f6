"""Parquet files that carry a checksum of themselves, so that damage is noticed and not computed on.

A file's own key-value metadata holds the SHA-256 of the whole file, taken with that very place
filled with zeros. It is written with the file, needs no list beside it that could fall behind,
changes no column, and other readers pass over it. Files without one (made before, or by other
hands) are read as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.errors import UserError

KEY = b"circuitseer_sha256"
_SIGNED = b"circuitseer_signed"
"""A second mark: without it a file whose first one is damaged would pass for one without any."""
_EMPTY = b"0" * 64
_BLOCK = 1 << 20


@contextmanager
def checked_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer (zstd) whose file gets its checksum when the block ends without an error."""
    with pq.ParquetWriter(path, schema, **{"compression": "zstd", **options}) as writer:
        yield writer
        writer.add_key_value_metadata({_SIGNED: b"1", KEY: _EMPTY})
    _sign(path)


def write_table(path: Path, table: pa.Table, *, row_group_size: int | None = None) -> None:
    """Write a table (zstd) with its checksum; not atomic, see ``files.atomic_path``."""
    with checked_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=row_group_size)


def unsigned(table: pa.Table) -> pa.Table:
    """A table as it was read, its metadata less the checksum of the file that it was read from."""
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k not in (KEY, _SIGNED)}
    return table.replace_schema_metadata(kept or None)


def is_whole(path: Path) -> bool | None:
    """Whether a file is as it was written; None where it carries no checksum.

    A file that cannot be read at all is not whole. The answer is kept for as long as the file's
    size and time stay the same.
    """
    try:
        stat = path.stat()
    except OSError:
        return False
    if not S_ISREG(stat.st_mode):
        return False
    return _is_whole(str(path), stat.st_size, stat.st_mtime_ns)


def is_damaged(path: Path) -> bool:
    """Whether there is a file and it is not as it was written."""
    return path.is_file() and is_whole(path) is False


def require_whole(path: Path, remedy: str) -> None:
    """Raise UserError, naming the file and what to do, where it is not as it was written."""
    if is_whole(path) is False:
        raise UserError(f"{path} is damaged (it is not as it was written): {remedy}")


@lru_cache(maxsize=65_536)
def _is_whole(path: str, size: int, changed: int) -> bool | None:
    try:
        place = _place(Path(path))
        if place is None:
            pq.read_metadata(path)
            return None
        at, value = place
        return _digest(Path(path), at) == value
    except (OSError, pa.ArrowException, ValueError):
        return False


def _sign(path: Path) -> None:
    place = _place(path)
    if place is None:  # pragma: no cover - the key was written just now
        raise ValueError(f"{path} has no place for a checksum")
    digest = _digest(path, place[0])
    with path.open("r+b") as file:
        file.seek(place[0])
        file.write(digest)


def _place(path: Path) -> tuple[int, bytes] | None:
    """Where in the file the checksum stands, and what stands there; None without one.

    The footer, written in Thrift's compact protocol, holds key and value as plain bytes.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 12:
            raise ValueError("too short")
        file.seek(size - 8)
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > size - 12:
            raise ValueError("no Parquet footer")
        file.seek(size - 8 - length)
        footer = file.read(length)
    at = footer.rfind(KEY)
    if at < 0:
        if _SIGNED in footer:
            raise ValueError("the checksum is gone")
        return None
    # After the key: one byte of field header, then the value's length, 64, in one byte.
    start = at + len(KEY) + 2
    if footer[start - 1] != len(_EMPTY) or start + len(_EMPTY) > length:
        raise ValueError("no checksum where one should be")
    return size - 8 - length + start, footer[start : start + len(_EMPTY)]


def _digest(path: Path, blank: int) -> bytes:
    """SHA-256 in hex of the file with 64 zeros at ``blank``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = blank
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        digest.update(_EMPTY)
        file.seek(len(_EMPTY), 1)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest().encode()
