"""Two scorings as one figure."""

from __future__ import annotations

import numpy as np

from circuitseer_core.figures.style import DARK
from circuitseer_core.figures.two_scorings import percentiles


def test_samples_at_the_top_of_both_stand_out_and_ids_are_no_markup() -> None:
    one, other = np.array([5.0, 95.0, 99.0]), np.array([99.0, 50.0, 91.0])
    fig = percentiles(
        one, other, (one / 10, other / 10), ["<b>", "b", "c"], 0.1, DARK, names=("x", "y")
    )
    rest, both = fig.data
    assert list(both.customdata) == ["c"] and list(rest.customdata) == ["<b>", "b"]
    assert rest.text[0].startswith("&lt;b>") and "x 0.5" in rest.text[0]
    assert both.marker.color != rest.marker.color
