"""Shards are made and written in a thread, while the device is at the windows behind them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import pyarrow as pa

from circuitseer_core.scoring.shard_book import ShardBook
from circuitseer_core.scoring.shards import Note
from circuitseer_core.scoring.window_results import Shard

WAITING = 2
"""Most shards that wait to be written; with more, whoever brings one waits too."""


def ready(table: pa.Table, note: Note) -> Shard:
    """A shard that was made elsewhere."""
    return lambda: (table, note)


class ShardWriter:
    """Writes the shards of one scoring, in the order in which they come. A context manager.

    A failure is raised in the caller's thread, by the next ``add`` or at the end of the block, and
    nothing is written after it. Where the block ends by an exception of its own (Ctrl-C) the shards
    that had been brought are still written: they are whole.
    """

    def __init__(self, book: ShardBook) -> None:
        self._book = book
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="circuitseer-writer")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def add(self, shard: Shard) -> None:
        """Take a shard to be made and written."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= WAITING):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, shard))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if kind is None:
            for written in self._waiting:
                written.result()

    def _write(self, shard: Shard) -> None:
        if self._failed:
            return
        try:
            self._book.add(*shard())
        except BaseException:
            self._failed = True
            raise
