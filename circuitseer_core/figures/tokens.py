"""Figures of one sample: what each token receives, and one head's attention matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from circuitseer_core.figures.style import Theme, colorbar, figure, pin_margins, plain
from circuitseer_core.wording import percent


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
    A bar beyond the axis ends in a triangle, and the first three have their value beside it.

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
        y=np.minimum(received, top),
        marker={"color": colours, "line": {"width": 0}},
        customdata=list(zip(map(plain, labels), received.round(3).tolist(), strict=True)),
        hovertemplate="token %{x}  %{customdata[0]}<br>"
        "receives %{customdata[1]} × the mean<extra></extra>",
    )
    fig.add_hline(y=1, line={"color": theme.muted, "width": 1, "dash": "dot"})
    if 1 + spread <= top:
        fig.add_hrect(
            y0=max(0.0, 1 - spread), y1=1 + spread, fillcolor=theme.muted, opacity=0.1,
            line_width=0, layer="below", annotation_text="mean ± 1 sd",
            annotation_position="top right", annotation_font={"size": 11, "color": theme.muted},
        )  # fmt: skip
    else:  # a band beyond the axis would be a grey box that says nothing
        fig.add_annotation(
            x=1, xref="paper", y=top, text=f"mean + 1 sd lies at {1 + spread:.1f}×",
            showarrow=False, xanchor="right", yanchor="top",
            font={"size": 11, "color": theme.muted},
        )  # fmt: skip
    fig.update_xaxes(title_text="token", range=[-0.7, len(received) - 0.3])
    fig.update_yaxes(title_text="attention received ÷ mean", range=[0, top], nticks=5)
    _mark_cut(fig, received, top, theme)
    pin_margins(fig, top=10)
    return fig


def _mark_cut(fig: go.Figure, received: NDArray[np.floating], top: float, theme: Theme) -> None:
    """A triangle on every bar that the axis cuts off, and the values of the first three."""
    beyond = np.flatnonzero(received > top)
    fig.add_scatter(
        x=beyond, y=np.full(len(beyond), top), mode="markers", hoverinfo="skip", cliponaxis=False,
        marker={"symbol": "triangle-up", "size": 7, "color": theme.mark},
    )  # fmt: skip
    for token in beyond[:3]:
        fig.add_annotation(
            x=int(token), y=top, text=f"{received[token]:.1f}×", showarrow=False, xanchor="left",
            yanchor="top", xshift=4, font={"size": 11, "color": theme.muted},
        )  # fmt: skip


TICKS = 40
"""Most token labels along an axis of an attention map."""


def attention_map(
    attention: NDArray[np.floating],
    labels: Sequence[str],
    theme: Theme,
    *,
    first_share: float,
    pool: int = 1,
    title: str = "",
    height: int = 520,
) -> go.Figure:
    """One head's attention, queries down, keys across, at most 512 × 512 cells.

    The first key is a column of its own with a scale from 0 to 100 %: it is the sink of most heads,
    and would swamp the rest. The other colours end at the 99th percentile of the causal half; what
    is beyond is marked on the colour bar. Above the diagonal there is no attention; it stays blank.

    Args:
        attention: (R, R) weights. With ``pool`` above 1 row and column 0 are the first token, each
            later one ``pool`` tokens, and a cell is the largest weight of its pairs of tokens.
        labels: (T,) token texts.
        theme: colours.
        first_share: mean attention on the first token, over all queries.
        pool: tokens on the side of a cell.
        title: above the figure.
        height: pixels.
    """
    size = len(attention)
    names = _cell_names(labels, size, pool)
    causal = np.tril(np.ones((size, size), dtype=bool))
    shares = np.where(causal, 100 * attention.astype(np.float64), np.nan)
    others = shares[:, 1:][causal[:, 1:]]
    # Never finer than the uniform share: what is below it is no pattern worth a colour.
    top = max(float(np.quantile(others, 0.99)) if others.size else 0.0, 100 / size)
    beyond = "≥ " if others.size and others.max() > top * (1 + 1e-9) else ""
    bar = colorbar(theme, "attention")
    # In the half that stays blank: beside the map it would take a narrow window's width.
    bar |= {"x": 1, "xanchor": "right", "y": 0.98, "len": 0.4}
    bar |= {"tickvals": [0, top / 2, top]}
    bar |= {"ticktext": ["0 %", f"{top / 2:.2g} %", f"{beyond}{top:.2g} %"]}
    fig = figure(theme, height=height, title=f"{title}: {percent(first_share)} on the first token")
    look = {"y": names, "zmin": 0, "colorscale": theme.scale("sequential"), "hoverongaps": False}
    sink = look | {"zmax": 100, "hovertemplate": _hover(pool, of_keys=1)}
    rest = look | {"zmax": top, "hovertemplate": _hover(pool, of_keys=pool)}
    fig.add_heatmap(z=shares[:, :1], x=names[:1], xaxis="x", showscale=False, **sink)
    fig.add_heatmap(z=shares[:, 1:], x=names[1:], xaxis="x2", colorbar=bar, **rest)
    _token_axes(fig, names)
    fig.update_layout(margin={"r": 12})
    return fig


def _cell_names(labels: Sequence[str], size: int, pool: int) -> list[str]:
    """(R,) what a row or column is called: its token, or the first and the last of its tokens."""
    if pool == 1:
        return [plain(f"{i} {labels[i]}") for i in range(min(size, len(labels)))]
    names = [plain(f"0 {labels[0]}")]
    for first in range(1, len(labels), pool):
        last = min(first + pool, len(labels)) - 1
        names.append(plain(f"{first} {labels[first]}" + (f" … {last}" if last > first else "")))
    return names


def _hover(pool: int, of_keys: int) -> str:
    """What a cell of ``pool`` queries and ``of_keys`` keys says."""
    if pool == 1:
        return "query %{y}<br>key %{x}<br>%{z:.3~r} % of the query's attention<extra></extra>"
    return (
        "queries %{y}<br>keys %{x}<br>%{z:.3~r} % of a query's attention, the largest of "
        f"{pool} × {of_keys} tokens<extra></extra>"
    )


def _token_axes(fig: go.Figure, names: Sequence[str]) -> None:
    """Tokens along both axes, thinned, the first key on an axis of its own."""
    step = max(1, -(-len(names) // TICKS))
    shown = list(names[step::step])
    axis = {"type": "category", "tickmode": "array", "showgrid": False, "automargin": True}
    keys = axis | {"tickangle": 90}
    across = {
        "domain": [0.07, 1.0],
        "anchor": "y",
        "title": {"text": "key (attended to)", "standoff": 8},
    }
    down = {"autorange": "reversed", "title": {"text": "query"}}
    fig.update_layout(
        xaxis=keys | {"domain": [0.0, 0.05], "tickvals": list(names[:1])},
        xaxis2=keys | across | {"tickvals": shown[::2]},
        yaxis=axis | down | {"tickvals": [*names[:1], *shown]},
    )
