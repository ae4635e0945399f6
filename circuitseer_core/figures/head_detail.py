"""Figures about single heads and pairs of runs: per-sample ΔL, intervals, membership, scatter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.aliases import Head
from circuitseer_core.distributions import t95
from circuitseer_core.figures.heads import grid, limit_of, scale_ticks, squash
from circuitseer_core.figures.style import (
    LIGHT,
    Theme,
    figure,
    note_right,
    percents,
    pin_margins,
    plain,
    room_for,
    short,
    spread_evenly,
)
from circuitseer_core.wording import percent


def delta_by_source(deltas: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """ΔL of one head on every probe sample, a row a source: points, mean and 95 % interval.

    ``deltas``: source, delta_loss and id, one row a sample. The row "all" comes first.
    """
    table = source_intervals(deltas)
    names = table["source"].tolist()
    rows = [f"{short(r.source)}  ({r.n})" for r in table.itertuples()]
    fig = figure(
        theme,
        height=int(46 + 30 * len(names) + 40),
        showlegend=False,
        xaxis={"title": {"text": "ΔL (nats)"}, "showgrid": True},
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [plain(r) for r in rows],
            "range": [len(names) - 0.5, -0.6],
            "showgrid": False,
        },
    )
    pin_margins(fig, left=room_for(rows), top=8)
    fig.add_vline(x=0, line={"color": theme.faint, "width": 1})
    row = deltas["source"].map({name: i for i, name in enumerate(names)}).to_numpy()
    fig.add_trace(
        go.Scatter(
            x=deltas["delta_loss"],
            y=row + 0.5 * spread_evenly(len(deltas)),
            mode="markers",
            marker={"size": 5, "color": theme.accent, "opacity": 0.5},
            customdata=deltas["id"].astype(str).map(plain),
            hovertemplate="%{customdata}<br>ΔL %{x:+.4f}<extra></extra>",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=table["importance"],
            y=np.arange(len(names)),
            mode="markers",
            marker={"size": 9, "color": theme.ink, "symbol": "line-ns-open", "line_width": 2},
            error_x={
                "type": "data",
                "array": (t95(table["n"]) * table["stderr"]).fillna(0),
                "thickness": 1.5,
                "width": 0,
                "color": theme.ink,
            },
            hovertemplate="mean %{x:+.4f}<extra></extra>",
        )
    )
    return fig


def source_intervals(deltas: pd.DataFrame) -> pd.DataFrame:
    """Mean, stderr and n of ``delta_loss`` over all samples and per source, largest mean first."""
    grouped = deltas.groupby("source")["delta_loss"].agg(["mean", "sem", "size"]).reset_index()
    grouped = grouped.sort_values("mean", ascending=False)
    values = deltas["delta_loss"]
    first = pd.DataFrame(
        [{"source": "all", "mean": values.mean(), "sem": values.sem(), "size": len(values)}]
    )
    out = pd.concat([first, grouped], ignore_index=True)
    out.columns = ["source", "importance", "stderr", "n"]
    return out


def membership(
    table: pd.DataFrame, n_kept: int, *, kept: Sequence[Head] | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Heads around the cut: ΔL with its 95 % interval and, as text, the bootstrap probability.

    ``table``: layer, head, importance, stderr, probability, best rank first. The ``kept`` heads
    are filled, else those above the cut.
    """
    labels = [f"L{r.layer} H{r.head}" for r in table.itertuples()]
    inside = np.arange(len(table)) < n_kept
    if kept is not None:
        inside = pd.MultiIndex.from_frame(table[["layer", "head"]]).isin(list(kept))
    fig = figure(
        theme,
        height=int(70 + 21 * len(table)),
        showlegend=False,
        xaxis={"title": {"text": "ΔL (nats), 95 % interval"}, "showgrid": True},
        yaxis={
            "tickvals": list(range(len(table))),
            "ticktext": labels,
            "range": [len(table) - 0.4, -0.6],
            "showgrid": False,
        },
    )
    fig.add_vline(x=0, line={"color": theme.faint, "width": 1})
    if 0 < n_kept < len(table):
        fig.add_hline(y=n_kept - 0.5, line={"color": theme.accent, "width": 1, "dash": "dot"})
    fig.add_trace(
        go.Scatter(
            x=table["importance"],
            y=np.arange(len(table)),
            mode="markers",
            marker={
                "size": 8,
                "color": np.where(inside, theme.accent, theme.paper),
                "line": {"color": theme.accent, "width": 1.5},
            },
            error_x={
                "type": "data",
                "array": (t95(table["n"]) * table["stderr"]).fillna(0),
                "thickness": 1.3,
                "width": 0,
                "color": theme.muted,
            },
            hovertemplate="ΔL %{x:+.4f}<extra></extra>",
        )
    )
    chances = ["–" if pd.isna(p) else percent(p) for p in table["probability"]]
    note_right(fig, range(len(table)), chances, theme)
    pin_margins(fig, left=room_for(labels), right=56, top=24)
    return fig


