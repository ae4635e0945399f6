"""Figures of a calibration are what the numbers say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuitseer_core.figures.calibration import comparison, scatter
from circuitseer_core.figures.style import DARK, LIGHT


def test_bars_start_at_chance_and_carry_their_intervals() -> None:
    lines = pd.DataFrame(
        {
            "name": ["heads", "<b>", "length"],
            "value": [0.7, 0.4, None],
            "low": [0.6, 0.3, None],
            "high": [0.9, 0.5, None],
        }
    )
    fig = comparison(lines, "heads", axis="share", chance=0.5, theme=DARK)
    (bars,) = fig.data
    assert np.allclose(bars.x, [0.2, -0.1]) and bars.base == 0.5
    assert np.allclose(bars.error_x.array, [0.2, 0.1])
    assert np.allclose(bars.error_x.arrayminus, [0.1, 0.1])
    assert bars.marker.color[0] == DARK.accent and bars.marker.color[1] != DARK.accent
    assert fig.layout.yaxis.ticktext == ("heads", "&lt;b>")


def test_every_row_is_a_point_near_its_target() -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "source": ["x", "y", "x", "y"],
            "target": [1.0, 2.0, 2.0, 1.0],
            "heads": [0.1, 0.9, 0.5, 0.3],
        }
    )
    fig = scatter(frame, "level", ["Level 1", "Level 2"], theme=LIGHT)
    assert sum(len(trace.x) for trace in fig.data) == 4
    assert np.abs(np.array(fig.data[0].y) - [1.0, 2.0]).max() <= 0.3 + 1e-9
    assert fig.layout.yaxis.ticktext == ("Level 1", "Level 2")
    assert not scatter(frame.assign(target=[1.5, 2, 3, 9]), "n").layout.yaxis.ticktext
