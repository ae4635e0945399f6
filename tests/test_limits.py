"""Thresholds: which side of them a number is on."""

from __future__ import annotations

import pytest

from circuitseer_core import limits


@pytest.mark.parametrize(
    ("before", "after", "rows", "favoured"),
    [
        (0.11, 0.17, 141, False),  # half as much again, within three standard errors
        (0.11, 0.17, 14_100, True),
        (0.50, 0.58, 100_000, False),  # 8 points, less than half as much again
        (0.50, 0.62, 100_000, True),
        (0.01, 0.03, 100_000, False),  # three times as much, 2 points
        (0.00, 0.05, 0, True),
    ],
)
def test_a_source_is_favoured_beyond_size_and_chance(
    before: float, after: float, rows: int, favoured: bool
) -> None:
    assert limits.favours(before, after, rows) is favoured


def test_the_others_are_open_at_their_limit() -> None:
    assert not limits.length_drives(limits.LENGTH) and limits.length_drives(-0.51)
    assert not limits.like_random_heads(limits.CONTROL) and limits.like_random_heads(0.96)
    assert not limits.nearly_uniform(limits.UNIFORM) and limits.nearly_uniform(0.91)
    assert limits.stable(limits.STABLE) and not limits.stable(0.79)
