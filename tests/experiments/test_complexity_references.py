"""What scores are held against."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments.complexity_references import Rows, references
from circuitseer_core.experiments.references import number_in


def _rows(originals: list[dict[str, Any]], **columns: Any) -> Rows:
    n = len(originals)
    texts = pd.DataFrame(
        {"prompt": "q", "response": columns.pop("response", ["4"] * n),
         "original": [json.dumps(row) for row in originals]}
    )  # fmt: skip
    return Rows(pd.DataFrame({"source": "a"} | columns, index=range(n)), texts)


def test_an_integer_beyond_every_float_is_no_number() -> None:
    assert np.isnan(number_in(10**400)) and number_in("Level 3") == 3.0


def test_steps_count_only_where_a_source_marks_them() -> None:
    rows = _rows(
        [{}] * 5,
        source=["a", "a", "b", "b", "b"],
        response=["<<1+1=2>> <<2>>", "none", "1 + 1", "2", "cout << x"],
    )
    steps = references(rows)["worked steps"]
    assert steps[:2].tolist() == [2, 0]
    assert np.isnan(steps[2:]).all()


def test_levels_and_rates_are_found_by_name() -> None:
    rows = _rows(
        [{"level": f"Level {i % 5}", "pass_rate": i / 40, "answer": str(i)} for i in range(40)]
    )
    by_name = references(rows)
    assert by_name["column level"][:6].tolist() == [0, 1, 2, 3, 4, 0]
    assert by_name["1 - pass_rate"][10] == pytest.approx(0.75)
    assert "column answer" not in by_name
    assert "column answer" in references(rows, ["answer"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["easy", "medium", "hard", None], [2, 3, 4, np.nan]),
        (["Level 3", "level 5", "Level ?", True], [3, 5, np.nan, np.nan]),
    ],
)
def test_words_with_an_order_are_levels(words: list[Any], expected: list[float]) -> None:
    rows = _rows([{"difficulty": word} for word in words] * 20)
    levels = references(rows)["column difficulty"]
    np.testing.assert_array_equal(levels[: len(words)], expected)


def test_a_wrong_column_says_which_there_are() -> None:
    rows = _rows([{"level": "hard", "topic": "sums"}] * 3)
    with pytest.raises(UserError, match="no column 'grade'; found: level, topic"):
        references(rows, ["grade"])
    with pytest.raises(UserError, match="'topic' holds no numbers"):
        references(rows, ["topic"])
