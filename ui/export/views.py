"""What a draw does, as numbers and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core import limits
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.figures import selection as figures
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.effect import Effect
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import drawn_first, percent
from ui.export import draw
from ui.export.draw import Shown
from ui.widgets.charts import show_figure, theme
from ui.widgets.view_choice import choose_one
from ui.words import in_units, places

BEFORE_AFTER: tuple[str, ...] = ("Sources", "Length", "Score")
STRATA = "Strata"


def numbers(effect: Effect, lowest: bool) -> None:
    """The row of metrics; ``lowest``: of a draw of the lowest scores."""
    first = drawn_first(lowest)
    share = effect.concentration["ess_share"]
    cells = (
        ("Rows", f"{effect.rows:,}", f"of {effect.pool_rows:,} that may be drawn"),
        ("Tokens", _compact(effect.tokens), f"{effect.tokens:,} tokens, as the budget counts them"),
        (
            "Effective size",
            percent(share),
            _spread(effect),
        ),
        (
            "Lift",
            "n/a" if effect.lift is None else signed_percent(effect.lift),
            f"Mean score of the subset over the pool's. The {first} rows (τ = 0) reach "
            + ("n/a." if effect.top_lift is None else f"{signed_percent(effect.top_lift)}."),
        ),
        (
            "In lowest k" if lowest else "In top-k",
            percent(effect.overlap_top),
            f"Share of the subset that τ = 0 takes too: the {first} rows",
        ),
        (
            "Seed overlap",
            percent(effect.overlap_seed),
            "Share of the subset that another seed would take too, a mean over seeds",
        ),
    )
    with st.container(key="grid4_draw"):
        columns = st.columns(len(cells))
    for column, (label, value, text) in zip(columns, cells, strict=True):
        column.metric(label, value, help=text)


def words(effect: Effect, lowest: bool) -> None:
    """What a person should know about this draw before using it."""
    lines = ["The lowest scores are drawn first."] if lowest else []
    share, taken = effect.concentration["ess_share"], effect.rows / effect.pool_rows
    steered = not limits.hardly_steered(share, effect.overlap_top, taken)
    if not steered and not np.isinf(effect.temperature) and taken <= limits.WHOLE:
        lines.append(
            f"The scores hardly steer this draw: {percent(effect.overlap_top, 1)} of it is among "
            f"the {drawn_first(lowest)} rows, chance {percent(taken, 1)}; its effective size is "
            f"{percent(share)} of the pool. A lower temperature makes the score count."
        )
    if effect.temperature == 0:
        lines.append("Top-k is not random: another seed changes ties alone.")
    gain = effect.sources["after"] - effect.sources["before"]
    worst = effect.sources.loc[gain.idxmax()]
    if len(gain) > 1 and limits.favours(worst["before"], worst["after"], effect.rows):
        lines.append(
            f"{worst['source']} goes from {percent(worst['before'])} of the pool to "
            f"{percent(worst['after'])} of the subset."
        )
    if taken > limits.WHOLE:
        lines.append("The budget takes every row: nothing is selected.")
    # One element whatever it says: what stands below keeps its place, a field its half-typed text.
    if lines:
        st.text("\n\n".join(lines))
    else:
        st.empty()


def figures_of(run: Run, store: ScoreStore, settings: SelectionSettings, drawn: Shown) -> None:
    """Share drawn by score; beside it sources, length or score before and after.

    One of the three at a time: every figure on the page is drawn anew at every turn of the dial.
    """
    effect, of = drawn.effect, score_drawn_by(settings)
    with st.container(key="grid2_drawn"):
        left, right = st.columns(2, gap="medium")
    with left:
        with st.container(key="heading_drawn"):
            st.markdown("**Who is drawn**")
        overall = effect.rows / effect.pool_rows
        show_figure(
            figures.drawn_share(
                effect.drawn,
                overall,
                100 * (1 - overall),
                theme(),
                of=of,
                taken="the lowest k begin" if settings.lowest else "top-k begins",
            ),
            key="drawn",
            data=pd.DataFrame({"share_drawn": effect.drawn}).rename_axis("bin").reset_index(),
            alt=f"Share of rows drawn by percentile of {of}",
        )
    with right:
        with (
            st.container(key="heading_before_after"),
            st.container(horizontal=True, vertical_alignment="center"),
        ):
            st.markdown("**Before and after**", width="content")
            ways = BEFORE_AFTER + ((STRATA,) if len(drawn.strata) else ())
            which = choose_one("Before and after, by", ways, "before_after", in_link=True)
        if which == "Length":
            _before_after("length", "tokens", effect)
        elif which == "Score":
            _before_after("score", settings.scorer, effect)
        elif which == STRATA:
            show_figure(
                figures.shares_by_source(drawn.strata, theme()),
                key="strata",
                data=drawn.strata,
                alt="Share of every stratum in the pool and in the subset",
            )
        else:
            _sources(run, store, settings, effect)


def score_drawn_by(settings: SelectionSettings) -> str:
    """What chances follow, for the axis of percentiles: 100 is what is drawn first."""
    score = "the score" if settings.length_control == "none" else "the score at its length"
    return f"{score}, lowest at 100" if settings.lowest else score


def first_rows(frame: pd.DataFrame) -> None:
    """The subset's head, in the order of the draw."""
    form = f"%.{places(frame['score'].to_numpy(dtype=np.float64))}f"
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        key="first_rows",
        column_config={
            "order": st.column_config.NumberColumn(
                "order", width=60, help="Place in the draw: the best key is first."
            ),
            "rank": st.column_config.NumberColumn(
                "rank of the score",
                width=110,
                format="localized",
                help="Among all rows with a score: 1 is the highest.",
            ),
            "id": st.column_config.TextColumn("id", width=150),
            "score": st.column_config.NumberColumn("score", format=form, width=80),
            "tokens": st.column_config.NumberColumn("tokens", width=70),
            "text": st.column_config.TextColumn("text", width="large"),
        },
    )