def run_scatter(pairs: pd.DataFrame, names: tuple[str, str], *, theme: Theme = LIGHT) -> go.Figure:
    """Importance of the same heads in two runs, both axes on a signed square-root scale.

    ``pairs``: layer, head, importance_a, importance_b, and ``set`` ("both", a name, or "neither").
    """
    limit = limit_of(pairs[["importance_a", "importance_b"]].to_numpy())
    ticks = np.array([-1, -0.25, 0, 0.05, 0.25, 1.0]) * limit
    axis = {
        "tickvals": squash(ticks, limit, "sqrt"),
        "ticktext": [f"{t:.2g}".replace("-", "−") for t in ticks],
        "showgrid": True,
    }
    fig = figure(
        theme,
        height=430,
        xaxis=axis | {"title": {"text": f"ΔL in {plain(names[0])} (nats), square-root scale"}},
        yaxis=axis | {"title": {"text": f"ΔL in {plain(names[1])} (nats)"}},
    )
    low = squash(pairs[["importance_a", "importance_b"]].to_numpy().min(), limit, "sqrt")
    fig.add_trace(
        go.Scatter(
            x=[low, 1],
            y=[low, 1],
            mode="lines",
            line={"color": theme.faint, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    colours = dict(zip(("neither", names[0], names[1], "both"), _set_colours(theme), strict=True))
    for label, colour in colours.items():
        part = pairs[pairs["set"] == label]
        fig.add_trace(
            go.Scatter(
                x=squash(part["importance_a"].to_numpy(), limit, "sqrt"),
                y=squash(part["importance_b"].to_numpy(), limit, "sqrt"),
                mode="markers",
                name={"neither": "in neither set", "both": "in both sets"}.get(
                    label, f"only in {plain(label)}"
                ),
                marker={"size": 5 if label == "neither" else 8, "color": colour},
                customdata=part[["layer", "head", "importance_a", "importance_b"]].to_numpy(),
                hovertemplate="L%{customdata[0]} H%{customdata[1]}<br>%{customdata[2]:+.4f} → "
                "%{customdata[3]:+.4f}<extra></extra>",
            )
        )
    return fig


def _set_colours(theme: Theme) -> tuple[str, str, str, str]:
    return theme.faint, theme.categorical[0], theme.categorical[2], theme.categorical[1]


def pair_heads(
    first: pd.DataFrame,
    second: pd.DataFrame,
    kept: tuple[Sequence[Head], Sequence[Head]],
    names: tuple[str, str],
) -> pd.DataFrame:
    """Heads present in both frames side by side, with the set each is in (see run_scatter)."""
    columns = ["layer", "head", "importance"]
    pairs = first[columns].merge(
        second[columns], on=["layer", "head"], suffixes=("_a", "_b"), validate="one_to_one"
    )
    heads = list(zip(pairs["layer"], pairs["head"], strict=True))
    in_a = np.array([h in set(kept[0]) for h in heads], dtype=bool)
    in_b = np.array([h in set(kept[1]) for h in heads], dtype=bool)
    pairs["set"] = np.select(
        [in_a & in_b, in_a, in_b], ["both", names[0], names[1]], default="neither"
    )
    return pairs


def same_shape(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two head frames describe models with the same layers and heads."""
    return grid(first).shape == grid(second).shape


def importance_by_sink(
    heads: pd.DataFrame, kept: Sequence[Head], *, theme: Theme = LIGHT
) -> go.Figure:
    """Every head's ΔL over the share of its attention that it leaves on the first token.

    ``heads``: layer, head, importance, sink_share. ΔL on the signed square root scale of the map.
    """
    values = heads["importance"].to_numpy(dtype=np.float64)
    limit = limit_of(values)
    ticks, labels = scale_ticks(limit, "sqrt")
    fig = figure(
        theme,
        height=380,
        xaxis={
            "title": {"text": "attention on the first token"},
            "tickformat": ".0%",
            "range": [-0.02, 1.02],
            "showgrid": True,
        },
        yaxis={
            "title": {"text": "ΔL (nats), square-root scale"},
            "tickvals": squash(np.array(ticks), limit, "sqrt"),
            "ticktext": labels,
        },
    )
    inside = np.array(
        [cell in set(kept) for cell in zip(heads["layer"], heads["head"], strict=True)]
    )
    for label, rows, colour, size in (
        ("other heads", ~inside, theme.faint, 5),
        ("kept heads", inside, theme.accent, 8),
    ):
        part = heads[rows]
        fig.add_trace(
            go.Scatter(
                x=part["sink_share"],
                y=squash(part["importance"].to_numpy(dtype=np.float64), limit, "sqrt"),
                mode="markers",
                name=label,
                marker={"size": size, "color": colour},
                customdata=list(
                    zip(
                        part["layer"],
                        part["head"],
                        part["importance"],
                        percents(part["sink_share"]),
                        strict=True,
                    )
                ),
                hovertemplate="L%{customdata[0]} H%{customdata[1]}<br>ΔL %{customdata[2]:+.4f}<br>"
                "%{customdata[3]} on the first token<extra></extra>",
            )
        )
    pin_margins(fig, top=34)
    return fig
