"""How far a person's verdicts agree with a score: a line a stratum, chance marked."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.figures.style import (
    LIGHT,
    Theme,
    figure,
    percents,
    pin_margins,
    plain,
    room_for,
    whiskers,
)


def agreement_lines(lines: pd.DataFrame, theme: Theme = LIGHT) -> go.Figure:
    """Agreement rates with their intervals on 0 to 100 %, first line on top and in the accent.

    ``lines``: name, rate (NaN: nothing decided), low, high, agreed, decided.
    """
    names = [f"{name} ({n})" for name, n in zip(lines["name"], lines["decided"], strict=True)]
    known = lines["rate"].notna()
    shown = lines[known]
    at = [i for i, known_one in enumerate(known) if known_one]
    colours = [theme.accent if i == 0 else theme.muted for i in at]
    fig = figure(
        theme,
        height=int(70 + 26 * len(names)),
        showlegend=False,
        xaxis={
            "title": {"text": "agreement with the score, 95 %"},
            "range": [-0.015, 1.015],
            "tickformat": ".0%",
            "nticks": 6,
            "showgrid": True,
        },
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [plain(name) for name in names],
            "range": [len(names) - 0.4, -0.6],
            "showgrid": False,
            "ticklabelstandoff": 8,
        },
    )
    pin_margins(fig, left=room_for(names) + 8, top=8, right=24)
    fig.add_vline(x=0.5, line={"color": theme.muted, "width": 1, "dash": "dot"})
    fig.add_trace(
        go.Scatter(
            x=shown["rate"],
            y=at,
            mode="markers",
            marker={"size": 10, "color": colours, "line": {"color": theme.paper, "width": 2}},
            error_x=whiskers(shown["rate"], shown["low"], shown["high"], theme.muted, 2),
            customdata=list(
                zip(
                    shown["agreed"],
                    shown["decided"],
                    *(percents(shown[name], 0) for name in ("rate", "low", "high")),
                    strict=True,
                )
            ),
            hovertemplate="%{customdata[0]} of %{customdata[1]}: %{customdata[2]} "
            "(%{customdata[3]} to %{customdata[4]})<extra></extra>",
        )
    )
    return fig
