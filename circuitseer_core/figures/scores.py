"""Figures of score distributions. All take counts or quantiles, never the scores of all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import Bins
from circuitseer_core.figures.axes import positions, ticks, widths
from circuitseer_core.figures.style import (
    Theme,
    figure,
    note_right,
    percents,
    pin_margins,
    plain,
    room_for,
    short,
)
from circuitseer_core.wording import percent

LINES = 3
"""Most draws of random heads that are shown as lines of their own."""


def histogram_by_group(
    counts: Ints,
    bins: Bins,
    labels: Sequence[str],
    theme: Theme,
    *,
    medians: Floats,
    x_title: str,
    density: bool = False,
    row_height: int = 44,
) -> go.Figure:
    """One row of bars a group, over shared bins, with the group's median marked.

    Counts keep one scale for all rows, so areas compare; ``density`` gives every group the height
    of its row, whatever its size and however narrow its neighbours, so shapes compare.

    Args:
        counts: (G, B).
        bins: the B bins.
        labels: (G,) group names.
        theme: colours.
        medians: (G,) of each group's scores.
        x_title: what the scores are.
        density: scale every group to its own fullest bin.
        row_height: pixels a group.
    """
    groups, sizes = len(labels), counts.sum(axis=1)
    fullest = counts.max(axis=1, initial=0) if density else counts.max(initial=0)
    heights = counts * (0.88 / np.maximum(fullest, 1))[..., None]
    names = [short(n) for n in labels]
    floors = np.arange(groups - 1, -1, -1)  # one axis for all rows: subplots are slow to build
    fig = figure(theme, height=groups * row_height + 62, showlegend=False, bargap=0)
    shown = counts > 0
    fig.add_bar(
        x=np.tile(positions(bins), (groups, 1))[shown],
        y=heights[shown],
        base=np.repeat(floors, bins.count).reshape(groups, -1)[shown],
        width=np.tile(widths(bins), (groups, 1))[shown],
        marker={"color": theme.categorical[0], "line": {"width": 0}, "opacity": 0.85},
        customdata=_hover_data(counts, bins, labels),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]:.4g} to %{customdata[2]:.4g}"
        "<br>%{customdata[3]:,} rows, %{customdata[7]} of its group<extra></extra>",
    )
    _mark_medians(fig, medians, bins, floors, theme)
    fig.update_xaxes(title_text=plain(x_title), showgrid=True, **ticks(bins))
    fig.update_yaxes(
        range=[0, groups], showgrid=False, tickvals=floors + 0.4, tickfont={"color": theme.ink},
        ticktext=[plain(n) for n in names], ticklabelstandoff=8,
    )  # fmt: skip
    rows = [f"{int(n):,}" for n in sizes]
    note_right(fig, floors + 0.4, rows, theme)
    pin_margins(fig, left=room_for(names), right=room_for(rows), top=8)
    return fig


def _hover_data(counts: Ints, bins: Bins, labels: Sequence[str]) -> list[list[Any]]:
    """What hovering a bar says: group, both ends, rows, and their share of the group; and, for who
    follows a click, the numbers of group and bin: the name is escaped. Last, the share in words."""
    sizes = counts.sum(axis=1)
    return [
        [
            plain(labels[g]),
            float(bins.edges[i]),
            float(bins.edges[i + 1]),
            int(counts[g, i]),
            float(counts[g, i] / sizes[g]),
            int(g),
            int(i),
            percent(float(counts[g, i] / sizes[g]), 1),
        ]
        for g, i in np.argwhere(counts > 0)
    ]


def _mark_medians(fig: go.Figure, medians: Floats, bins: Bins, floors: Ints, theme: Theme) -> None:
    """A short upright line at every group's median, where the axis can show it."""
    usable = np.isfinite(medians) & ((medians > 0) | (not bins.log))
    across = np.log10(medians[usable]) if bins.log else medians[usable]
    fig.add_scatter(
        x=[v for x in across for v in (x, x, None)],
        y=[v for y in floors[usable] for v in (y, y + 0.88, None)],
        mode="lines", hoverinfo="skip", line={"color": theme.mark, "width": 1.5},
    )  # fmt: skip


