"""What was searched for in the texts, and the table of ids that holds it: each text once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from circuitseer_core.browse.filters import matching

MOST = 8
"""Searches that are kept; that which was asked for longest ago goes first."""


class Searches:
    """Searches over the view ``samples``. Safe to share between threads.

    Args:
        execute: runs a statement.
    """

    def __init__(self, execute: Callable[[str], object]) -> None:
        self._execute = execute
        self._lock = threading.Lock()
        self._tables: dict[str, str] = {}
        self._numbers = count()

    def hits(self, text: str) -> str:
        """The name of a table of the ids of rows whose prompt or response holds ``text``."""
        with self._lock:
            if text not in self._tables:
                if len(self._tables) >= MOST:
                    oldest = next(iter(self._tables))
                    self._execute(f"DROP TABLE {self._tables.pop(oldest)}")
                table = f"hits_{next(self._numbers)}"
                self._execute(
                    f"CREATE TABLE {table} AS SELECT id FROM samples WHERE {matching(text)}"
                )
                self._tables[text] = table
            # To the end: who was just given a table has still to ask it.
            self._tables[text] = self._tables.pop(text)
            return self._tables[text]
