"""Figures of head importance: maps, the sorted curve, layers, sources, one head, two runs.

All take frames with the columns of heads.parquet (layer, head, importance, stderr, …) or of the
functions in ``detection``, and return plotly figures. ΔL is in nats. Maps are signed:
blue for heads whose removal helps, orange for heads whose removal hurts, neutral at exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from circuitseer_core.aliases import Head
from circuitseer_core.distributions import t95
from circuitseer_core.figures.style import (
    LIGHT,
    Theme,
    colorbar,
    faded,
    figure,
    pin_margins,
    plain,
    short,
    template,
)


def grid(
    heads: pd.DataFrame, value: str = "importance", shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """``value`` as a matrix (layers, widest layer's heads); NaN where a head does not exist.

    ``shape``: of the whole model's, where ``heads`` may lack its last ones.
    """
    layer, head = heads["layer"].to_numpy(), heads["head"].to_numpy()
    out = np.full(shape or (int(layer.max()) + 1, int(head.max()) + 1), np.nan)
    out[layer, head] = heads[value].to_numpy(dtype=float)
    return out


def squash(values: np.ndarray, limit: float, scale: str) -> np.ndarray:
    """Values to colour positions in [−1, 1], 0 to 0: ``linear``, or ``sqrt`` (signed square root).

    ΔL is heavy-tailed: on a linear scale one head takes all the colour.
    """
    t = np.clip(np.asarray(values, dtype=float) / limit, -1.0, 1.0)
    return np.sign(t) * np.sqrt(np.abs(t)) if scale == "sqrt" else t


def limit_of(values: np.ndarray) -> float:
    """The symmetric colour limit: the largest magnitude, never 0."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def scale_ticks(limit: float, scale: str) -> tuple[list[float], list[str]]:
    """Colour positions and labels of five ticks, symmetric around 0."""
    positions = [-1.0, -0.5, 0.0, 0.5, 1.0]
    values = [np.sign(p) * p**2 * limit if scale == "sqrt" else p * limit for p in positions]
    return positions, [signed_significant(v) for v in values]


def signed_significant(value: float, digits: int = 2) -> str:
    """A signed number with ``digits`` significant digits and a true minus sign; 0 has no sign."""
    if not np.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    text = f"{value:+.{digits}g}" if abs(value) < 1e-4 else f"{value:+.{_places(value, digits)}f}"
    return text.replace("-", "−")


def _places(value: float, digits: int) -> int:
    return max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))


FAINT = 0.4
"""Opacity of a pilot's estimate: it must not look like a head measured on the whole probe."""
_FEW = 6
"""Layers below which plotly would write half ones."""


