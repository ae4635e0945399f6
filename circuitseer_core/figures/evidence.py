"""Figures of experiments, drawn from their stored tables: estimates with intervals, curves, maps.

Each takes the table and the names of its columns, so that one function serves every experiment
and a result that was kept years ago can be drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.figures.style import (
    Theme,
    colorbar,
    faded,
    figure,
    percents,
    pin_margins,
    plain,
    room_for,
    short,
)
from circuitseer_core.wording import percent

_ROW = 30
_MANY, _THIN = 8, 16
"""Bars from which on each gets less height."""
_SHARES = ".3~p"
_BAND = 0.18
"""Opacity at which bands may lie over one another."""


def intervals(
    table: pd.DataFrame,
    theme: Theme,
    *,
    label: str,
    x: str,
    low: str | None = None,
    high: str | None = None,
    group: str | None = None,
    x_title: str = "",
    references: Mapping[str, float] | None = None,
    shares: bool = False,
) -> go.Figure:
    """A row per ``label`` with ``x`` as a point and its interval as a line, groups one below
    the other in the row and told apart by colour and by form.

    More groups than there are forms (twenty draws of random heads) are a swarm of one colour, whose
    members hovering names. ``references``: named upright lines (no effect, the floor of noise).
    """
    labels = list(dict.fromkeys(str(value) for value in table[label]))
    parts = _parts(table, group)
    place = {name: i for i, name in enumerate(labels)}
    swarm = len(parts) > len(_SYMBOLS)
    fig = figure(theme, height=_height(len(labels) * max(1.0, 0.55 * (1 if swarm else len(parts)))))
    for g, (name, rows) in enumerate(parts):
        lift = (g - (len(parts) - 1) / 2) * 0.7 / max(1, len(parts))
        at = np.array([place[str(value)] + lift for value in rows[label]])
        form = 0 if swarm else g
        colour = theme.categorical[form % len(theme.categorical)]
        if low and high:
            ends = rows[[low, high]].to_numpy(dtype=np.float64)
            fig.add_scatter(
                x=[v for a, b in ends for v in (a, b, None)],
                y=[v for y in at for v in (y, y, None)],
                mode="lines", hoverinfo="skip", showlegend=False,
                line={"color": colour, "width": 2},
            )  # fmt: skip
        fig.add_scatter(
            x=rows[x], y=at, mode="markers", name=_legend(name, group),
            showlegend=bool(name) and not swarm,
            marker={"size": 8, "color": colour, "symbol": _SYMBOLS[form % len(_SYMBOLS)],
                    "opacity": 0.6 if swarm else 1.0},
            text=[plain(str(value)) for value in rows[label]],
            **_number(rows[x], shares, "x", before="%{text}<br>", name=_named(name, group)),
        )  # fmt: skip
    return _by_name(fig, labels, theme, x_title, references, shares, bool(group) and not swarm)


def _by_name(
    fig: go.Figure,
    labels: Sequence[str],
    theme: Theme,
    x_title: str,
    references: Mapping[str, float] | None,
    shares: bool,
    grouped: bool,
) -> go.Figure:
    """The frame of a figure with a named row a label: axes, lines at the references, margins."""
    _upright(fig, references or {}, theme)
    shown = [short(name) for name in labels]
    fig.update_xaxes(title_text=x_title, showgrid=True, tickformat=_SHARES if shares else None)
    fig.update_yaxes(
        range=[len(labels) - 0.5, -1.0 if references else -0.5],
        showgrid=False, ticklabelstandoff=8,
        tickvals=list(range(len(labels))), ticktext=[plain(name) for name in shown],
        tickfont={"color": theme.ink},
    )  # fmt: skip
    pin_margins(fig, left=room_for(shown), top=34 if grouped else 12, right=16)
    return fig


def lines(
    table: pd.DataFrame,
    theme: Theme,
    *,
    x: str,
    y: str,
    low: str | None = None,
    high: str | None = None,
    group: str | None = None,
    x_title: str = "",
    y_title: str = "",
    references: Mapping[str, float] | None = None,
    shares: bool = False,
    height: int = 320,
) -> go.Figure:
    """``y`` over ``x`` as a line a group, with the band from ``low`` to ``high`` around it.

    ``references``: named level lines.
    """
    fig = figure(theme, height=height)
    for g, (name, part) in enumerate(_parts(table, group)):
        rows = part.sort_values(x)
        colour = theme.categorical[g % len(theme.categorical)]
        if low and high:
            band = rows.dropna(subset=[low, high])
            fig.add_scatter(
                x=[*band[x], *band[x][::-1]], y=[*band[high], *band[low][::-1]],
                fill="toself", mode="lines", line={"width": 0}, fillcolor=faded(colour, _BAND),
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        fig.add_scatter(
            x=rows[x], y=rows[y], mode="lines+markers", name=_legend(name, group),
            showlegend=bool(name), line={"color": colour, "width": 2},
            marker={"size": 7, "symbol": _SYMBOLS[g % len(_SYMBOLS)]},
            **_number(rows[y], shares, "y", before="%{x}: ", name=name),
        )  # fmt: skip
    for name, value in (references or {}).items():
        fig.add_hline(y=value, line={"color": theme.muted, "width": 1, "dash": "dot"})
        fig.add_annotation(
            x=1, xref="paper", y=value, text=plain(name), showarrow=False, xanchor="right",
            yanchor="bottom", font={"size": 11, "color": theme.muted},
        )  # fmt: skip
    fig.update_xaxes(title_text=x_title)
    fig.update_yaxes(title_text=y_title, tickformat=_SHARES if shares else None)
    pin_margins(fig, top=34 if group else 12, right=16)
    return fig


def bars(
    table: pd.DataFrame,
    theme: Theme,
    *,
    label: str,
    x: str,
    group: str | None = None,
    x_title: str = "",
    references: Mapping[str, float] | None = None,
    shares: bool = False,
) -> go.Figure:
    """A lying bar per ``label``, as long as ``x``; groups beside each other."""
    labels = list(dict.fromkeys(str(value) for value in table[label]))
    parts = _parts(table, group)
    thin = _THIN / _ROW if len(labels) >= _MANY else 1.0
    rows_high = len(labels) * max(thin, 0.7 * thin * len(parts))
    fig = figure(theme, height=_height(rows_high), bargap=0.25)
    for g, (name, rows) in enumerate(parts):
        fig.add_bar(
            y=[labels.index(str(value)) for value in rows[label]], x=rows[x], orientation="h",
            name=_legend(name, group), showlegend=bool(name),
            marker={"color": theme.categorical[g % len(theme.categorical)], "line": {"width": 0}},
            text=[plain(str(value)) for value in rows[label]], textposition="none",
            **_number(rows[x], shares, "x", before="%{text}<br>", name=name),
        )  # fmt: skip
    return _by_name(fig, labels, theme, x_title, references, shares, bool(group))


def points(
    table: pd.DataFrame,
    theme: Theme,
    *,
    x: str,
    y: str,
    group: str | None = None,
    label: str | None = None,
    x_title: str = "",
    y_title: str = "",
    height: int = 380,
) -> go.Figure:
    """``y`` against ``x``, a point a row of the table."""
    fig = figure(theme, height=height)
    for g, (name, rows) in enumerate(_parts(table, group)):
        colour = theme.categorical[g % len(theme.categorical)]
        fig.add_scatter(
            x=rows[x], y=rows[y], mode="markers", name=_legend(name, group), showlegend=bool(name),
            marker={"size": 6, "opacity": 0.6, "color": colour},
            text=[plain(str(value)) for value in (rows[label] if label else rows.index)],
            hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(title_text=x_title or x, showgrid=True)
    fig.update_yaxes(title_text=y_title or y)
    pin_margins(fig, top=34 if group else 12, right=16)
    return fig


def matrix(
    table: pd.DataFrame,
    theme: Theme,
    *,
    x: str,
    y: str,
    value: str,
    value_title: str = "",
    shares: bool = False,
) -> go.Figure:
    """``value`` by row ``y`` and column ``x``, written into its cell."""
    across = list(dict.fromkeys(str(v) for v in table[x]))
    down = list(dict.fromkeys(str(v) for v in table[y]))
    grid = np.full((len(down), len(across)), np.nan)
    for row in table[[x, y, value]].itertuples(index=False):
        grid[down.index(str(row[1])), across.index(str(row[0]))] = row[2]
    fig = figure(theme, height=_height(len(down)) + 20)
    signed = bool(np.nanmin(grid, initial=0.0) < 0)
    most = float(np.nanmax(np.abs(grid), initial=0.0)) or 1.0
    fig.add_heatmap(
        x=list(range(len(across))), y=list(range(len(down))), z=grid,
        zmin=-most if signed else 0.0, zmax=most,
        colorscale=theme.scale("diverging" if signed else "sequential"),
        colorbar=colorbar(theme, value_title), xgap=2, ygap=2, hoverongaps=False,
        text=[["" if np.isnan(v) else percent(v) for v in row] for row in grid] if shares else None,
        texttemplate="%{text}" if shares else "%{z:.2f}",
        hovertemplate=f"{'%{text}' if shares else '%{z:.3g}'}<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(tickvals=list(range(len(across))), ticktext=[plain(short(v)) for v in across])
    fig.update_yaxes(
        autorange="reversed", tickvals=list(range(len(down))),
        ticktext=[plain(short(v)) for v in down],
    )  # fmt: skip
    pin_margins(fig, left=room_for([short(v) for v in down]), right=72, top=12)
    return fig


def _parts(table: pd.DataFrame, group: str | None) -> list[tuple[str, pd.DataFrame]]:
    """The rows of every group, in the table's order; all of them, without a name, where none."""
    if group is None:
        return [("", table)]
    names = table[group].astype(str)
    return [(name, table[names == name]) for name in dict.fromkeys(names)]


