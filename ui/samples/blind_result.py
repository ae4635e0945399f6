"""What batches of blind review came to: agreement by stratum, and beside other scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from circuitseer_core.browse.filters import one_of, quoted
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.calibration.names import MIN_PAIRS
from circuitseer_core.errors import UserError
from circuitseer_core.figures.review import agreement_lines
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.review_records import ReviewBatch
from circuitseer_core.selection.agreement import (
    Agreement,
    MeanAgreement,
    agreement,
    batch_table,
    beside,
    by_stratum,
    mean_agreement,
    to_json,
)
from circuitseer_core.selection.review import DECIDED, ReviewState
from circuitseer_core.spreadsheets import to_csv
from circuitseer_core.wording import count, percent
from ui import cached_scores
from ui.shell import folding_columns, link_to
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline, together

RANDOM_HEADS = "random heads"
_SIDES = {"left": "A", "right": "B", "tie": "no difference", "skip": "skipped", "": "not judged"}


def results(run: Run, judged: ReviewState) -> None:
    """The batch chosen (the latest, to begin with), in full; nothing where none is at its end."""
    over = [b for b in judged.batches.values() if not judged.is_open(b)]
    if over:
        batch = _choose(over)
        table = batch_table(batch, judged)
        _result(batch, table, judged)
        left, right = folding_columns(2, "review_result", gap="medium")
        with left:
            _strata(batch, table, over, judged)
        with right:
            _others(run, batch, table)
        _pairs(run, batch, table, judged)
    _offer_fit(judged)


def _choose(over: list[ReviewBatch]) -> ReviewBatch:
    names = {b.batch: f"Batch {b.batch}, {b.scorer}, {count(len(b.pairs), 'pair')}" for b in over}
    with st.container(horizontal=True, vertical_alignment="center", key="heading_review"):
        st.subheader("Agreement with the score", anchor=False, width="content")
        st.space("stretch")
        if len(over) > 1:
            chosen = st.selectbox(
                "Batch", list(reversed(names)), format_func=names.__getitem__, key="review_batch",
                persist_state="session", label_visibility="collapsed", width=280,
            )  # fmt: skip
            return next(b for b in over if b.batch == chosen)
    return over[-1]


def _result(batch: ReviewBatch, table: pd.DataFrame, judged: ReviewState) -> None:
    """The answer in words."""
    whole = agreement(table[table["choice"] != ""])
    named = inline(batch.scorer) + (f" of “{inline(batch.scoring)}”" if _named(batch) else "")
    done = len(judged.of_batch(batch))
    early = "" if done == len(batch.pairs) else f"Ended after {done} of {len(batch.pairs)} pairs. "
    if not whole.decided:
        st.markdown(f"{early}No pair was decided, so nothing can be said of {named}.")
        return
    low, high = whole.interval
    st.markdown(
        together(
            f"{early}In **{percent(whole.rate)}** of {count(whole.decided, 'decided pair')} you "
            f"and {named} preferred the same sample; 95 % interval {percent(low)} to "
            f"{percent(high)} (Wilson). {reading(whole)} Ties: {whole.ties}; skipped: "
            f"{whole.skipped}."
        )
    )


def reading(agreed: Agreement) -> str:
    """The agreement against chance, in words."""
    low, high = agreed.interval
    coins = f"coins come this far from 50 % in {percent(agreed.chance)} of such batches"
    if low > 0.5:
        return f"Better than chance: {coins}."
    if high < 0.5:
        return f"Worse than chance, the score prefers the easier samples: {coins}."
    return f"Not told apart from chance: {coins}."


def _named(batch: ReviewBatch) -> bool:
    return batch.scoring != "default"


def _strata(
    batch: ReviewBatch, table: pd.DataFrame, over: list[ReviewBatch], judged: ReviewState
) -> None:
    lines = [("All pairs", agreement(table[table["choice"] != ""]))]
    same = [b for b in over if (b.scorer, b.scoring) == (batch.scorer, batch.scoring)]
    if len(same) > 1:
        together = pd.concat([batch_table(b, judged) for b in same], ignore_index=True)
        every = agreement(together[together["choice"] != ""])
        lines.append((f"All {len(same)} batches of this score", every))
    words = {"source": "", "length": "length: ", "gap": "gap: "}
    lines += [(words[kind] + name, agreed) for kind, name, agreed in by_stratum(table)]
    st.markdown("**By stratum**")
    _figure(lines, "agreement", "Agreement rate by stratum with intervals against chance")


def _others(run: Run, batch: ReviewBatch, table: pd.DataFrame) -> None:
    """The same verdicts against every other score: does this one see more than its rivals?"""
    scores = _scores(run, batch, table)
    if scores is None:
        return
    controls = control_columns(batch.scorer, scores.columns)
    names = [c for c in scores.columns if c not in (batch.scorer, *controls)]

    def score_of(sample: str, scorer: str) -> float:
        return float(scores[scorer].get(sample, math.nan))

    agreements = beside(table, names, score_of)
    own = agreement(table[table["choice"] != ""])
    lines: list[tuple[str, Agreement | MeanAgreement]] = [(batch.scorer, own)]
    lines += [(n, a) for n, a in agreements.items() if a.decided]
    random = mean_agreement(beside(table, controls, score_of).values())
    if random.draws:
        lines.append((f"{RANDOM_HEADS}, mean of {count(len(random.draws), 'draw')}", random))
    st.markdown("**The same verdicts against other scores**")
    _figure(lines, "agreement_others", "Agreement of the same verdicts with every score")


def _scores(run: Run, batch: ReviewBatch, table: pd.DataFrame) -> pd.DataFrame | None:
    """Every score of the batch's samples by id, random heads' included; None without them."""
    try:
        store = cached_scores.open_store(run, batch.scoring)
        if store is None or batch.scorer not in store.columns:
            return None
        return _read(store, batch, [*table["left"], *table["right"]])
    except UserError:
        return None


def _read(store: ScoreStore, batch: ReviewBatch, ids: list[str]) -> pd.DataFrame:
    controls = store.controls(batch.scorer)
    listed = ", ".join(quoted(c) for c in [*store.scorers, *controls])
    rows = store.frame(f"SELECT id, {listed} FROM samples WHERE {one_of('id', ids)}")
    return rows.set_index("id").astype(float)


def _figure(lines: Sequence[tuple[str, Agreement | MeanAgreement]], key: str, alt: str) -> None:
    frame = pd.DataFrame(
        [
            {
                "name": name,
                "rate": agreed.rate,
                "low": agreed.interval[0],
                "high": agreed.interval[1],
                "agreed": agreed.agreed,
                "decided": agreed.decided,
                "ties": agreed.ties,
            }
            for name, agreed in lines
        ]
    )
    show_figure(agreement_lines(frame, theme()), key=key, data=frame, alt=alt)


def _pairs(run: Run, batch: ReviewBatch, table: pd.DataFrame, judged: ReviewState) -> None:
    """Every pair with both opinions, and the batch as files."""
    with st.expander("Every pair", key="review_table_box"):
        agrees = table["agrees"].map({True: "agrees", False: "differs"}).fillna("")
        shown = table.assign(choice=table["choice"].map(_SIDES), agrees=agrees)
        st.dataframe(
            shown,
            hide_index=True,
            key="review_table",
            column_order=["pair", "choice", "agrees", "gap", *shown.columns[1:9]],
            column_config={
                "pair": st.column_config.NumberColumn("Pair", width="small"),
                "left": "A",
                "right": "B",
                "source": "Source",
                "length": "Length",
                "left_tokens": "A tokens",
                "right_tokens": "B tokens",
                "left_score": st.column_config.NumberColumn("A score", format="%.4g"),
                "right_score": st.column_config.NumberColumn("B score", format="%.4g"),
                "gap": st.column_config.NumberColumn("Gap, percentiles", format="%.1f"),
                "choice": "You said",
                "agrees": "The score",
            },
        )
    name = f"{run.name}-review-{batch.batch}"
    with st.container(horizontal=True, key="review_files"):
        for kind, mime, data in (
            ("CSV", "text/csv", lambda: to_csv(table)),
            (
                "JSON",
                "application/json",
                lambda: to_json(batch, judged, _names(run)),
            ),
        ):
            st.download_button(
                f"{kind} of this batch",
                data=data,
                file_name=f"{name}.{kind.lower()}",
                mime=mime,
                on_click="ignore",
                icon=":material/download:",
                type="tertiary",
                key=f"review_{kind}",
            )


def _names(run: Run) -> dict[str, str]:
    model = run.record.model
    return {"run": run.name} | ({"model": model.id} if model is not None else {})


def _offer_fit(judged: ReviewState) -> None:
    """Once there are enough verdicts: heads can be fitted to them."""
    decided = int(judged.finished_verdicts()["choice"].isin(DECIDED).sum())
    if decided >= MIN_PAIRS:
        st.caption(f"{decided} pairs are decided: the heads can be fitted to what you see.")
        link_to("calibrate", "Fit to the verdicts", icon=":material/tune:")
