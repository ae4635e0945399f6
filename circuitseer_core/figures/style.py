"""The look of every figure: two themes, their palettes and the plotly template made from them.

A figure function takes a :class:`Theme` and stays pure; the app passes the one in view, the report
and notebooks take :data:`LIGHT`. Palettes are told apart under the common colour-vision
deficiencies: categories follow Okabe and Ito's order of hues, signed data go from blue to orange.
Sequential and diverging palettes have exactly ten colours, which is what the app's theme takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuitseer_core.aliases import Floats
from circuitseer_core.wording import percent

FONT = "Inter, system-ui, sans-serif"

LABEL_PX = 6.6
"""Width of a letter of a tick label, on the wide side: Inter at 11 px."""
LABEL_MOST = 22
NUMBERS_LEFT = 68
"""Left margin of an axis of numbers with a title."""
TITLE_BELOW = 46
"""Bottom margin of an axis with a title."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours (CSS hex) of one appearance.

    ``accent`` marks what is chosen, ``mark`` what stands out (outlines on a map), ``ink`` is text,
    ``muted`` secondary text, ``faint`` data that is context only, ``grid`` lines behind data.
    """

    name: str
    paper: str
    ink: str
    muted: str
    faint: str
    grid: str
    accent: str
    mark: str
    categorical: tuple[str, ...]
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]

    def scale(self, kind: str) -> list[list[Any]]:
        """A plotly colour scale: ``sequential`` or ``diverging``."""
        colours = self.diverging if kind == "diverging" else self.sequential
        return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1b2430",
    muted="#5d6875",
    faint="#c3cbd4",
    grid="#e8ecf0",
    accent="#1c5f9e",
    mark="#111820",
    categorical=(
        "#1c6fb5", "#d9722a", "#2a9471", "#b5558c", "#b8911b",
        "#55a8d9", "#7565bd", "#8a5a3d", "#76818e", "#1b8088",
    ),
    sequential=(
        "#f1f5f9", "#dbe7f2", "#bfd6ea", "#9cc1df", "#75a8d1",
        "#518ec0", "#3474ab", "#1f5b91", "#114472", "#082d50",
    ),
    diverging=(
        "#08386a", "#1c609c", "#4a8dc3", "#92bee0", "#dce9f3",
        "#fae8da", "#f2b98e", "#dd8040", "#b5530f", "#783200",
    ),
)  # fmt: skip

DARK = Theme(
    name="dark",
    paper="#11161d",
    ink="#e4e9ef",
    muted="#9aa6b4",
    faint="#465261",
    grid="#252e39",
    accent="#6fb1ee",
    mark="#f5f8fb",
    categorical=(
        "#5ba6e6", "#ee9a57", "#53c09a", "#dd86b8", "#dcbb52",
        "#8fd0f2", "#a99bea", "#c4926f", "#a4afbb", "#4fb7be",
    ),
    sequential=(
        "#18212c", "#1b2f44", "#1e3f5e", "#23517a", "#2c6597",
        "#3d7cb2", "#5895c9", "#7caedb", "#a6c9ea", "#d5e6f7",
    ),
    diverging=(
        "#c3e1fb", "#84bdf0", "#4a92d2", "#2c628f", "#1e3448",
        "#3f2d20", "#854b1e", "#c86f26", "#f3a15a", "#ffd6b0",
    ),
)  # fmt: skip


def template(theme: Theme) -> go.layout.Template:
    """The plotly template of a theme: fonts, thin grid, no zero lines, opaque paper."""
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.faint,
        "tickcolor": theme.faint,
        "tickfont": {"color": theme.muted, "size": 11},
        "title": {"font": {"color": theme.muted, "size": 12}, "standoff": 8},
        "zeroline": False,
        "automargin": True,
        "ticklabeloverflow": "allow",  # else plotly measures every label once more
        "ticks": "",
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": theme.ink},
            "title": {"font": {"size": 13, "color": theme.ink}, "x": 0, "xanchor": "left"},
            "paper_bgcolor": theme.paper,
            "plot_bgcolor": theme.paper,
            "colorway": theme.categorical,
            "colorscale": {
                "sequential": theme.scale("sequential"),
                "diverging": theme.scale("diverging"),
            },
            "xaxis": {**axis, "showgrid": False},
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": theme.ink,
                "bordercolor": theme.ink,
                "font": {"family": FONT, "size": 12, "color": theme.paper},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.0,
                "x": 0,
                "xanchor": "left",
                "font": {"color": theme.muted, "size": 11},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": theme.faint,
                "activecolor": theme.accent,
            },
            "separators": ".,",
            "bargap": 0.08,
        }
    )


def figure(theme: Theme, *, height: int, **layout: Any) -> go.Figure:
    """An empty figure in ``theme``, ``height`` pixels high; ``layout`` goes to plotly as it is."""
    fig = go.Figure(_empty(theme))
    fig.update_layout(height=height, **layout)
    return fig


@cache
def _empty(theme: Theme) -> go.Figure:
    """What :func:`figure` copies: plotly takes twice as long to check a template as to copy it."""
    fig = go.Figure()
    fig.update_layout(template=template(theme))
    return fig


def pin_margins(
    fig: go.Figure,
    *,
    left: int = NUMBERS_LEFT,
    right: int = 8,
    top: int = 28,
    bottom: int = TITLE_BELOW,
) -> None:
    """Fix the margins in pixels. Plotly finds them by itself by drawing a figure twice."""
    fig.update_xaxes(automargin=False)
    fig.update_yaxes(automargin=False)
    fig.update_layout(margin={"l": left, "r": right, "t": top, "b": bottom})


def note_right(
    fig: go.Figure, heights: Iterable[float], notes: Sequence[str], theme: Theme
) -> None:
    """Write a note beside the right end of each row; needs a right margin (:func:`room_for`).

    One text trace on an axis of its own: an annotation a row takes plotly as long as all bars.
    """
    fig.update_layout(
        xaxis2={"overlaying": "x", "range": [0, 1], "visible": False, "fixedrange": True}
    )
    fig.add_scatter(
        x=[1] * len(notes), y=list(heights), xaxis="x2", mode="text", text=list(notes),
        textposition="middle right", textfont={"size": 11, "color": theme.muted},
        cliponaxis=False, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def faded(colour: str, opacity: float) -> str:
    """A colour (hex) that lets through what lies below it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def spread_evenly(count: int) -> Floats:
    """(n,) shifts from -0.5 to 0.5 that keep points on one line apart, the same way every time."""
    golden = 0.618034  # the golden ratio's fractional part
    places: Floats = np.arange(count, dtype=np.float64) * golden % 1.0 - 0.5
    return places


