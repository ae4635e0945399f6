"""The pieces of the Sources page: distributions by group, and the random-head control."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core import limits
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.figures import scores as figures
from circuitseer_core.wording import plain
from ui import cached_scores
from ui.samples import filters
from ui.samples.opened import close
from ui.shell import go_to
from ui.sources import data, length
from ui.sources.column_choice import choose_column, named_apart
from ui.sources.data import ALL_ROWS, LEVELS, Summary
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline
from ui.widgets.view_choice import choose_one
from ui.words import correlation, places

SHAPES = ("Histogram", "Cumulative", "Boxes")
MOST = 24


def controls(store: ScoreStore) -> tuple[str, str, bool, bool]:
    """The row above the figure: shape, grouping, log scale, shares."""
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="shape_bar", width="content"
    ):
        shape = choose_one("Figure", SHAPES, "shape", in_link=True)
        options = list(dict.fromkeys(["source", *cached_scores.groupings(store), ALL_ROWS]))
        by = choose_column("Group by", options, "by", width=190, word="by")
        log = st.toggle("Log scale", key="log_scale", persist_state="session")
        shares = st.toggle(
            "Shapes",
            True,
            key="shares",
            persist_state="session",
            disabled=shape != SHAPES[0],
            help="Every group scaled to its own fullest bin, so that shapes compare; else one "
            "scale of rows for all",
        )
    return shape, by, bool(log), bool(shares)


def distribution(
    store: ScoreStore, scorer: str, shape: str, group: str, log: bool, shares: bool
) -> None:
    """The figure by group, and the way from a bar to its rows."""
    summary = data.summary(store, scorer, group, log)
    shown = _shown(store, group, summary)
    labels = [summary.labels[i] for i in shown]
    table = summary.table.iloc[shown]
    x_title = f"{scorer}, log scale" if log else scorer
    if shape == "Boxes":
        show_figure(
            figures.boxes_by_group(table, theme(), x_title=x_title, log=log),
            key="boxes",
            data=summary.table,
            alt=f"Boxes of {scorer} by {group}: quartiles, whiskers at 5 and 95 %",
        )
        return
    if shape == "Cumulative":
        grid = summary.grid[shown]
        fig = figures.ecdf_by_group(grid, LEVELS, labels, theme(), x_title=x_title, log=log)
        show_figure(
            fig,
            key="ecdf",
            data=lambda: _by_group(summary, summary.grid, {"share": LEVELS}),
            alt=f"Share of rows at or below each {scorer}, by {group}",
        )
        if fig.layout.xaxis.range and fig.layout.xaxis.range[1] < np.nanmax(grid):
            end = plain(fig.layout.xaxis.range[1], 3)
            st.caption(f"The axis ends at {end}: the few scores above it are not shown.")
        return
    leads = group in ("source", ALL_ROWS, *cached_scores.facets(store))  # numbers in bins do not
    event = show_figure(
        figures.histogram_by_group(
            summary.counts[shown],
            summary.bins,
            labels,
            theme(),
            medians=table["median"].to_numpy(),
            x_title=x_title,
            density=shares,
        ),
        key="histogram",
        data=lambda: _by_group(
            summary, summary.counts, {"from": summary.bins.edges[:-1], "to": summary.bins.edges[1:]}
        ),
        alt=f"Histogram of {scorer} by {group}, shared bins",
        on_select="rerun" if leads else "ignore",
        config={"scrollZoom": False},
    )
    if leads:
        _follow(event, summary, group, labels)


def statistics(summary: Summary, group: str) -> None:
    """One row a group."""
    names = ["mean", "sd", "p5", "p25", "median", "p75", "p95"]
    form = f"%.{places(summary.table[names].to_numpy())}f"
    numbers = {name: st.column_config.NumberColumn(name, format=form) for name in names}
    st.dataframe(
        summary.table,
        hide_index=True,
        key="statistics",
        height="content" if len(summary.table) < 14 else 480,
        column_config={
            "group": st.column_config.TextColumn(group),
            "rows": st.column_config.NumberColumn("rows", format="localized"),
            "tokens": st.column_config.NumberColumn("tokens, median", format="%.0f"),
            "tokens_p95": st.column_config.NumberColumn("tokens, p95", format="%.0f"),
            **numbers,
        },
    )


def controls_figure(store: ScoreStore, scorer: str, log: bool) -> None:
    """The chosen heads' score against that of random heads of the same layers."""
    with (
        st.container(key="heading_controls"),
        st.container(horizontal=True, vertical_alignment="center"),
    ):
        st.subheader("Chosen heads against random ones", anchor=False)
    control = data.control(store, scorer, log)
    if control is None:
        st.caption(f"{inline(scorer)} has no random-head control in this scoring.")
        return
    mean = control.agreement.mean
    st.markdown(
        f"Spearman **{correlation(mean)}** with the same score from random heads "
        f"({control.agreement.basis}). "
        f"{_control_words(mean)}"
    )
    centres = control.bins.centres
    show_figure(
        figures.against_controls(
            control.counts,
            control.bins,
            control.names,
            theme(),
            x_title=scorer,
            height=length.HEIGHT,
        ),
        key="controls",
        data=lambda: pd.DataFrame(control.counts.T, columns=list(control.names)).assign(
            score=centres
        ),
        alt=f"Distribution of {scorer} from the chosen heads and from random heads",
    )


