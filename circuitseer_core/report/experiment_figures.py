"""From what an experiment keeps to its figures: the plots of its record, drawn from its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuitseer_core.figures import evidence
from circuitseer_core.runs.experiment_records import Plot

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from circuitseer_core.figures.style import Theme

_TAKES: dict[str, tuple[Callable[..., go.Figure], tuple[str, ...]]] = {
    "intervals": (
        evidence.intervals,
        ("label", "x", "low", "high", "group", "x_title", "references", "shares"),
    ),
    "lines": (
        evidence.lines,
        ("x", "y", "low", "high", "group", "x_title", "y_title", "references", "shares"),
    ),
    "bars": (evidence.bars, ("label", "x", "group", "x_title", "references", "shares")),
    "points": (evidence.points, ("x", "y", "group", "label", "x_title", "y_title")),
    "matrix": (evidence.matrix, ("x", "y", "value", "shares")),
}
_COLUMNS = ("x", "y", "low", "high", "label", "value", "group")


def drawn(plot: Plot, table: pd.DataFrame, theme: Theme) -> go.Figure | None:
    """A plot of an experiment's table; None where the table lacks its columns or its rows."""
    rows = table
    for column, value in plot.where.items():
        if column not in rows:
            return None
        rows = rows[rows[column] == value]
    named = [name for key in _COLUMNS if (name := getattr(plot, key)) is not None]
    if rows.empty or not set(named) <= set(rows.columns):
        return None
    draw, takes = _TAKES[plot.kind]
    options: dict[str, Any] = {key: getattr(plot, key) for key in takes}
    return draw(rows, theme, **options)
