"""Arrow's own formats as tables: Parquet, and Arrow IPC (.arrow, .feather, ``save_to_disk``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from circuitseer_core.data.arrow_messages import (
    FREE_BYTES,
    MOST_EXPANSION,
    refuse_expanding,
)
from circuitseer_core.data.formats import BATCH_ROWS, FileTable, Row
from circuitseer_core.errors import UserError, one_line

_UNREADABLE = (ValueError, OverflowError, TypeError, RecursionError, ArithmeticError)
"""What a cell raises that Python cannot hold: a year 300,000, text that is not UTF-8."""


def batch_records(batch: Any) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """The rows of an Arrow batch or table, each with the reason where it cannot be read."""
    try:
        records = batch.to_pylist()
    except _UNREADABLE:
        for at in range(batch.num_rows):
            yield _one_record(batch, at)
        return
    for record in records:
        yield record, ""


def _one_record(batch: Any, at: int) -> tuple[dict[str, Any] | None, str]:
    for name in batch.schema.names:
        try:
            batch.slice(at, 1).select([name]).to_pylist()
        except _UNREADABLE as error:
            return None, f"{name} cannot be read: {one_line(error)}"
    return batch.slice(at, 1).to_pylist()[0], ""


class Parquet(FileTable):
    """A Parquet file, a batch of rows in memory at a time. `where` is ``name row n``."""

    kind = "Parquet"
    packable = False

    def __init__(self, path: Path, name: str, source: str, shown: str | None = None) -> None:
        super().__init__(path, name, source, shown)
        with self._open() as file:
            self._count = file.metadata.num_rows
            _refuse_bomb(self.shown, file.metadata)

    def _open(self) -> Any:
        import pyarrow
        import pyarrow.parquet

        try:
            # Without pre-buffering a row group is read page by page, however large it is.
            return pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.shown}: the name of a column is not UTF-8") from error
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(
                f"{self.shown} is not a readable Parquet file: {one_line(error)}"
            ) from error

    def rows(self) -> Iterator[Row]:
        """Stream the rows, batch by batch."""
        import pyarrow

        number = 0
        try:
            with self._open() as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    for record, problem in batch_records(batch):
                        number += 1
                        yield Row(f"{self.name} row {number}", record, problem)
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(
                f"{self.shown} breaks off at row {number}: {one_line(error)}"
            ) from error

    def count(self) -> int:
        """Rows, from the metadata."""
        return int(self._count)


_IPC_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"


def _refuse_bomb(shown: str, metadata: Any) -> None:
    """Raise UserError for a file that is small on disk only."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(c) for c in range(group.num_columns)]
        packed = sum(chunk.total_compressed_size for chunk in chunks)
        if group.total_byte_size > max(FREE_BYTES, MOST_EXPANSION * packed):
            raise UserError(
                f"{shown} expands to {group.total_byte_size / 2**30:.1f} GiB a row group, more "
                f"than {MOST_EXPANSION:,} times its size: refused"
            )


def _refuse_names(shown: str, schema: Any) -> None:
    """Raise UserError where a column's name is not text: nothing could be said of the column."""
    for at in range(len(schema)):
        try:
            schema.field(at).name  # noqa: B018 (read, since that is what raises)
        except UnicodeDecodeError as error:
            raise UserError(f"{shown}: the name of column {at + 1} is not UTF-8") from error


class ArrowIpc(FileTable):
    """Arrow IPC, as a file (Feather, .arrow) or a stream (a shard of ``datasets.save_to_disk``).

    Read, not mapped into memory, and checked: a file that was cut, or whose offsets are damaged,
    would end the process instead of raising.
    """

    kind = "Arrow"
    packable = False

    def __init__(self, path: Path, name: str, source: str, shown: str | None = None) -> None:
        super().__init__(path, name, source, shown)
        with path.open("rb") as file:
            magic = file.read(len(_IPC_FILE))
        if magic.startswith(_FEATHER_1):
            raise UserError(f"{self.shown} is Feather version 1: write it again as version 2")
        self._is_file = magic == _IPC_FILE
        refuse_expanding(path, self.shown, len(_IPC_FILE) + 2 if self._is_file else 0)

    def rows(self) -> Iterator[Row]:
        """Stream the rows, batch by batch."""
        number = 0
        for batch in self._batches(mapped=False):
            self._check(batch, number)
            for start in range(0, batch.num_rows, BATCH_ROWS):
                for record, problem in batch_records(batch.slice(start, BATCH_ROWS)):
                    number += 1
                    yield Row(f"{self.name} row {number}", record, problem)

    def count(self) -> int:
        """Rows, from the batch headers."""
        return sum(batch.num_rows for batch in self._batches(mapped=True))

    def _batches(self, *, mapped: bool) -> Iterator[Any]:
        import pyarrow

        opened = pyarrow.memory_map if mapped else pyarrow.OSFile
        try:
            with opened(str(self.path)) as file:
                if not self._is_file:
                    stream = pyarrow.ipc.open_stream(file)
                    _refuse_names(self.shown, stream.schema)
                    yield from stream
                    return
                reader = pyarrow.ipc.open_file(file)
                _refuse_names(self.shown, reader.schema)
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)
        except (pyarrow.ArrowException, OSError, MemoryError) as error:
            raise UserError(
                f"{self.shown} is not a readable Arrow file: {one_line(error)}"
            ) from error

    def _check(self, batch: Any, before: int) -> None:
        """Raise UserError where a column's buffers do not belong together."""
        import pyarrow

        for column in batch.columns:
            try:
                column.validate(full=True)
            except pyarrow.ArrowException as error:
                if "UTF8" not in str(error):  # found after the offsets; a matter of single rows
                    raise UserError(
                        f"{self.shown} is damaged after row {before}: {one_line(error)}"
                    ) from error
