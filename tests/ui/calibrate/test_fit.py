"""What a fit that the app starts is called."""

from __future__ import annotations

import pytest

from circuitseer_core.calibration.settings import CalibrateSettings
from ui.calibrate.fit import calibration_name


@pytest.mark.parametrize(
    "target",
    ["level", "_level", "count:\\n\\n", "-1", "難度", "schwierigkeit_ß", "x" * 300, "", None],
)
def test_every_target_makes_a_name_that_a_folder_may_have(target: str | None) -> None:
    name = calibration_name(target, 3, within=True)
    assert CalibrateSettings(target=target, name=name).name == name
    assert name.endswith("-3-within")


def test_targets_in_other_letters_are_told_apart() -> None:
    assert calibration_name("level", None, within=False) == "level"
    names = {
        calibration_name(target, None, within=False) for target in ("難度", "等級", "ß", "level")
    }
    assert len(names) == 4


def test_fits_of_different_things_have_names_of_their_own() -> None:
    named = [
        calibration_name(target, None, False, scoring)
        for target in ("pass rate", "pass-rate", "pass/rate")
        for scoring in ("default", "answers", "s" * 100, "t" * 100)
    ]
    assert len(set(named)) == len(named) and max(map(len, named)) <= 100
    assert "pass-rate" in named and "pass-rate-of-answers" in named


@pytest.mark.parametrize(
    ("column", "behind"),
    [
        ("level-3", ("level", 3, False)), ("level-within", ("level", None, True)),
        ("level-3-within", ("level", 3, True)), ("level-of-a", ("level", None, False, "a")),
        ("level-of-a-3", ("level", 3, False, "a")),
    ],
)  # fmt: skip
def test_a_column_is_not_another_with_something_behind_it(
    column: str, behind: tuple[str, int | None, bool]
) -> None:
    assert calibration_name(*behind) == column != calibration_name(column, None, False)
    assert calibration_name(column, None, False).startswith(f"{column}-")


def test_a_scoring_is_not_another_with_something_behind_it() -> None:
    assert calibration_name("x", 3, False, "a") != calibration_name("x", None, False, "a-3")
