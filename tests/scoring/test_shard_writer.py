"""Shards written in a thread: in order, bounded, failures where the caller is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from circuitseer_core.scoring.shard_writer import WAITING, ShardWriter


class Book:
    """Takes shards; the one numbered ``fails_at`` cannot be written."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at, self.written, self.threads = fails_at, list[int](), set[str]()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def add(self, table: Any, note: Any) -> None:
        self.may_go_on.wait()
        if note == self.fails_at:
            raise OSError("disk full")
        self.written.append(note)
        self.threads.add(threading.current_thread().name)


def shard(number: int) -> Any:
    return lambda: (None, number)


def test_shards_are_written_in_order_in_a_thread() -> None:
    book: Any = Book()
    with ShardWriter(book) as writer:
        for number in range(7):
            writer.add(shard(number))
    assert book.written == list(range(7))
    assert all(name.startswith("circuitseer-writer") for name in book.threads)


def test_few_shards_wait_in_memory() -> None:
    book: Any = Book()
    book.may_go_on.clear()
    made = []
    with ShardWriter(book) as writer:
        for number in range(WAITING):
            writer.add(lambda number=number: (made.append(number), number))
        bring = threading.Thread(target=writer.add, args=(shard(WAITING),))
        bring.start()
        assert len(made) <= WAITING and bring.is_alive(), "it waits as well"
        book.may_go_on.set()
        bring.join()
    assert book.written == list(range(WAITING + 1))


def test_a_failure_is_raised_where_shards_are_brought_and_ends_the_writing() -> None:
    book: Any = Book(fails_at=1)
    with pytest.raises(OSError, match="disk full"), ShardWriter(book) as writer:
        for number in range(9):
            writer.add(shard(number))
    assert book.written == [0]
    book = Book(fails_at=2)
    with pytest.raises(OSError, match="disk full"), ShardWriter(book) as writer:
        for number in range(3):
            writer.add(shard(number))
    assert book.written == [0, 1], "the last one's failure too"


def test_shards_that_were_brought_before_ctrl_c_are_written() -> None:
    book: Any = Book()
    book.may_go_on.clear()
    with pytest.raises(KeyboardInterrupt), ShardWriter(book) as writer:
        writer.add(shard(0))
        writer.add(shard(1))
        book.may_go_on.set()
        raise KeyboardInterrupt
    assert book.written == [0, 1]