def _shown(store: ScoreStore, group: str, summary: Summary) -> list[int]:
    """Groups to draw: all up to 24, else those chosen, else the 24 largest."""
    if len(summary.labels) <= MOST:
        return list(range(len(summary.labels)))
    chosen = st.multiselect(
        f"The {MOST} largest of {len(summary.labels)} groups are shown; choose others",
        summary.labels,
        key=f"groups_shown_{store.run.path}_{group}",
        persist_state="session",
        max_selections=MOST,
    )
    return [summary.labels.index(name) for name in chosen] or list(range(MOST))


def _follow(event: Any, summary: Summary, group: str, labels: list[str]) -> None:
    """From a bar, clicked or chosen by keyboard, to its rows in Samples."""
    points = event.selection.points if event else []
    hit = next((p for p in points if "customdata" in p), None)
    if hit is not None:
        place, at = (int(number) for number in hit["customdata"][5:7])
        _open_rows(summary, group, labels[place], at)
    with st.popover("Open the rows of a bar", icon=":material/list:", type="tertiary"):
        label = st.selectbox("Group", labels, key="bar_group")
        edges = summary.bins.edges
        at = st.selectbox(
            "Scores",
            list(range(summary.bins.count)),
            format_func=lambda i: f"{edges[i]:.4g} to {edges[i + 1]:.4g}",
            key="bar_bin",
        )
        if st.button("Open in Samples", key="bar_open"):
            _open_rows(summary, group, str(label), int(at))


def _open_rows(summary: Summary, group: str, label: str, at: int) -> None:
    """Show these rows in Samples, the filters in the URL; the scorer stays there by itself."""
    edges = summary.bins.edges
    where = {"source": label} if group == "source" else {}
    if group not in ("source", ALL_ROWS):
        where = {"facet": group, "value": label}
    # The outermost bins also hold what lies beyond the edges.
    low = None if at == 0 else f"{edges[at]:.9g}"
    high = None if at == summary.bins.count - 1 else f"{edges[at + 1]:.9g}"
    filters.clear()
    close()
    go_to("samples", low=low, high=high, **where)


def _by_group(summary: Summary, values: np.ndarray, own: dict[str, np.ndarray]) -> pd.DataFrame:
    """``values`` (groups, n), a column a group, behind the table's ``own`` columns (n,)."""
    names = [named_apart(label, own) for label in summary.labels]
    return pd.DataFrame({**own, **dict(zip(names, values, strict=True))})


def _control_words(rho: float) -> str:
    if limits.like_random_heads(rho):
        return "Random heads rank the rows nearly alike: the choice of heads hardly matters here."
    if rho > limits.CONTROL_CLOSE:
        return "Random heads give similar scores: the choice of heads changes the ranking little."
    return "The choice of heads changes the ranking."
