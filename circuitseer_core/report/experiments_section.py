"""The report's section on validation experiments: question, verdict, outcome, figures, table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuitseer_core.experiments import saved_results, saved_table
from circuitseer_core.figures.style import DARK, LIGHT
from circuitseer_core.markup import Html, join, paragraph, section, table, tag
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.report.html import Figures
from circuitseer_core.runs.experiment_records import ExperimentRecord, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, plain

MOST_ROWS = 40
"""Rows of an experiment's table that the report shows; the run keeps them all."""


def experiments_section(run: Run, figures: Figures) -> Html:
    """Every experiment that the run keeps; nothing where it keeps none."""
    kept = saved_results(run)
    if not kept:
        return Html("")
    parts = (_experiment(record, saved_table(run, record), figures) for record in kept)
    return section("Validation experiments", "experiments", *parts)


def _experiment(record: ExperimentRecord, rows: pd.DataFrame, figures: Figures) -> Html:
    parts: list[object] = [tag("h3", record.title)]
    if record.name != record.of:  # an experiment's further results have the same title
        parts.append(paragraph(record.name, class_="muted"))
    if record.outcome is not None:
        parts.append(paragraph(tag("b", record.outcome.state), class_="muted"))
    parts.append(paragraph(record.verdict))
    parts += [_figure(plot, rows, figures) for plot in record.plots]
    if record.plots and len(rows):
        parts.append(_folded(rows))
    return join(parts)


def _figure(plot: Plot, rows: pd.DataFrame, figures: Figures) -> Html:
    light, dark = drawn(plot, rows, LIGHT), drawn(plot, rows, DARK)
    if light is None or dark is None:
        return Html("")
    return figures.add(light, dark, plot.caption)


def _folded(rows: pd.DataFrame) -> Html:
    """The table behind the figures, folded away."""
    shown = rows.head(MOST_ROWS)
    numeric = [i for i, name in enumerate(rows) if pd.api.types.is_numeric_dtype(rows[name].dtype)]
    lines: list[Sequence[object]] = [
        [_cell(v) for v in row] for row in shown.itertuples(index=False)
    ]
    title = f"The numbers ({count(len(rows), 'row')}"
    title += f", the first {MOST_ROWS} shown)" if len(rows) > MOST_ROWS else ")"
    return tag(
        "details", tag("summary", title), table([str(c) for c in rows], lines, numeric=numeric)
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return plain(value, 3)
    return "" if value is None else str(value)
