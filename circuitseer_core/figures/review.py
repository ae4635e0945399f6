"""How far a person's verdicts agree with a score, as one line."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from circuitseer_core.figures.style import Theme, figure


def agreement_interval(rate: float, low: float, high: float, theme: Theme) -> go.Figure:
    """An agreement rate (NaN: none yet) with its interval on 0 to 100 %, chance marked at 50 %."""
    fig = figure(theme, height=92, showlegend=False)
    fig.add_scatter(
        x=[low, high], y=[0, 0], mode="lines", hoverinfo="skip",
        line={"color": theme.faint if math.isnan(rate) else theme.categorical[0], "width": 5},
    )  # fmt: skip
    if not math.isnan(rate):
        fig.add_scatter(
            x=[rate], y=[0], mode="markers",
            marker={"size": 12, "color": theme.categorical[0],
                    "line": {"color": theme.paper, "width": 2}},
            hovertemplate="%{x:.1%}<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=0.5, line={"color": theme.muted, "width": 1, "dash": "dot"})
    fig.add_annotation(
        x=0.5, y=0.5, yref="y", text="chance", showarrow=False, xanchor="left", xshift=5,
        yanchor="bottom", font={"size": 11, "color": theme.muted},
    )  # fmt: skip
    fig.update_xaxes(range=[-0.01, 1.01], tickformat=".0%", nticks=6, showline=True)
    fig.update_yaxes(visible=False, range=[-0.9, 1.2])
    fig.update_layout(margin={"l": 8, "r": 8, "t": 4, "b": 4})
    return fig
