"""Figures of a trial on one text: the rise in loss of a set of heads beside random ones."""

from __future__ import annotations

import plotly.graph_objects as go

from circuitseer_core.aliases import Floats
from circuitseer_core.figures.style import LIGHT, Theme, figure, pin_margins, room_for

_ROWS = ("these heads", "random heads")


def rise_beside_random(rise: float, random: Floats, *, theme: Theme = LIGHT) -> go.Figure:
    """ΔL of a set of heads above (k,) ΔL of random sets, one dot a draw, on one axis in nats."""
    fig = figure(
        theme,
        height=128,
        showlegend=False,
        xaxis={"title": {"text": "ΔL of the text (nats a token)"}, "showgrid": True, "nticks": 7},
        yaxis={
            "tickvals": [0, 1], "ticktext": list(_ROWS), "range": [1.6, -0.6], "showgrid": False,
        },
    )  # fmt: skip
    pin_margins(fig, left=room_for(_ROWS), top=4, right=16)
    fig.add_vline(x=0, line={"color": theme.faint, "width": 1})
    looks = ((rise, 0, theme.accent, 12), *((value, 1, theme.muted, 9) for value in random))
    fig.add_scatter(
        x=[value for value, *_ in looks],
        y=[row for _, row, *_ in looks],
        mode="markers",
        marker={
            "color": [colour for *_, colour, _ in looks],
            "size": [size for *_, size in looks],
            "opacity": 0.8,
        },
        hovertemplate="ΔL %{x:+.4f}<extra></extra>",
    )
    return fig
