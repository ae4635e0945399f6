"""A score along a column of numbers: medians with their intervals."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from circuitseer_core.distributions import Trend
from circuitseer_core.figures.style import Theme, figure, pin_margins, plain


def trend_line(
    seen: Trend, theme: Theme, *, x_title: str, y_title: str, log: bool = False, height: int = 320
) -> go.Figure:
    """The line of medians in its band of 95 % intervals; a point's size follows its rows."""
    fig = figure(theme, height=height, showlegend=False)
    order = np.argsort(seen.x)
    x = seen.x[order]
    fig.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([seen.high[order], seen.low[order][::-1]]),
        mode="lines", line={"width": 0}, fill="toself", fillcolor=theme.faint, opacity=0.45,
        hoverinfo="skip",
    )  # fmt: skip
    rows = seen.rows[order]
    fig.add_scatter(
        x=x, y=seen.median[order], mode="lines+markers",
        line={"color": theme.categorical[0], "width": 2},
        marker={"size": 5 + 6 * np.sqrt(rows / max(int(rows.max(initial=1)), 1))},
        customdata=np.stack([rows, seen.low[order], seen.high[order]], axis=1),
        hovertemplate="%{x:.4g}: median %{y:.4g}<br>95 % interval %{customdata[1]:.4g} to "
        "%{customdata[2]:.4g}<br>%{customdata[0]:,} rows<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(title_text=plain(x_title), showgrid=True)
    fig.update_yaxes(title_text=f"median {plain(y_title)}", type="log" if log else "linear")
    pin_margins(fig, top=8)
    return fig
