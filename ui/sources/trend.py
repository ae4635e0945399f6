"""The score along a column of numbers of the data: does it rise with what the column says?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.distributions import Trend, spearman95
from circuitseer_core.figures.trend import trend_line
from circuitseer_core.wording import count, signed
from ui import cached_scores
from ui.sources import data
from ui.sources.column_choice import choose_column, named_apart
from ui.sources.length import HEIGHT
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import together


def score_along_column(store: ScoreStore, scorer: str, log: bool) -> None:
    """The section; nothing where the data have no column of numbers."""
    columns = cached_scores.number_columns(store)
    if not columns:
        return
    with (
        st.container(key="heading_trend"),
        st.container(horizontal=True, vertical_alignment="center", gap="small"),
    ):
        st.subheader("Score along a column", anchor=False, width="content")
        column = choose_column("Column", columns, "partial_column", width=190)
    seen = data.with_column(store, scorer, column)
    rank = seen.plain
    low, high = spearman95(rank.rho, rank.used)
    part = f"{rank.used:,} of " if rank.sampled else ""
    st.markdown(
        together(
            f"Spearman **{signed(rank.rho)}** (95 % interval {signed(low)} to {signed(high)}, "
            f"{part}{count(rank.rows, 'row')}); at fixed length {signed(seen.fixed)} (partial)."
        )
    )
    line = seen.trend
    if not len(line.x):
        st.caption("Too few rows a value to draw medians.")
        return
    show_figure(
        trend_line(line, theme(), x_title=column, y_title=scorer, log=log, height=HEIGHT - 60),
        key="trend",
        data=lambda: _table(column, line),
        alt=f"Median {scorer} along {column}, with 95 % intervals",
    )  # fmt: skip
    st.caption("Shaded: the 95 % interval of the median.")


def _table(column: str, line: Trend) -> pd.DataFrame:
    own = {"median": line.median, "low": line.low, "high": line.high, "rows": line.rows}
    return pd.DataFrame({named_apart(column, own): line.x, **own})
