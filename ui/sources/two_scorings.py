"""The scoring in view against another one of the same run: do they choose the same samples?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Floats
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.correlation import ranks
from circuitseer_core.errors import UserError
from circuitseer_core.figures.two_scorings import percentiles
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.settings import DEFAULT_FRACTION
from circuitseer_core.selection.two_scorings import (
    Agreement,
    DrawOverlap,
    Matched,
    agreement,
    matched,
)
from circuitseer_core.wording import count, percent, signed
from ui import cached_scores
from ui.cached_scores import HASH
from ui.samples.opened import close
from ui.shell import go_to, link_to
from ui.sources.column_choice import named_apart
from ui.sources.data import POINTS
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline, together
from ui.widgets.scoring_choice import describe

TEMPERATURES = (0.0, 1.0)


@dataclass(frozen=True)
class Compared:
    """Matched scores, their percentiles (0 to 100) and how far they agree."""

    pair: Matched
    one: Floats
    other: Floats
    agreement: Agreement


def two_scorings(run: Run, store: ScoreStore, scorer: str) -> None:
    """The whole view: which other scoring, at what budget, scatter and overlaps."""
    others = [name for name in run.scorings() if name != store.name]
    if not others:
        st.markdown(
            "This run is scored once. Score it again under another name, with another text "
            "(prompt or response) or another set of heads, to see here whether both choose the "
            "same samples."
        )
        link_to("runs", "Score again", icon=":material/play_circle:", stage="Score and draw")
        return
    name, share = _controls(store, others)
    try:
        second = cached_scores.open_store(run, name)
        if second is None:
            raise UserError(f"The scoring {name} has no finished part yet.")
        if scorer not in second.scorers:
            raise UserError(f"The scoring {name} has no score {scorer}.")
        seen = _compared(store, second, scorer, share)
    except UserError as error:
        st.text(str(error))
        if len(others) > 1:
            st.caption("Another scoring may be of the same samples.")
        return
    with st.container(key="grid2_two_scorings"):
        left, right = st.columns([6, 5], gap="large")
    with left:
        _scatter(seen, scorer, share, (store.name, name))
    with right:
        _words(seen.agreement, store.name, name)


def _controls(store: ScoreStore, others: list[str]) -> tuple[str, float]:
    with st.container(horizontal=True, vertical_alignment="bottom", key="against_bar"):
        if st.session_state.get("against") not in others:
            st.session_state.pop("against", None)
        name = st.selectbox(
            f"{inline(store.name)} ({inline(describe(store.settings))}) against",
            others,
            key="against",
            bind="query-params",
            width=340,
            format_func=lambda other: f"{other} ({describe(store.run.scoring(other))})",
        )
        share = st.number_input(
            "Drawn, % of the rows", 0.1, 50.0, 100 * DEFAULT_FRACTION, 1.0, key="against_share",
            bind="query-params", format="%g", width=170,
        )  # fmt: skip
    return str(name), share / 100


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASH)
def _compared(one: ScoreStore, other: ScoreStore, scorer: str, share: float) -> Compared:
    ids = [s.table(["id"]).column(0).combine_chunks() for s in (one, other)]
    scores = [cached_scores.numbers(s, scorer) for s in (one, other)]
    pair = matched(ids[0], scores[0], ids[1], scores[1])
    most = max(len(pair.ids) - 1, 1)
    placed = [100 * (ranks(values) - 1) / most for values in (pair.one, pair.other)]
    return Compared(pair, placed[0], placed[1], agreement(pair, share, TEMPERATURES))


def _scatter(seen: Compared, scorer: str, share: float, names: tuple[str, str]) -> None:
    total = len(seen.pair.ids)
    rows = np.linspace(0, total - 1, min(POINTS, total)).round().astype(np.int64)
    ids = [str(i) for i in seen.pair.ids[rows]]
    scores = (seen.pair.one[rows], seen.pair.other[rows])
    columns = [named_apart(name, ("id",), "the scorings") for name in names]
    event = show_figure(
        percentiles(
            seen.one[rows], seen.other[rows], scores, ids, share, theme(), names=names
        ),
        key="two_scorings",
        data=lambda: pd.DataFrame(
            {"id": seen.pair.ids, columns[0]: seen.pair.one, columns[1]: seen.pair.other}
        ),
        alt=f"Samples by their percentile of {scorer} in {names[0]} and in {names[1]}",
        on_select="rerun",
    )  # fmt: skip
    shown = f"{len(rows):,} of {total:,} samples, at even steps" if total > len(rows) else ""
    st.caption(f"{shown}. Click one to read it." if shown else "Click a sample to read it.")
    points = event.selection.points if event else []
    hit = next((p for p in points if "customdata" in p), None)
    if hit is not None:
        chosen = hit["customdata"]
        close()
        go_to("samples", sample=chosen[0] if isinstance(chosen, list) else chosen)


def _words(seen: Agreement, one: str, other: str) -> None:
    """What the figure comes to: the rank correlation, and a table of overlaps."""
    part = f", on {seen.rank.used:,} of them" if seen.rank.sampled else ""
    st.markdown(
        together(
            f"Spearman **{signed(seen.rank.rho)}** (95 % interval {signed(seen.low)} to "
            f"{signed(seen.high)}, {count(seen.rank.rows, 'sample')} in both{part})."
        )
    )
    for draw in seen.draws:
        st.markdown(together(_sentence(draw, seen, inline(one), inline(other))))
    st.dataframe(
        pd.DataFrame(
            {
                "draw": [_draw_name(draw.temperature) for draw in seen.draws],
                "shared": [percent(draw.shared, 1) for draw in seen.draws],
                "noise": [
                    f"{percent(draw.floor.permuted, 1)} ± {percent(draw.floor.permuted_sd, 1)}"
                    for draw in seen.draws
                ],
                "beyond": [percent(draw.beyond, 1) for draw in seen.draws],
                "chance": [percent(seen.chance, 1) for _ in seen.draws],
            }
        ),
        hide_index=True,
        key="two_scorings_table",
        column_config={
            "draw": "Draw",
            "shared": "Shared",
            "noise": st.column_config.TextColumn(
                "Noise alone",
                help="What a draw of the same seed from permuted scores shares with this one: "
                "mean and standard deviation over 20 permutations. Both draws use one seed and "
                "so share their noise.",
            ),
            "beyond": st.column_config.TextColumn(
                "Beyond noise",
                help="From 0, what the noise alone makes them share, to 100 %, the same rows.",
            ),
            "chance": st.column_config.TextColumn(
                "Chance", help="What two unrelated draws of this size share."
            ),
        },
    )
    if len(seen.draws) < len(TEMPERATURES):
        st.caption("Scores below 0 allow top-k only: a soft draw is not defined for them.")
    st.caption(
        f"Draws of {seen.drawn:,} of {count(seen.rows, 'sample')} with a score in both, seed 0, "
        "before duplicates and lists are taken out."
    )


def _draw_name(temperature: float) -> str:
    return "Top-k" if temperature == 0 else f"Soft, τ = {temperature:g}"


def _sentence(draw: DrawOverlap, seen: Agreement, one: str, other: str) -> str:
    if draw.temperature == 0:
        return (
            f"Of the top {percent(seen.drawn / seen.rows)} by {one}, **{percent(draw.shared)}** "
            f"are also among the top by {other} (chance {percent(seen.chance)})."
        )
    noise = f"{percent(draw.floor.permuted)} ± {percent(draw.floor.permuted_sd)}"
    if draw.beyond_noise:
        return f"Soft draws share **{percent(draw.shared)}**, more than noise alone ({noise})."
    return (
        f"Soft draws share **{percent(draw.shared)}**. Noise alone makes them share {noise}: at "
        "this temperature nothing shows that the scorings draw alike."
    )
