"""One figure: the same samples under two scorings."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from circuitseer_core.aliases import Floats
from circuitseer_core.figures.style import Theme, figure, pin_margins, plain


def percentiles(
    one: Floats,
    other: Floats,
    scores: tuple[Floats, Floats],
    ids: Sequence[str],
    share: float,
    theme: Theme,
    *,
    names: tuple[str, str],
    height: int = 460,
) -> go.Figure:
    """Each sample by its percentile in both scorings, with the top ``share`` of either marked.

    Percentiles show what a rank correlation measures, and no outlier can press the rest together.

    Args:
        one, other: (n,) percentiles, 0 to 100.
        scores: (n,) scores behind them, told on hover.
        ids: (n,) ids, the points' customdata.
        share: of the samples that top-k takes; the upper right field holds those of both.
        theme: colours.
        names: what the two scorings are called.
        height: pixels.
    """
    fig = figure(theme, height=height, showlegend=False)
    begin = 100 * (1 - share)
    both = (one >= begin) & (other >= begin)
    for x0, y0 in ((begin, 0), (0, begin)):
        fig.add_shape(
            type="rect", x0=x0, y0=y0, x1=100, y1=100, layer="below", line_width=0,
            fillcolor=theme.accent, opacity=0.07,
        )  # fmt: skip
    for rows, colour in ((~both, theme.categorical[0]), (both, theme.categorical[1])):
        texts = [
            f"{plain(str(i))}<br>{plain(names[0])} {a:.4g}<br>{plain(names[1])} {b:.4g}"
            for i, a, b, use in zip(ids, *scores, rows, strict=True)
            if use
        ]
        fig.add_scatter(
            x=one[rows].round(2), y=other[rows].round(2), mode="markers", text=texts,
            customdata=[str(i) for i, use in zip(ids, rows, strict=True) if use],
            marker={"size": 5, "color": colour, "opacity": 0.6, "line": {"width": 0}},
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    fig.add_annotation(
        x=100, y=100, text="top of both", showarrow=False, xanchor="right", yanchor="bottom",
        font={"size": 11, "color": theme.muted},
    )  # fmt: skip
    fig.update_xaxes(title_text=f"percentile in {plain(names[0])}", range=[-1, 101], showgrid=True)
    fig.update_yaxes(title_text=f"percentile in {plain(names[1])}", range=[-1, 101])
    pin_margins(fig, top=24)
    return fig