def importance_map(
    heads: pd.DataFrame,
    *,
    value: str = "importance",
    kept: Sequence[Head] = (),
    scale: str = "sqrt",
    title: str = "ΔL (nats)",
    limit: float | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """The layer by head map for print: signed colours, the ``kept`` heads outlined.

    Raced-out heads are faint and hatched: their estimates rest on a pilot.
    """
    measured = heads[~heads["raced_out"]] if "raced_out" in heads else heads
    layers, width = (int(n) for n in grid(heads, value).shape)
    values = np.full((layers, width), np.nan)
    values[measured["layer"], measured["head"]] = measured[value]
    fig = figure(
        theme,
        height=int(np.clip(layers * 16 + 60, 240, 1000)),
        xaxis={"title": {"text": "Head"}, "constrain": "domain", "showgrid": False},
        yaxis={"title": {"text": "Layer"}, "autorange": "reversed", "showgrid": False},
        margin={"t": 16},
    )
    limit = limit or limit_of(values)
    fig.add_trace(_heat(values, limit, scale, theme, colour_title=title))
    raced = heads.drop(measured.index)
    if len(raced):
        cells = list(zip(raced["layer"], raced["head"], strict=True))
        fig.add_traces(_estimates(grid(heads, value), cells, limit, scale, theme))
    fig.update_layout(shapes=[_outline(layer, head, theme) for layer, head in kept])
    fig.update_xaxes(range=[-0.5, width - 0.5])
    if layers < _FEW:
        fig.update_yaxes(dtick=1)
    return fig


def _estimates(
    values: np.ndarray, raced: Sequence[Head], limit: float, scale: str, theme: Theme
) -> list[go.Heatmap | go.Scatter]:
    """Heads that a race took out: their pilot's ``values`` (layers, heads) faint, and hatched."""
    own = np.full(values.shape, np.nan)
    for layer, head in raced:
        own[layer, head] = values[layer, head]
    layers, heads = np.nonzero(np.isfinite(own))  # a source may have no sample in the pilot
    faint = _heat(own, limit, scale, theme, colour_title=None)
    faint.update(opacity=FAINT)
    faint.hovertemplate = faint.hovertemplate.replace("<extra>", "<br>a pilot's estimate<extra>")
    hatch = go.Scatter(
        x=heads,
        y=layers,
        mode="markers",
        marker={"size": 7, "symbol": "line-ne", "line": {"color": theme.faint, "width": 1}},
        hoverinfo="skip",
        showlegend=False,
    )
    return [faint, hatch]


def _heat(
    values: np.ndarray, limit: float, scale: str, theme: Theme, *, colour_title: str | None
) -> go.Heatmap:
    positions, labels = scale_ticks(limit, scale)
    bar = None
    if colour_title is not None:
        bar = colorbar(theme, colour_title) | {"tickvals": positions, "ticktext": labels}
    return go.Heatmap(
        z=squash(values, limit, scale),
        customdata=values,
        zmin=-1,
        zmax=1,
        colorscale=theme.scale("diverging"),
        showscale=bar is not None,
        colorbar=bar,
        xgap=1,
        ygap=1,
        hovertemplate="layer %{y}, head %{x}<br>%{customdata:+.4g}<extra></extra>",
    )


def _outline(layer: int, head: int, theme: Theme) -> dict[str, object]:
    return {
        "type": "rect",
        "x0": head - 0.5,
        "x1": head + 0.5,
        "y0": layer - 0.5,
        "y1": layer + 0.5,
        "line": {"color": theme.mark, "width": 1.5},
    }


def sorted_curve(heads: pd.DataFrame, kept: Sequence[Head], *, theme: Theme = LIGHT) -> go.Figure:
    """ΔL by rank with 95 % intervals: how few heads carry it. Ranks of ``kept`` are shaded."""
    ordered = heads.sort_values("rank")
    x = np.arange(1, len(ordered) + 1)
    y, error = ordered["importance"].to_numpy(), t95(ordered["n"]) * ordered["stderr"].to_numpy()
    fig = figure(
        theme,
        height=320,
        xaxis={
            "title": {"text": "Rank (log)"},
            "type": "log",
            "tickvals": [m * 10**e for e in range(5) for m in (1, 2, 5)],
            "range": [-0.05, float(np.log10(len(ordered) + 0.5))],
        },
        yaxis={"title": {"text": "ΔL (nats)"}},
        hovermode="x",
    )
    for first, last in _kept_ranks(ordered, kept):
        fig.add_vrect(
            x0=max(first - 0.5, 0.9), x1=last + 0.5,
            fillcolor=theme.accent, opacity=0.08, line_width=0,
        )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([y + error, (y - error)[::-1]]),
            fill="toself",
            fillcolor=faded(theme.faint, 0.35),
            line={"width": 0},
            hoverinfo="skip",
            name="95 % interval",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": theme.accent, "width": 1.5},
            marker={"size": 4},
            customdata=ordered[["layer", "head"]].to_numpy(),
            hovertemplate="L%{customdata[0]} H%{customdata[1]}: %{y:+.4f}<extra></extra>",
            name="ΔL",
        )
    )
    fig.add_hline(y=0, line={"color": theme.faint, "width": 1})
    pin_margins(fig)
    return fig


def _kept_ranks(ordered: pd.DataFrame, kept: Sequence[Head]) -> list[tuple[int, int]]:
    """First and last rank of every run of kept heads, of heads in order of rank."""
    inside = pd.MultiIndex.from_frame(ordered[["layer", "head"]]).isin(list(kept)).astype(int)
    steps = np.diff(inside, prepend=0, append=0)
    ends = zip(np.flatnonzero(steps > 0) + 1, np.flatnonzero(steps < 0), strict=True)
    return [(int(first), int(last)) for first, last in ends]


