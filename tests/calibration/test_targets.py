"""What is read as a measure of difficulty, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.calibration.targets import read_target
from circuitseer_core.data.ordinal import ordinal
from circuitseer_core.errors import UserError
from tests.support.readings_run import planted_rows


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ([1, 2.5, None], [1, 2.5, np.nan]),
        (["3", " 4.5 ", "x"], [3, 4.5, np.nan]),
        (["Level 3", "level 5", "Level ?", None], [3, 5, np.nan, np.nan]),
        (["L1", "L10", "L2"], [1, 10, 2]),
        (["easy", "Hard", "medium", "hard"], [2, 4, 3, 4]),
        (["introductory", "interview", "competition"], [0, 1, 2]),
        ([True, False, True], [1, 0, 1]),
        ([10**400, 1, 2], [np.nan, 1, 2]),  # more than a float holds
    ],
)
def test_values_are_read(raw: list[Any], wanted: list[float]) -> None:
    values, _ = ordinal(raw)
    assert np.array_equal(values, np.array(wanted, dtype=float), equal_nan=True)


def test_words_are_kept_in_their_order() -> None:
    assert ordinal(["Level 2", "Level 10", "Level 1"])[1] == ["Level 1", "Level 2", "Level 10"]
    assert ordinal(["hard", "easy", "hard"])[1] == ["easy", "hard"]
    assert ordinal(["2", "1"])[1] == []


def test_an_order_can_be_given() -> None:
    values, levels = ordinal(["Red", "amber", "green", "?"], ["green", "amber", "red"])
    assert np.array_equal(values, [2, 1, 0, np.nan], equal_nan=True)
    assert levels == ["green", "amber", "red"]


def test_words_of_no_known_order_are_refused() -> None:
    words = ["algebra", "geometry", "easy"]
    with pytest.raises(UserError, match="the order of 'topic' is not known"):
        ordinal(words, name="topic")
    rows, _ = planted_rows(3)
    rows.originals[:] = [{"topic": word} for word in words]
    with pytest.raises(UserError, match="the order of 'topic' is not known .*--level"):
        target(rows, target="topic")


def target(rows: Any, **settings: Any) -> Any:
    return read_target(rows, CalibrateSettings(**settings))


def test_columns_of_the_scores_and_of_the_data_and_counts() -> None:
    rows, _ = planted_rows(4)
    for number, row in enumerate(["Level 1", "Level 2", None, "Level ?"]):
        rows.originals[number] = {"level": row}
    rows.responses[:] = ["a=1\nb=2", "", None, "c=3"]
    assert np.array_equal(target(rows, target="variance").values, rows.numbers["variance"])
    level = target(rows, target="level")
    assert level.kind == "ordinal" and level.unread == 1 and np.isnan(level.values[2:]).all()
    counted = target(rows, target="count:=").values
    assert np.array_equal(counted, [2, 0, np.nan, 1], equal_nan=True)
    assert target(rows, target="count:\\n").values[0] == 1


def test_what_is_missing_is_said() -> None:
    rows, _ = planted_rows(4)
    with pytest.raises(UserError, match="no column 'levle' with values; there are"):
        target(rows, target="levle")
    with pytest.raises(UserError, match="say what to count"):
        target(rows, target="count:")
