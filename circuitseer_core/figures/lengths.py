"""Figures of scores against token counts: all rows as a density, or some rows as points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.distributions import Bins
from circuitseer_core.figures.axes import positions, ticks
from circuitseer_core.figures.style import (
    TITLE_BELOW,
    Theme,
    colorbar,
    figure,
    pin_margins,
    plain,
    short,
)

LEGEND = 110
"""Pixels below the points for the axis' title and the legend."""
NAMED = 9
"""Most groups of points with a colour of their own."""


def score_against_length(
    counts: Ints,
    lengths: Bins,
    scores: Bins,
    theme: Theme,
    *,
    medians: Floats,
    y_title: str,
    height: int = 420,
) -> go.Figure:
    """Rows by token count (across) and score (up), with the median score at each length.

    Args:
        counts: (By, Bx); empty cells stay blank, colours follow log(1 + rows).
        lengths: Bx bins of token counts.
        scores: By bins of scores.
        theme: colours.
        medians: (Bx,) median score at each length, NaN where there is no row.
        y_title: what the scores are.
        height: pixels.
    """
    fig = figure(theme, height=height, showlegend=False)
    top = max(int(counts.max(initial=1)), 1)
    rows = [10**k for k in range(9) if 10**k <= top]
    fig.add_heatmap(
        x=positions(lengths), y=positions(scores),
        z=np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan),
        customdata=counts, colorscale=_upper(theme),
        colorbar=colorbar(theme, "rows")
        | {"tickvals": [float(np.log10(t)) for t in rows], "ticktext": [f"{t:,}" for t in rows]},
        hovertemplate="%{customdata:,} rows<extra></extra>", hoverongaps=False,
    )  # fmt: skip
    usable = np.isfinite(medians) & ((medians > 0) | (not scores.log))
    # Beyond the last bin rows are counted in it, and so is a median.
    inside = np.clip(medians[usable], scores.edges[0], scores.edges[-1])
    heights = np.log10(inside) if scores.log else inside
    fig.add_scatter(
        x=positions(lengths)[usable], y=heights, mode="lines",
        line={"color": theme.categorical[1], "width": 2}, hoverinfo="skip",
    )  # fmt: skip
    fig.update_xaxes(title_text="tokens", **ticks(lengths))
    fig.update_yaxes(title_text=plain(y_title), showgrid=False, **ticks(scores))
    pin_margins(fig, right=72, top=40)
    return fig


def points_by_group(
    tokens: Floats,
    scores: Floats,
    codes: NDArray[np.int32],
    labels: Sequence[str],
    ids: Sequence[str],
    theme: Theme,
    *,
    y_title: str,
    log: bool = False,
    height: int = 420,
) -> go.Figure:
    """Single rows by token count and score, coloured by group.

    Args:
        tokens: (n,) token counts.
        scores: (n,) scores.
        codes: (n,) group of every row, -1 where it has none.
        labels: groups, most rows first. Numbers are put in order and coloured from pale to
            strong; of names the nine largest have a colour and the others are grey.
        ids: (n,) ids, the points' customdata.
        theme: colours.
        y_title: what the scores are.
        log: scores on a log scale.
        height: pixels, without the legend below.
    """
    fig = figure(theme, height=height + LEGEND)
    names = np.array([*ids], dtype=object)
    groups = _coloured(labels, theme)
    for rank in (len(groups) - 1, *range(len(groups) - 1)):  # those without a colour lie below
        name, members, colour = groups[rank]
        rows = np.flatnonzero(np.isin(codes, members))
        if rank == len(groups) - 1 and not len(rows):
            continue
        fig.add_scatter(
            x=tokens[rows], y=scores[rows], customdata=names[rows], mode="markers",
            name=plain(short(name)), legendrank=rank,
            marker={"size": 5, "color": colour, "opacity": 0.75},
            text=[plain(str(n)) for n in names[rows]],
            hovertemplate="%{text}<br>%{x:,} tokens, %{y:.4g}<extra></extra>",
        )  # fmt: skip
    marks = [m * 10**k for k in range(7) for m in (1, 2, 5)]
    fig.update_xaxes(
        title_text="tokens", type="log", tickvals=marks, ticktext=[f"{m:,}" for m in marks]
    )
    fig.update_yaxes(title_text=plain(y_title), showgrid=True, type="log" if log else "linear")
    below = {"y": -TITLE_BELOW / (height - 8), "yanchor": "top", "itemsizing": "constant"}
    fig.update_layout(legend=below)
    pin_margins(fig, top=8, bottom=LEGEND)
    return fig


def _coloured(labels: Sequence[str], theme: Theme) -> list[tuple[str, list[int], str]]:
    """Legend name, group codes and colour, in the legend's order."""
    try:
        order = sorted(range(len(labels)), key=lambda i: float(labels[i]))
    except ValueError:
        shown = [(labels[i], [i], theme.categorical[i]) for i in range(min(len(labels), NAMED))]
        rest = [*range(NAMED, len(labels)), -1]
        return [*shown, ("other", rest, theme.faint)]
    strong = theme.sequential[3:]
    steps = np.linspace(0, len(strong) - 1, len(order)).round().astype(int)
    coloured = [(labels[i], [i], strong[step]) for i, step in zip(order, steps, strict=True)]
    return [*coloured, ("none", [-1], theme.faint)]


def _upper(theme: Theme) -> list[list[object]]:
    """The sequential scale without its palest end, which would vanish into the paper."""
    colours = theme.sequential[1:]
    return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


def length_bars(
    names: Sequence[str], rows: Sequence[int], theme: Theme, *, unit: str, height: int = 200
) -> go.Figure:
    """Rows by length: one bar a bin, ``names`` say which lengths it holds, in ``unit``."""
    fig = figure(theme, height=height, showlegend=False)
    fig.add_bar(
        x=list(names), y=list(rows), marker_color=theme.categorical[0],
        hovertemplate="%{x} " + plain(unit) + ": %{y:,} rows<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(title_text=f"{plain(unit)} of the prompt", type="category")
    fig.update_yaxes(title_text="rows")
    pin_margins(fig, top=8)
    fig.update_xaxes(automargin=True)  # on a narrow page the names stand aslant
    return fig
