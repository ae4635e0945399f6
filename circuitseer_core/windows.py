"""The corpus as a stream of windows: what one shard of scores is made of.

A window is a run of consecutive rows, closed by a number of rows or of bytes, whichever comes
first. It depends on the data and on nothing else, so a resumed run, or another machine, sees the
same windows; and as only two are alive at a time, memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from circuitseer_core.corpus import Reject, Sample

WINDOW_BYTES = 32 * 2**20
"""Text at which a window is closed early, so that very long documents do not pile up."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of one shard, in data order."""

    index: int
    samples: list[Sample]
    rejects: list[Reject]

    @property
    def size(self) -> int:
        """Rows of the data, usable or not."""
        return len(self.samples) + len(self.rejects)


def windows(
    entries: Iterable[Sample | Reject], rows: int, max_bytes: int = WINDOW_BYTES
) -> Iterator[Window]:
    """Cut a stream into windows of at most ``rows`` rows and about ``max_bytes`` of text."""
    index = 0
    window = Window(index, [], [])
    held = 0
    for entry in entries:
        if isinstance(entry, Reject):
            window.rejects.append(entry)
        else:
            window.samples.append(entry)
            held += len(entry.prompt) + len(entry.response or "")
        if window.size >= rows or held >= max_bytes:
            yield window
            index += 1
            window, held = Window(index, [], []), 0
    if window.size:
        yield window


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is in use.

    Whatever ``items`` raises is raised here in its turn.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="circuitseer-ahead") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
