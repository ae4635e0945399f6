"""Which test files a run begins with."""

from __future__ import annotations

import pytest

LONG = ("browser", "install", "long", "model", "ray")
"""Markers of tests that take long."""


def long_first(items: list[pytest.Item]) -> None:
    """Move files with long tests to the front; else one worker has them left at the end.

    Files stay whole, and in their order otherwise.
    """
    long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
    items.sort(key=lambda item: item.path not in long)
