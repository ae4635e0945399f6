"""Columns whose types differ between batches."""

from __future__ import annotations

from typing import Any

import pytest

from circuitseer_core.export import schema
from circuitseer_core.export.schema import find_columns, tables


def _written(values: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
    rows = [{"x": value} for value in values]
    columns = find_columns(lambda: rows)
    made = [value for table in tables(rows, columns) for value in table["x"].to_pylist()]
    return made, columns.as_json


@pytest.mark.parametrize("batch", [1, 10])
def test_large_integers_beside_floats_keep_every_digit(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(schema, "BATCH", batch)
    large = 2**53 + 1
    assert _written([1.5, large]) == (["1.5", str(large)], ("x",))
    assert _written([large, 1.5]) == ([str(large), "1.5"], ("x",))
    assert _written([{"y": large}, {"y": 0.5}])[1] == ("x",)
    assert _written([1.5, 2**53, None]) == ([1.5, 2.0**53, None], ())
    assert _written([large, 7]) == ([large, 7], ())
