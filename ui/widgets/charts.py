"""One way to show a figure: theme of the page, toolbar, and a menu to take figure and data away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from circuitseer_core.figures.style import DARK, LIGHT, Theme
from circuitseer_core.spreadsheets import to_csv
from ui.widgets.image_buttons import image_buttons

Table: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]
Figure: TypeAlias = go.Figure | Callable[[], go.Figure]


def theme() -> Theme:
    """The theme in view: pass it to figure functions."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def show_figure(
    fig: go.Figure,
    key: str,
    data: Table | None = None,
    *,
    name: str | None = None,
    alt: str | None = None,
    on_select: Any = "ignore",
    selection_mode: Any = ("points",),
    config: dict[str, Any] | None = None,
) -> Any:
    """Show ``fig`` and, below it, the menu with SVG, PNG, HTML and (with ``data``) CSV.

    ``key`` names the figure in the page and its files (``name`` overrides the file name). ``data``
    may be a function, called only when the CSV is asked for. Returns what st.plotly_chart returns.
    """
    name = name or key
    with st.container(key=f"figure_{key}", gap=None):
        event = st.plotly_chart(
            fig,
            theme=None,
            key=key,
            on_select=on_select,
            selection_mode=selection_mode,
            alt=alt or name,
            config=_config(name) | (config or {}),
        )
        download_menu(fig, key, data, name=name)
    return event


def download_menu(
    figure: Figure, key: str, data: Table | None, *, name: str, preview: bool = False
) -> None:
    """The download popover of a figure; nothing in it is computed until it is opened.

    ``preview`` draws the figure inside the menu: for what is on the page in another form, and
    ``figure`` may then be a function.
    """
    menu = st.popover(
        "Download",
        icon=":material/download:",
        type="tertiary",
        key=f"{key}_menu",
        on_change="rerun",
    )
    if not menu.open:
        return
    fig = figure() if callable(figure) else figure
    with menu:
        image_buttons(f"figure_{key}", key=f"{key}_images")
        st.download_button(
            "HTML, interactive",
            data=lambda: fig.to_html(include_plotlyjs=True, full_html=True),
            file_name=f"{name}.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/html:",
            type="tertiary",
            key=f"{key}_html",
        )
        if data is not None:
            as_it_is = st.toggle(
                "CSV with formulas",
                key=f"{key}_as_it_is",
                help="Cells that begin with an equals sign, plus, minus or at sign get an "
                "apostrophe, so that no spreadsheet runs them. This leaves them as they are.",
            )
            st.download_button(
                "CSV, the data shown",
                data=lambda: to_csv(data() if callable(data) else data, as_it_is=as_it_is),
                file_name=f"{name}.csv",
                mime="text/csv",
                on_click="ignore",
                icon=":material/csv:",
                type="tertiary",
                key=f"{key}_csv",
            )
        if preview:  # last: near the window's lower edge a menu has room for a line or two
            with st.container(key=f"figure_{key}", width=620):
                st.plotly_chart(fig, theme=None, key=f"{key}_preview", config=_config(name))


def _config(name: str) -> dict[str, Any]:
    return {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "svg", "filename": name, "scale": 2},
    }
