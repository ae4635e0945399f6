"""The strip of a trial: one dot for the set, one a random draw."""

from __future__ import annotations

import numpy as np

from circuitseer_core.figures.style import DARK
from circuitseer_core.figures.trial import rise_beside_random


def test_every_draw_is_a_dot_in_its_row() -> None:
    fig = rise_beside_random(2.5, np.array([0.1, -0.2, 0.4]), theme=DARK)
    dots = fig.data[0]
    assert list(dots.x) == [2.5, 0.1, -0.2, 0.4]
    assert list(dots.y) == [0, 1, 1, 1]
    assert list(fig.layout.yaxis.ticktext) == ["these heads", "random heads"]