def _spread(effect: Effect) -> str:
    concentration = effect.concentration
    return (
        f"1/Σp² = {concentration['ess']:,.0f} of {effect.pool_rows:,}: 100 % is a uniform "
        f"draw. Entropy {concentration['entropy']:.3f} nats, "
        f"{percent(concentration['entropy_share'], 1)} of the most possible."
    )


def _before_after(which: str, x_title: str, effect: Effect) -> None:
    bins, before, after = effect.score if which == "score" else effect.length
    show_figure(
        figures.before_after(before, after, bins, theme(), x_title=x_title),
        key=f"before_after_{which}",
        data=pd.DataFrame(
            {"from": bins.edges[:-1], "to": bins.edges[1:], "pool": before, "subset": after}
        ),
        alt=f"Distribution of {x_title} in the pool and in the subset",
    )


def _sources(run: Run, store: ScoreStore, settings: SelectionSettings, effect: Effect) -> None:
    table = effect.sources
    if st.session_state.get("simulate"):
        rows = pd.DataFrame(
            [share.model_dump() for share in draw.simulated(run, store, settings)]
        ).set_index("source")
        table = table.assign(
            expected_low=rows["low"].reindex(table["source"]).to_numpy(),
            expected_high=rows["high"].reindex(table["source"]).to_numpy(),
        )
    show_figure(
        figures.shares_by_source(table, theme()),
        key="shares",
        data=table,
        alt="Share of every source in the pool and in the subset",
    )
    st.toggle(
        "Show what 200 other seeds would draw",
        key="simulate",
        persist_state="session",
        help="Bands hold 95 % of the simulated shares. Takes some seconds on a large pool.",
    )


def signed_percent(share: float) -> str:
    """A change with its sign: "+7.2 %"."""
    return ("+" if share > 0 else "") + percent(share, 1)


def _compact(count: int) -> str:
    return in_units(count, (("B", 1e9), ("M", 1e6), ("k", 1e3))) if count >= 1e4 else f"{count:,}"
