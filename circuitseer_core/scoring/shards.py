"""Shards of a scoring on disk: written whole, signed, checked before they are trusted.

A shard is one Parquet file of one window's rows. Its metadata carries the hash of the settings, the
shard's number and the window's rejects, so a shard is complete the moment its file appears. A file
that is truncated, of another scoring or in another shard's place is redone, never read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.checksums import checked_writer, is_damaged, is_whole, write_table
from circuitseer_core.data.sample import Reject
from circuitseer_core.errors import UserError
from circuitseer_core.files import atomic_path
from circuitseer_core.runs.columns import ROW_GROUP

_METADATA = b"circuitseer"
_REJECT_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "source", "reason")])


@dataclass(frozen=True, slots=True)
class Note:
    """What a shard says of itself: settings hash, number, rows of data it stands for, rejects."""

    settings: str
    shard: int
    entries: int
    rows: int
    tokens: int
    token_budget: int
    controls: int
    rejects: list[tuple[str, str, str]] = field(default_factory=list)


def part_path(folder: Path, index: int) -> Path:
    """Where shard ``index`` goes."""
    return folder / f"part-{index:05d}.parquet"


def write_part(folder: Path, table: pa.Table, note: Note) -> None:
    """Write one shard, atomically."""
    metadata = {_METADATA: json.dumps(asdict(note), ensure_ascii=False).encode()}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(part_path(folder, note.shard)) as temporary:
        write_table(temporary, table.replace_schema_metadata(metadata), row_group_size=ROW_GROUP)


def read_note(path: Path) -> Note | None:
    """The note of a shard; None where the file is absent, damaged or nobody's shard."""
    if not path.is_file() or is_whole(path) is False:
        return None
    try:
        with pq.ParquetFile(path) as parquet:
            raw = (parquet.schema_arrow.metadata or {}).get(_METADATA)
            rows = parquet.metadata.num_rows
        note = Note(**json.loads(raw or b"{}"))
    except (OSError, pa.ArrowException, ValueError, TypeError):
        return None
    return note if note.rows == rows else None


def rows_noted(folder: Path, settings_hash: str) -> int:
    """Rows of data that the shards of this very scoring stand for, by what they say: they are not
    read through."""
    rows = 0
    for path in folder.glob("part-*.parquet"):
        with contextlib.suppress(OSError, pa.ArrowException, ValueError, TypeError):
            raw = (pq.read_schema(path).metadata or {}).get(_METADATA)
            note = Note(**json.loads(raw or b"{}"))
            rows += note.entries if note.settings == settings_hash else 0
    return rows


def finished(folder: Path, index: int, settings_hash: str) -> Note | None:
    """The note of shard ``index`` where it is whole and of this very scoring, else None."""
    note = read_note(part_path(folder, index))
    ours = note is not None and note.settings == settings_hash and note.shard == index
    return note if ours else None


def clean(folder: Path, settings_hash: str) -> list[Path]:
    """Delete shards of another scoring and damaged ones, which are returned."""
    damaged = []
    for path in sorted(folder.glob("part-*.parquet")):
        number = path.stem.removeprefix("part-")
        if not number.isdigit() or finished(folder, int(number), settings_hash) is None:
            if is_damaged(path):
                damaged.append(path)
            path.unlink(missing_ok=True)
    return damaged


def notes(folder: Path, settings_hash: str, count: int) -> Iterator[Note]:
    """The notes of shards 0..count-1. Raises UserError where one is missing."""
    for index in range(count):
        note = finished(folder, index, settings_hash)
        if note is None:
            raise UserError(f"{part_path(folder, index)} is missing or broken: score again")
        yield note


def kept(folder: Path) -> str:
    """What of a scoring that was stopped is on disk, and what running it again will do."""
    rows = sum(note.entries for path in folder.glob("part-*.parquet") if (note := read_note(path)))
    if not rows:
        return "no shard was whole yet: run it again to begin anew"
    return f"{rows:,} rows kept: run it again to go on"


def drop_beyond(folder: Path, count: int) -> None:
    """Delete shards that the data has no rows for."""
    known = {part_path(folder, index).name for index in range(count)}
    for path in folder.glob("part-*.parquet"):
        if path.name not in known:
            path.unlink(missing_ok=True)


def write_rejects(folder: Path, shards: Iterator[Note]) -> tuple[int, int, int, str]:
    """Collect all shards' rejects into rejects.parquet, one shard at a time.

    Returns:
        Rows scored, rows rejected, tokens scored, the first reject's reason.
    """
    rows = rejected = tokens = 0
    reason = ""
    with (
        atomic_path(folder / "rejects.parquet") as temporary,
        checked_writer(temporary, _REJECT_SCHEMA) as writer,
    ):
        for note in shards:
            rows, tokens = rows + note.rows, tokens + note.tokens
            rejected += len(note.rejects)
            if note.rejects:
                reason = reason or note.rejects[0][2]
                columns = [list(column) for column in zip(*note.rejects, strict=True)]
                writer.write_table(pa.table(columns, schema=_REJECT_SCHEMA))
    return rows, rejected, tokens, reason


def reject_rows(rejects: Sequence[Reject]) -> list[tuple[str, str, str]]:
    """Rejects as they stand in a note."""
    return [(reject.where, reject.source, reject.reason) for reject in rejects]
