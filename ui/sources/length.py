"""The score against length on the Sources page: a density, or rows coloured by a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core import limits
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.figures import lengths as figures
from ui import cached_scores
from ui.samples.opened import close
from ui.shell import go_to
from ui.sources import data
from ui.sources.column_choice import choose_column, named_apart
from ui.sources.data import ALL_ROWS
from ui.widgets.charts import show_figure, theme
from ui.words import correlation

HEIGHT = 380
"""Pixels of this figure and of the one beside it."""


def length(store: ScoreStore, scorer: str, log: bool) -> None:
    """Score against token count, with the rank correlation, plain and beside a column."""
    seen = data.length_map(store, scorer, log)
    with (
        st.container(key="heading_length"),
        st.container(horizontal=True, vertical_alignment="center", gap="small"),
    ):
        st.subheader("Score against length", anchor=False, width="content")
        st.space("stretch")
        colour = _colour_by(store)
    rho = seen.spearman
    st.markdown(f"Spearman **{correlation(rho)}**. {_length_words(rho)}")
    if colour is None:
        show_figure(
            figures.score_against_length(
                seen.counts, seen.lengths, seen.scores, theme(), medians=seen.medians,
                y_title=scorer, height=HEIGHT,
            ),
            key="length_map",
            data=lambda: pd.DataFrame(
                seen.counts,
                index=seen.scores.centres.round(6),
                columns=[f"{c:.1f} tokens" for c in seen.lengths.centres],
            ).rename_axis(scorer).reset_index(),
            alt=f"Rows by token count and {scorer}; the line is the median score at each length",
        )  # fmt: skip
        st.caption("Line: the median score at each length.")
    else:
        _points(store, scorer, colour, log)


def _colour_by(store: ScoreStore) -> str | None:
    """The column that colours single rows; None for the density of all rows."""
    options = list(dict.fromkeys([ALL_ROWS, "source", *cached_scores.groupings(store)]))
    chosen = choose_column(
        "Colour by", options, "colour", width=150, word="colour by",
        help="The density of all rows, or single rows in the colours of a column.",
    )  # fmt: skip
    return None if chosen == ALL_ROWS else chosen


def _points(store: ScoreStore, scorer: str, colour: str, log: bool) -> None:
    """Single rows in the colours of a column; a click opens the row in Samples."""
    drawn = data.points(store, scorer, colour)
    labels = np.array([*drawn.labels, ""], dtype=object)  # the last serves code -1
    column = named_apart(colour, ("id", "n_tokens", scorer))
    event = show_figure(
        figures.points_by_group(
            drawn.tokens, drawn.scores, drawn.codes, drawn.labels, drawn.ids, theme(),
            y_title=scorer, log=log, height=HEIGHT,
        ),
        key="length_points",
        data=lambda: pd.DataFrame(
            {"id": drawn.ids, column: labels[drawn.codes], "n_tokens": drawn.tokens}
        ).assign(**{scorer: drawn.scores}),
        alt=f"{len(drawn.ids):,} rows by token count and {scorer}, coloured by {colour}",
        on_select="rerun",
    )  # fmt: skip
    if len(drawn.ids) < store.rows:
        st.caption(
            f"{len(drawn.ids):,} of {store.rows:,} rows, at even steps. Click one to read it."
        )
    else:
        st.caption("Click a row to read it.")
    points = event.selection.points if event else []
    hit = next((p for p in points if "customdata" in p), None)
    if hit is not None:
        chosen = hit["customdata"]
        close()
        go_to("samples", sample=chosen[0] if isinstance(chosen, list) else chosen)


def _length_words(rho: float) -> str:
    if np.isnan(rho):
        return "The score or the length is the same everywhere."
    if limits.length_drives(rho):
        way = "long" if rho > 0 else "short"
        return f"Length drives this score: a draw by it prefers {way} samples."
    return "Length does not drive this score."