def layer_marginals(
    heads: pd.DataFrame, kept: Sequence[Head], *, theme: Theme = LIGHT
) -> go.Figure:
    """Sum of ΔL over each layer's heads, and how many of them are kept."""
    layers = layer_table(heads, kept)
    positive, negative = theme.diverging[7], theme.diverging[2]
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28])
    fig.update_layout(template=template(theme), height=320, showlegend=False, bargap=0.15)
    fig.add_trace(
        go.Bar(
            x=layers["layer"],
            y=layers["sum_importance"],
            marker_color=np.where(layers["sum_importance"] >= 0, positive, negative),
            hovertemplate="layer %{x}: %{y:+.4f} nats<extra></extra>",
        ),
        row=1,
        col=1,
    )
    fig.add_trace(
        go.Bar(
            x=layers["layer"],
            y=layers["kept"],
            marker_color=theme.accent,
            hovertemplate="layer %{x}: %{y} heads kept<extra></extra>",
        ),
        row=2,
        col=1,
    )
    fig.update_yaxes(title_text="Sum of ΔL", row=1, col=1)
    fig.update_yaxes(title_text="Kept", row=2, col=1, rangemode="tozero", nticks=4)
    fig.update_xaxes(title_text="Layer", row=2, col=1)
    pin_margins(fig, top=8)
    return fig


def layer_table(heads: pd.DataFrame, kept: Sequence[Head]) -> pd.DataFrame:
    """One row a layer: layer, heads, sum_importance, mean_importance, max_importance, kept."""
    grouped = heads.groupby("layer")["importance"]
    out = grouped.agg(["size", "sum", "mean", "max"]).reset_index()
    out.columns = ["layer", "heads", "sum_importance", "mean_importance", "max_importance"]
    counts = pd.Series([layer for layer, _ in kept], dtype="int64").value_counts()
    return out.assign(kept=out["layer"].map(counts).fillna(0).astype(int))


def source_maps(
    heads: pd.DataFrame,
    per_source: pd.DataFrame,
    sources: Sequence[str],
    *,
    raced: Sequence[Head] = (),
    theme: Theme = LIGHT,
) -> go.Figure:
    """One map per source on one colour scale; with exactly two, their difference as a third.

    ``heads``: all of the model. A source that a race came to late has values of few of them.
    Titles give each source's samples. ``raced`` heads are faint and hatched, as on the main map:
    their estimates rest on a pilot.
    """
    parts = {name: per_source[per_source["source"] == name] for name in sources}
    shape = grid(heads).shape
    maps = [grid(part, shape=shape) for part in parts.values()]
    titles = [
        f"{plain(short(name))}<br>n = {int(part['n'].max()):,}" for name, part in parts.items()
    ]
    if len(maps) == 2:
        titles.append("<br>− ".join(plain(short(name)) for name in sources))
        maps.append(maps[0] - maps[1])
    measured = [values.copy() for values in maps]
    for values in measured:
        for layer, head in raced:
            values[layer, head] = np.nan
    limit = limit_of(np.concatenate([m.ravel() for m in measured]))
    fig = make_subplots(
        rows=1,
        cols=len(maps),
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.03,
    )
    layers = shape[0]
    fig.update_layout(template=template(theme), height=int(np.clip(layers * 9 + 110, 280, 760)))
    pin_margins(fig, left=48, right=64, top=48)
    for column, (known, values) in enumerate(zip(measured, maps, strict=True), start=1):
        last = "ΔL (nats)" if column == len(maps) else None
        heat = _heat(known, limit, "sqrt", theme, colour_title=last)
        fig.add_trace(heat, row=1, col=column)
        for trace in _estimates(values, raced, limit, "sqrt", theme) if raced else ():
            fig.add_trace(trace, row=1, col=column)
    fig.update_xaxes(title_text="Head", showgrid=False)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_yaxes(title_text="Layer", row=1, col=1)
    fig.update_annotations(font={"size": 12, "color": theme.muted})
    return fig
