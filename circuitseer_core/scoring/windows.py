"""The corpus as a stream of windows: rows that become one shard of scores.

A window is a run of consecutive rows, closed by a number of rows, of characters to read or of
bytes, whichever comes first. It depends on the data and on these limits alone, so a resumed run, or
another machine, sees the same windows; and as only two are alive at a time, memory does not grow
with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from circuitseer_core.data.sample import Reject, Sample, ScoredPart, scored_text

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


CHARS_A_TOKEN = 4
"""Of English, about: how much of a text can count where it will be cut at a number of tokens."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where windows end, whatever comes first.

    Attributes:
        rows: of a window.
        chars: that the model reads of it; None for no such limit.
        text_chars: most that count of one sample, whose text will be cut; None for all.
        text: which part of a sample is scored.
        both: whether further passes read prompt and response too.
        ends: rows of the data after which a window ends in any case.
    """

    rows: int
    chars: int | None = None
    text_chars: int | None = None
    text: ScoredPart = "prompt"
    both: bool = False
    ends: tuple[int, ...] = ()

    def chars_of(self, sample: Sample) -> int:
        """Characters of a sample that the model reads."""
        chars = len(scored_text(self.text, sample.prompt, sample.response) or "")
        if self.both:
            chars += len(sample.prompt) + len(sample.response or "")
        return chars if self.text_chars is None else min(chars, self.text_chars)


def windows(
    entries: Iterable[Sample | Reject], cut: Cut, max_bytes: int = WINDOW_BYTES
) -> Iterator[Window]:
    """Cut a stream into windows; also at about ``max_bytes`` of text, for memory's sake."""
    index = 0
    window = Window(index, [], [])
    text_bytes = chars = 0
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Reject):
            window.rejects.append(entry)
        else:
            window.samples.append(entry)
            text_bytes += len(entry.prompt) + len(entry.response or "")
            chars += cut.chars_of(entry) if cut.chars is not None else 0
        full = number in cut.ends or (cut.chars is not None and chars >= cut.chars)
        if full or window.size >= cut.rows or text_bytes >= max_bytes:
            yield window
            index += 1
            window, text_bytes, chars = Window(index, [], []), 0, 0
    if window.size:
        yield window


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is in use.

    Whatever ``items`` raises is raised here in its turn; a failure of whoever uses them is not held
    up by the item in the making.
    """
    end = object()
    thread = ThreadPoolExecutor(1, thread_name_prefix="circuitseer-ahead")
    try:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
    finally:  # the next item may wait for whoever is to hear of the failure here: nobody waits
        thread.shutdown(wait=False, cancel_futures=True)
