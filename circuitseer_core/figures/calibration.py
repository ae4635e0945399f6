"""Figures of a calibration: what does as well, and how predictions lie beside the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.figures.style import (
    LIGHT,
    TITLE_BELOW,
    Theme,
    figure,
    pin_margins,
    plain,
    room_for,
    spread_evenly,
    whiskers,
)


def comparison(
    lines: pd.DataFrame, highlight: str, *, axis: str, chance: float = 0.0, theme: Theme = LIGHT
) -> go.Figure:
    """One bar a line with its interval; the highlighted one in the accent colour.

    ``lines``: name, value, low, high, first line on top; lines without a value are left out.
    ``chance``: what no knowledge gives, drawn as a line.
    """
    known = lines.dropna(subset=["value", "low", "high"]).reset_index(drop=True)
    names = known["name"].tolist()
    fig = figure(
        theme,
        height=int(74 + 22 * len(names)),
        showlegend=False,
        xaxis={"title": {"text": axis}, "showgrid": True},
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [plain(name) for name in names],
            "range": [len(names) - 0.4, -0.6],
            "showgrid": False,
        },
    )
    pin_margins(fig, left=room_for(names), top=8, bottom=TITLE_BELOW + 14)  # titles of two lines
    fig.add_trace(
        go.Bar(
            x=known["value"] - chance,
            base=chance,
            y=list(range(len(names))),
            orientation="h",
            marker={"color": [theme.accent if n == highlight else theme.faint for n in names]},
            customdata=known[["value", "low", "high"]],
            hovertemplate="%{customdata[0]:+.3f} (%{customdata[1]:+.3f} to "
            "%{customdata[2]:+.3f})<extra></extra>",
            error_x=whiskers(known["value"], known["low"], known["high"], theme.ink, 1.5),
        )
    )
    fig.add_vline(x=chance, line={"color": theme.muted, "width": 1})
    return fig


def scatter(
    predictions: pd.DataFrame, target: str, levels: Sequence[str] = (), *, theme: Theme = LIGHT
) -> go.Figure:
    """Every fitted row: its out-of-fold rank by the heads, and its target.

    ``predictions``: id, source, target, heads. Equal targets are spread a little, the same way
    every time.
    """
    values = predictions["target"].to_numpy(dtype=float)
    steps = np.diff(np.unique(values))
    gap = float(steps.min()) if len(steps) and len(steps) < 40 else 0.0
    jitter = 0.6 * gap * spread_evenly(len(values))
    axis = {"title": {"text": plain(target)}, "showgrid": True}
    if levels and len(levels) == len(np.unique(values)):
        axis |= {"tickvals": np.unique(values).tolist(), "ticktext": [plain(v) for v in levels]}
    fig = figure(
        theme,
        height=340,
        xaxis={"title": {"text": "rank by the heads, out of fold"}, "range": [0, 1]},
        yaxis=axis,
    )
    pin_margins(fig, left=max(68, room_for(list(levels))))
    for number, (source, rows) in enumerate(predictions.groupby("source", sort=True)):
        at = rows.index.to_numpy()
        fig.add_trace(
            go.Scatter(
                x=rows["heads"],
                y=values[at] + jitter[at],
                mode="markers",
                name=plain(str(source)),
                marker={
                    "size": 5,
                    "opacity": 0.5,
                    "color": theme.categorical[number % len(theme.categorical)],
                },
                customdata=rows["id"].astype(str).map(plain),
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    return fig
