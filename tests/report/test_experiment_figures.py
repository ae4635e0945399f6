"""Plots of stored results are drawn from their tables alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.figures.style import DARK, LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.experiment_records import Plot

TABLE = pd.DataFrame(
    {
        "name": ["a", "b", "a", "b"],
        "which": ["heads", "heads", "random <b>", "random <b>"],
        "size": [10, 20, 10, 20],
        "value": [0.5, 0.25, 0.1, np.nan],
        "low": [0.4, 0.2, 0.0, np.nan],
        "high": [0.6, 0.3, 0.2, np.nan],
    }
)


class TestDrawn:
    def test_intervals_stand_in_the_row_of_their_label(self) -> None:
        plot = Plot(
            kind="intervals", caption="c", label="name", x="value", low="low", high="high",
            group="which", references={"no effect": 0.0},
        )  # fmt: skip
        figure = drawn(plot, TABLE, LIGHT)
        assert figure is not None
        ends, points = figure.data[0], figure.data[1]
        assert list(ends.x[:2]) == [0.4, 0.6]
        assert list(points.x) == [0.5, 0.25]
        assert round(points.y[0]) == 0
        assert round(points.y[1]) == 1
        assert figure.data[3].name == "random &lt;b>"
        assert "no effect" in [note.text for note in figure.layout.annotations]

    def test_lines_are_sorted_and_have_a_band(self) -> None:
        plot = Plot(kind="lines", caption="c", x="size", y="value", low="low", high="high")
        figure = drawn(plot.model_copy(update={"where": {"which": "heads"}}), TABLE[::-1], DARK)
        assert figure is not None
        assert list(figure.data[1].x) == [10, 20]
        assert list(figure.data[0].y) == [0.6, 0.3, 0.2, 0.4]

    def test_a_matrix_has_its_cells(self) -> None:
        plot = Plot(kind="matrix", caption="c", x="which", y="name", value="value", shares=True)
        figure = drawn(plot, TABLE, LIGHT)
        assert figure is not None
        np.testing.assert_array_equal(figure.data[0].z, [[0.5, 0.1], [0.25, np.nan]])

    def test_bars_and_points(self) -> None:
        bars = drawn(
            Plot(kind="bars", caption="c", label="name", x="value", group="which"), TABLE, LIGHT
        )
        points = drawn(
            Plot(kind="points", caption="c", x="size", y="value", group="which"), TABLE, LIGHT
        )
        assert bars is not None and points is not None
        assert list(bars.data[0].x) == [0.5, 0.25]
        assert list(points.data[0].y) == [0.5, 0.25]

    @pytest.mark.parametrize("change", [{"x": "gone"}, {"where": {"which": "other"}}])
    def test_a_table_without_it_has_no_figure(self, change: dict[str, object]) -> None:
        plot = Plot(kind="bars", caption="c", label="name", x="value").model_copy(update=change)
        assert drawn(plot, TABLE, LIGHT) is None
