"""Figures of a draw: what went in, what came out, how strongly the score steers it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import Bins
from circuitseer_core.figures.axes import positions, ticks
from circuitseer_core.figures.style import (
    Theme,
    figure,
    percents,
    pin_margins,
    plain,
    room_for,
    short,
)


def shares_by_source(table: pd.DataFrame, theme: Theme, *, row_height: int = 30) -> go.Figure:
    """Each source's share of the pool (ring) and of the subset (dot).

    ``table`` has source, before, after (shares from 0 to 1) and, where draws were simulated,
    expected_low and expected_high: the band that the dot should lie in if the draw is sound.
    """
    names = [plain(str(s)) for s in table["source"]]
    fig = figure(theme, height=max(len(table), 3) * row_height + 78)
    if "expected_low" in table:
        fig.add_bar(
            y=names, base=table["expected_low"], x=table["expected_high"] - table["expected_low"],
            orientation="h", width=0.55, name="expected, 95 % of simulated draws",
            marker={"color": theme.faint, "opacity": 0.55}, hoverinfo="skip",
        )  # fmt: skip
    gaps_x = [v for a, b in zip(table["before"], table["after"], strict=True) for v in (a, b, None)]
    gaps_y = [v for n in names for v in (n, n, None)]
    fig.add_scatter(
        x=gaps_x, y=gaps_y, mode="lines", line={"color": theme.muted, "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    ring = {"color": theme.paper, "size": 9, "line": {"color": theme.muted, "width": 1.5}}
    for column, name, marker in (
        ("before", "pool", ring),
        ("after", "subset", {"color": theme.categorical[0], "size": 9}),
    ):
        fig.add_scatter(
            x=table[column], y=names, mode="markers", name=name, marker=marker,
            customdata=percents(table[column], 2),
            hovertemplate=f"%{{y}}<br>{name} %{{customdata}}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(
        title_text="share of rows", tickformat=".3~p", showgrid=True, rangemode="tozero"
    )
    labels = [short(str(s)) for s in table["source"]]
    fig.update_yaxes(
        autorange="reversed", showgrid=False, ticklabelstandoff=8,
        tickvals=names, ticktext=[plain(n) for n in labels],
    )  # fmt: skip
    pin_margins(fig, left=room_for(labels))
    return fig


def before_after(
    before: Ints,
    after: Ints,
    bins: Bins,
    theme: Theme,
    *,
    x_title: str,
    height: int = 260,
) -> go.Figure:
    """Two (B,) histograms over shared bins as shares: the pool filled, the subset a line."""
    fig = figure(theme, height=height)
    for counts, name in ((before, "pool"), (after, "subset")):
        line = {"shape": "hvh", "color": theme.categorical[0], "width": 2 if name != "pool" else 0}
        shares = counts / max(int(counts.sum()), 1)
        fig.add_scatter(
            x=positions(bins), y=shares, name=name, mode="lines", customdata=percents(shares, 2),
            line=line, fill="tozeroy" if name == "pool" else None,
            fillcolor=theme.faint if name == "pool" else None,
            hovertemplate=f"{name} %{{customdata}}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(title_text=plain(x_title), **ticks(bins))
    fig.update_yaxes(title_text="share of rows", tickformat=".3~p", rangemode="tozero", nticks=5)
    fig.update_layout(hovermode="x")
    pin_margins(fig)
    return fig


def drawn_share(
    drawn: Floats,
    overall: float,
    top: float,
    theme: Theme,
    *,
    of: str = "the score",
    taken: str = "top-k begins",
) -> go.Figure:
    """Share of the pool that is drawn, by percentile of the score.

    ``drawn`` holds one share a bin of equal rows, lowest scores first; ``overall`` is the share of
    all rows (an even draw); ``top`` is where the draw at τ = 0 would begin, as a percentile ``of``
    what, and ``taken`` says so.
    """
    width = 100 / max(len(drawn), 1)
    fig = figure(theme, height=260, showlegend=False)
    fig.add_bar(
        x=(np.arange(len(drawn)) + 0.5) * width, y=drawn, width=width * 0.9,
        marker={"color": theme.categorical[0], "line": {"width": 0}},
        customdata=percents(drawn),
        hovertemplate="percentile %{x:.0f}: %{customdata} drawn<extra></extra>",
    )  # fmt: skip
    fig.add_hline(y=overall, line={"color": theme.muted, "width": 1, "dash": "dot"})
    fig.add_annotation(
        x=1, xref="paper", y=overall, text="even", showarrow=False, xanchor="left", xshift=4,
        yanchor="middle", font={"size": 11, "color": theme.muted},
    )  # fmt: skip
    fig.add_vline(x=top, line={"color": theme.muted, "width": 1, "dash": "dot"})
    fig.add_annotation(
        x=top, y=1, yref="paper", text=taken, showarrow=False, xanchor="right",
        yanchor="bottom", xshift=-4, font={"size": 11, "color": theme.muted},
    )  # fmt: skip
    fig.update_xaxes(title_text=f"percentile of {of}", range=[0, 100])
    fig.update_yaxes(title_text="share drawn", tickformat=".3~p", rangemode="tozero", nticks=5)
    pin_margins(fig, top=22, right=40)
    return fig
