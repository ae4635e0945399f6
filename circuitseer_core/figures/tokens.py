"""Figures of one sample: what each token receives, and one head's attention matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from circuitseer_core.figures.style import Theme, colorbar, figure, pin_margins


def profile_bars(
    profile: NDArray[np.floating],
    labels: Sequence[str],
    theme: Theme,
    *,
    left_out: NDArray[np.bool_] | None = None,
    picked: int | None = None,
    height: int = 190,
) -> go.Figure:
    """Received attention a_j = T·m_j by token, with its mean (1) and mean ± standard deviation.

    Where one sink makes the deviation larger than the axis, the band is written instead of drawn.

    Args:
        profile: (T,) m_j, sums to 1.
        labels: (T,) what to call each token when hovered.
        theme: colours.
        left_out: (T,) tokens (the sink) that the axis may cut off; their value is written out.
        picked: a token to mark.
        height: pixels.
    """
    received = profile.astype(np.float64) * len(profile)
    outside = np.zeros(len(received), dtype=bool) if left_out is None else left_out
    spread = float(received.std()) if received.size else 0.0
    kept = received[~outside]
    top = max(float(kept.max(initial=0.0)), min(1 + spread, 3 * float(kept.max(initial=1.0)))) * 1.1
    colours: list[str] = [theme.faint if flag else theme.categorical[0] for flag in outside]
    if picked is not None and 0 <= picked < len(colours):
        colours[picked] = theme.categorical[1]
    fig = figure(theme, height=height, bargap=0 if len(received) > 150 else 0.12, showlegend=False)
    fig.add_bar(
        x=np.arange(len(received)),
        y=np.minimum(received, top).round(4),
        marker={"color": colours, "line": {"width": 0}},
        customdata=list(zip(labels, received.round(3).tolist(), strict=True)),
        hovertemplate="token %{x}  %{customdata[0]}<br>"
        "receives %{customdata[1]} × the mean<extra></extra>",
    )
    fig.add_hline(y=1, line={"color": theme.muted, "width": 1, "dash": "dot"})
    if 1 + spread <= top:
        fig.add_hrect(
            y0=max(0.0, 1 - spread), y1=1 + spread, fillcolor=theme.muted, opacity=0.1,
            line_width=0, layer="below",
        )  # fmt: skip
    else:  # a band beyond the axis would be a grey box that says nothing
        fig.add_annotation(
            x=1, xref="paper", y=top, text=f"mean + 1 sd lies at {1 + spread:.1f}×",
            showarrow=False, xanchor="right", yanchor="top",
            font={"size": 11, "color": theme.muted},
        )  # fmt: skip
    fig.update_xaxes(title_text="token", range=[-0.7, len(received) - 0.3])
    fig.update_yaxes(title_text="attention received ÷ mean", range=[0, top], nticks=5)
    for token in np.flatnonzero(received > top)[:3]:
        fig.add_annotation(
            x=int(token), y=top, text=f"{received[token]:.1f}×", showarrow=False, xanchor="left",
            yanchor="top", xshift=4, font={"size": 11, "color": theme.muted},
        )  # fmt: skip
    pin_margins(fig, top=10)
    return fig


def attention_map(
    attention: NDArray[np.floating],
    labels: Sequence[str],
    theme: Theme,
    *,
    title: str = "",
    height: int = 520,
) -> go.Figure:
    """One head's attention, queries down, keys across, at most 512 × 512 cells.

    Colours end at the 99th percentile of the causal half without the first key: the sink column
    would swamp the rest. Above the diagonal there is no attention; it stays blank.

    Args:
        attention: (R, R) weights; max-pooled where R is fewer than the tokens.
        labels: (T,) token texts.
        theme: colours.
        title: above the figure.
        height: pixels.
    """
    size = len(attention)
    stride = max(1, -(-len(labels) // max(size, 1)))
    causal = np.tril(np.ones((size, size), dtype=bool))
    inner = causal.copy()
    inner[:, :1] = False
    values = attention[inner]
    top = float(np.quantile(values, 0.99)) if values.size else 1.0
    shown = np.where(causal, np.round(attention.astype(np.float64), 5), np.nan)
    names = [f"{i * stride} {labels[i * stride]}" for i in range(min(size, len(labels)))]
    fig = figure(theme, height=height, title=title)
    fig.add_heatmap(
        z=shown,
        customdata=_pairs(names) if size <= 128 else None,
        zmin=0,
        zmax=max(top, 1e-6),
        colorscale=theme.scale("sequential"),
        colorbar=colorbar(theme, "weight"),
        hoverongaps=False,
        hovertemplate=(
            "query %{customdata[0]}<br>key %{customdata[1]}<br>%{z:.4f}<extra></extra>"
            if size <= 128
            else "query %{y}, key %{x}<br>%{z:.4f}<extra></extra>"
        ),
    )
    if stride > 1 or size > 128:
        fig.data[0].update(x0=0, dx=stride, y0=0, dy=stride)
    fig.update_xaxes(title_text="key (attended to)", constrain="domain", side="bottom")
    fig.update_yaxes(title_text="query", autorange="reversed", scaleanchor="x", showgrid=False)
    return fig


def _pairs(names: Sequence[str]) -> list[list[Any]]:
    return [[[query, key] for key in names] for query in names]