def ecdf_by_group(
    grid: Floats,
    levels: Floats,
    labels: Sequence[str],
    theme: Theme,
    *,
    x_title: str,
    log: bool = False,
    height: int = 420,
) -> go.Figure:
    """Share of rows at or below each score: ``grid`` (G, Q) scores at the quantiles ``levels``."""
    names = [short(n) for n in labels]
    fig = figure(theme, height=height + 8 * len(names))
    for g, label in enumerate(labels):
        colour, dash = _line_style(g, theme)
        fig.add_scatter(
            x=grid[g], y=levels, mode="lines", name=plain(names[g]),
            line={"color": colour, "width": 1.6, "dash": dash},
            customdata=percents(levels),
            hovertemplate=f"{plain(label)}<br>%{{customdata}} of rows at or below %{{x:.4g}}"
            "<extra></extra>",
        )  # fmt: skip
    positive = grid[np.isfinite(grid) & (grid > 0)]
    fig.update_xaxes(title_text=plain(x_title), showgrid=True, type="log" if log else "linear")
    if positive.size and not log:
        fig.update_xaxes(range=[float(np.nanmin(grid)), float(np.nanquantile(grid, 0.995))])
    fig.update_yaxes(title_text="share of rows", tickformat=".0%", range=[0, 1.005])
    pin_margins(fig)  # the legend lies above: beside the lines it would take a narrow page's width
    return fig


def boxes_by_group(
    table: pd.DataFrame, theme: Theme, *, x_title: str, log: bool = False, row_height: int = 34
) -> go.Figure:
    """A box a group from the columns group, p5, p25, median, p75, p95: whiskers at 5 and 95 %."""
    names = [short(g) for g in table["group"]]
    fig = figure(theme, height=len(table) * row_height + 62, showlegend=False)
    fig.add_box(
        y=np.arange(len(names)),
        q1=table["p25"], median=table["median"], q3=table["p75"],
        lowerfence=table["p5"], upperfence=table["p95"],
        orientation="h", whiskerwidth=0, fillcolor="rgba(0,0,0,0)", line={"width": 1.4},
        marker={"color": theme.categorical[0]}, hoverinfo="x", width=0.5,
    )  # fmt: skip
    fig.update_xaxes(title_text=plain(x_title), showgrid=True, type="log" if log else "linear")
    fig.update_yaxes(
        autorange="reversed", showgrid=False, ticklabelstandoff=8,
        tickvals=np.arange(len(names)), ticktext=[plain(n) for n in names],
    )  # fmt: skip
    pin_margins(fig, left=room_for(names), top=8)
    return fig


def against_controls(
    counts: Ints,
    bins: Bins,
    labels: Sequence[str],
    theme: Theme,
    *,
    x_title: str,
    height: int = 300,
) -> go.Figure:
    """The score of the chosen heads (first row of ``counts``) over that of random heads.

    More than LINES draws of random heads are shown as their range and mean.
    """
    fig = figure(theme, height=height)
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    others = shares[1:]
    rows = list(zip(labels[1:], others, ("dot", "dash", "dashdot"), strict=False))
    if len(others) > LINES:
        _range_of(others, bins, theme, fig)
        rows = [(f"their mean, {len(others)} draws", others.mean(axis=0), "dot")]
    for rank, (label, values, dash) in enumerate([*rows, (labels[0], shares[0], "solid")], 1):
        chosen = dash == "solid"
        fig.add_scatter(
            x=positions(bins), y=values, mode="lines", name=plain(label),
            legendrank=0 if chosen else rank + 1,
            line={
                "shape": "hvh",
                "color": theme.categorical[0] if chosen else theme.muted,
                "width": 2 if chosen else 1,
                "dash": dash,
            },
            customdata=percents(values),
            hovertemplate="%{customdata} of rows<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(title_text=plain(x_title), **ticks(bins))
    fig.update_yaxes(title_text="share of rows", tickformat=".0%", rangemode="tozero")
    pin_margins(fig)
    return fig


def _range_of(shares: Floats, bins: Bins, theme: Theme, fig: go.Figure) -> None:
    """A band from the smallest to the largest share of any draw, bin by bin."""
    for edge, fill in ((shares.min(axis=0), None), (shares.max(axis=0), "tonexty")):
        fig.add_scatter(
            x=positions(bins), y=edge, mode="lines", fill=fill, fillcolor=theme.grid,
            line={"shape": "hvh", "width": 0}, hoverinfo="skip",
            name="range of random heads", showlegend=fill is not None, legendrank=1,
        )  # fmt: skip


def _line_style(index: int, theme: Theme) -> tuple[str, str]:
    """Colour, then dash: twenty groups stay apart without twenty hues."""
    colours = theme.categorical
    return colours[index % len(colours)], ("solid", "dash", "dot")[index // len(colours) % 3]
