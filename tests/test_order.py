"""Files with long tests are begun first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.order import LONG, long_first


@dataclass
class Item:
    path: str
    name: str
    marks: tuple[str, ...] = ()

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def test_whole_files_come_first_in_the_order_they_had() -> None:
    items: list[Any] = [
        Item("a", "1"), Item("a", "2"), Item("z", "1"), Item("z", "2", ("model",)),
        Item("m", "1"), Item("b", "2", ("browser", "other")), Item("b", "1"), Item("a", "3"),
    ]  # fmt: skip
    long_first(items)
    assert [f"{item.path}{item.name}" for item in items] == [
        "z1", "z2", "b2", "b1", "a1", "a2", "m1", "a3",
    ]  # fmt: skip


def test_markers_are_known(request: pytest.FixtureRequest) -> None:
    """A word that no test can bear would order nothing."""
    known = {line.split(":")[0] for line in request.config.getini("markers")}
    assert set(LONG) <= known