_LEGEND_MOST = 44
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")


def _legend(name: str, group: str | None) -> str:
    """A legend's entry: the legend has the figure's whole width."""
    name = _named(name, group)
    return plain(name if len(name) <= _LEGEND_MOST else name[: _LEGEND_MOST - 1] + "…")


def _named(name: str, group: str | None) -> str:
    """A group's name in words: a number says what it counts."""
    if group and name in ("True", "False"):
        return group if name == "True" else f"not {group}"
    return f"{group} {name}" if group and name.isdecimal() else name


def _height(rows: float) -> int:
    return round(max(rows, 2) * _ROW) + 92


def _number(
    values: pd.Series, shares: bool, axis: str, *, before: str, name: str
) -> dict[str, Any]:
    """What hovering says of one trace's ``values``, which lie along ``axis``."""
    number = "%{customdata}" if shares else f"%{{{axis}:.3g}}"
    hover = {"hovertemplate": f"{before}{number}<extra>{plain(name)}</extra>"}
    return hover | ({"customdata": percents(values)} if shares else {})


def _upright(fig: go.Figure, references: Mapping[str, float], theme: Theme) -> None:
    """Named upright lines; the names stand above the first row, inside the axes."""
    for name, value in references.items():
        line: dict[str, Any] = {"color": theme.muted, "width": 1, "dash": "dot"}
        fig.add_vline(x=value, line=line)
        fig.add_annotation(
            x=value, y=1, yref="paper", text=plain(name), showarrow=False, xanchor="left",
            yanchor="top", xshift=3, font={"size": 11, "color": theme.muted},
            bgcolor=theme.paper, borderpad=1,
        )  # fmt: skip
