"""The stream as windows: where they end, and that only two are alive at a time."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.scoring.windows import Cut, Window, ahead, windows

PATIENCE_S = 60
"""For a thread that is to end by itself."""


def test_memory_does_not_grow_with_the_dataset() -> None:
    """However many rows, no more than two windows of samples are alive at a time."""
    alive: list[weakref.ref[Any]] = []
    peak = 0

    class Tracked(list):  # type: ignore[type-arg]
        pass

    def entries() -> Iterator[Any]:
        for i in range(2000):
            yield Sample(f"x/{i}", "x", "some words", None, {})

    def encode(window: Window) -> Any:
        tracked = Tracked(window.samples)
        alive.append(weakref.ref(tracked))
        return tracked

    seen = 0
    for encoded in ahead(map(encode, windows(entries(), Cut(rows=100)))):
        seen += len(encoded)
        gc.collect()
        peak = max(peak, sum(ref() is not None for ref in alive))
    assert seen == 2000 and peak <= 3


def test_windows_close_on_bytes_too() -> None:
    entries = [Sample(f"x/{i}", "x", "w" * 1000, None, {}) for i in range(10)]
    mixed = [*entries[:5], Reject("f:6", "x", "broken"), *entries[5:]]
    cut = list(windows(mixed, Cut(rows=4), max_bytes=3000))
    assert [w.index for w in cut] == list(range(len(cut)))
    assert [w.size for w in cut] == [3, 4, 3, 1]
    assert sum(len(w.rejects) for w in cut) == 1


def test_what_the_stream_raises_is_raised_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise UserError("the file ends in the middle")

    seen = []
    with pytest.raises(UserError, match="ends in the middle"):
        for item in ahead(items()):
            seen.append(item)  # noqa: PERF402 - what was seen before the error matters
    assert seen == [1, 2]


def test_a_failure_does_not_wait_for_the_item_in_the_making() -> None:
    wanted = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        wanted.wait()
        yield 2

    def use() -> None:
        with pytest.raises(UserError, match="does not fit"):
            for _ in ahead(items()):
                raise UserError("it does not fit")

    using = threading.Thread(target=use, daemon=True)
    using.start()
    using.join(PATIENCE_S)
    waited = using.is_alive()
    wanted.set()
    assert not waited
