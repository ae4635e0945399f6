"""Medians along a column, in their band."""

from __future__ import annotations

import numpy as np

from circuitseer_core.distributions import trend
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.figures.trend import trend_line


def test_the_band_holds_the_line() -> None:
    rng = np.random.default_rng(0)
    column = rng.integers(1, 5, 400).astype(float)
    seen = trend(column, rng.gamma(2, 1, 400))
    band, line = trend_line(seen, LIGHT, x_title="<b>", y_title="score").data
    half = len(seen.x)
    assert (band.y[:half] >= line.y).all() and (band.y[half:][::-1] <= line.y).all()
    fig = trend_line(seen, LIGHT, x_title="<b>", y_title="score", log=True)
    assert fig.layout.xaxis.title.text == "&lt;b>" and fig.layout.yaxis.type == "log"