def short(label: str) -> str:
    """A label that cannot push a figure aside: at most 22 characters."""
    return label if len(label) <= LABEL_MOST else label[: LABEL_MOST - 1] + "…"


def plain(label: str) -> str:
    """A label that plotly cannot take for markup, nor for a place in a hover template."""
    return label.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "&#37;{")


def percents(shares: Iterable[float], digits: int = 1) -> list[str]:
    """Shares of 1 as hover text: plotly's own format writes 0.0 % of what is small."""
    return [percent(float(share), digits) for share in shares]


def room_for(labels: Sequence[str]) -> int:
    """Pixels that the longest of an axis' labels takes, at the template's size."""
    return 16 + round(LABEL_PX * max(map(len, labels), default=0))


def colorbar(theme: Theme, title: str) -> dict[str, Any]:
    """A slim colour bar with its title on top."""
    return {
        "title": {"text": title, "side": "top", "font": {"size": 11, "color": theme.muted}},
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"size": 11, "color": theme.muted},
        "len": 0.6,
        "y": 1,
        "yanchor": "top",
        "xpad": 6,
    }


def whiskers(
    values: pd.Series, low: pd.Series, high: pd.Series, colour: str, thickness: float
) -> dict[str, Any]:
    """Error bars from ``low`` to ``high`` around ``values``, without caps."""
    return {
        "type": "data",
        "symmetric": False,
        "array": high - values,
        "arrayminus": values - low,
        "thickness": thickness,
        "width": 0,
        "color": colour,
    }
