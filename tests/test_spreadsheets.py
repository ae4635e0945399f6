"""Cells that a spreadsheet would run are exported as text; numbers and all else stay."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from circuitseer_core.spreadsheets import to_csv


@pytest.mark.parametrize("cell", ["=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1"])
def test_formulas_become_text(cell: str) -> None:
    frame = pd.DataFrame(
        {"id": ["a/1", cell], cell: [1.5, -2.0], "kind": pd.Categorical([cell] * 2)}
    )
    back = pd.read_csv(io.StringIO(to_csv(frame)), dtype=str, keep_default_na=False)
    assert back["id"].tolist() == ["a/1", f"'{cell}"]
    assert back.columns[1] == f"'{cell}" and back.iloc[:, 1].tolist() == ["1.5", "-2.0"]
    assert back["kind"].tolist() == [f"'{cell}"] * 2
    assert frame["id"].tolist() == ["a/1", cell]  # the table itself is left alone


def test_a_return_does_not_end_a_row() -> None:
    frame = pd.DataFrame({"text": ["a\rb", "c"], "x": [1.5, 2.0]})
    back = pd.read_csv(io.StringIO(to_csv(frame), newline=""))
    assert back["text"].tolist() == ["a\rb", "c"] and back["x"].tolist() == [1.5, 2.0]


def test_an_option_keeps_them() -> None:
    frame = pd.DataFrame({"id": ["=1+1"], "x": [None]})
    assert to_csv(frame, as_it_is=True) == frame.to_csv(index=False)
