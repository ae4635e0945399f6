"""What a calibration came to: the answer, the comparison, the rows, and the heads that carry it."""

from __future__ import annotations

import shlex

import pandas as pd
import streamlit as st

from circuitseer_core.calibration.names import OTHER, OWN, PAIRS, POOLED, WITHIN
from circuitseer_core.calibration.report import answers_by, heads_tell, table
from circuitseer_core.calibration.scorer import fits_hash
from circuitseer_core.checksums import is_damaged
from circuitseer_core.errors import UserError
from circuitseer_core.figures import calibration as figures
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, plain
from ui.heads.detail import pick
from ui.heads.tables import weight_frame
from ui.shell import folding_columns, link_to
from ui.widgets.charts import show_figure, theme
from ui.widgets.head_map import head_map
from ui.widgets.markdown import inline, literal, prose
from ui.widgets.view_choice import choose_one

JUDGED = {
    POOLED: "all rows",
    WITHIN: "within sources",
    OWN: "each source alone",
    OTHER: "fitted to the others",
    PAIRS: "pairs",
}


def show(run: Run, record: CalibrationRecord) -> None:
    """Everything about one calibration."""
    answer, *rest = record.verdict or ["Nothing was judged."]
    box = st.success if heads_tell(record) else st.warning
    box(prose(answer), icon=":material/fact_check:")
    if rest:
        st.markdown("\n".join(f"- {prose(sentence)}" for sentence in rest))
    _scorer(run, record)
    left, right = folding_columns([1.2, 1], "calibration", gap="large")
    with left:
        _comparison(record)
    with right:
        _rows(run, record)
    _weights(run, record)
    st.subheader("All numbers", anchor=False)
    st.dataframe(table(record), hide_index=True, key="calibration_table")


def _scorer(run: Run, record: CalibrationRecord) -> None:
    """Where its scorer is, or how to get it."""
    applied = {name: _applied(run, name) for name in run.scorings()}
    carrying = [n for n, one in applied.items() if one == (record.name, fits_hash(record))]
    earlier = [n for n, one in applied.items() if one and one[0] == record.name]
    if carrying:
        names = ", ".join(f"“{inline(name)}”" for name in carrying)
        st.caption(f"Its scorer `calibrated` is in {names}, wherever a score is chosen.")
        link_to("samples", "Look at the samples", icon=":material/notes:", scorer="calibrated")
    else:
        if earlier:
            names = ", ".join(f"“{inline(name)}”" for name in earlier)
            st.caption(f"The scorer `calibrated` in {names} is of an earlier fit of this name.")
        st.caption(
            "To draw by it, score under another name with this option; that reads every head again."
        )
        st.code(f"--calibration {shlex.quote(record.name)}", language="bash", wrap_lines=True)


def _applied(run: Run, scoring: str) -> tuple[str, str] | None:
    """Name and hash of the calibration that a scoring carries the scorer of."""
    try:
        applied = run.scoring(scoring).calibration
    except UserError:  # whoever opens it is told
        return None
    return (applied.name, applied.sha256) if applied else None


def _comparison(record: CalibrationRecord) -> None:
    kinds = list(dict.fromkeys(e.judged for e in record.estimates))
    if not kinds:
        return
    st.markdown("**Beside what might do as well**")
    answer = answers_by(record)
    judged = answer if answer in kinds else kinds[0]
    if len(kinds) > 1:
        judged = choose_one(
            "Judged",
            kinds,
            "calibration_judged",
            first=judged,
            wrap=True,
            format_func=lambda kind: literal(JUDGED.get(kind, kind)),
        )
    lines = pd.DataFrame(
        [
            {
                "name": e.name + (f", {e.source}" if e.source else ""),
                "value": e.value,
                "low": e.low,
                "high": e.high,
            }
            for e in record.estimates
            if e.judged == judged
        ]
    )
    pairs = judged == PAIRS
    axis = "share of pairs decided rightly" if pairs else "rank correlation at fixed length"
    show_figure(
        figures.comparison(
            lines,
            "heads",
            axis=f"{axis}<br>with 95 % intervals",
            chance=0.5 if pairs else 0.0,
            theme=theme(),
        ),
        key="calibration_comparison",
        data=lines,
        alt="Heads beside everything that might do as well, with intervals",
    )


def _rows(run: Run, record: CalibrationRecord) -> None:
    path = run.calibration_dir(record.name) / "predictions.parquet"
    if not path.is_file():
        return
    try:
        predictions = None if is_damaged(path) else pd.read_parquet(path)
    except (OSError, ValueError):
        predictions = None
    if predictions is None:
        st.caption("The predictions of single rows cannot be read: fit again.")
        return
    if "target" not in predictions:
        st.caption(f"{len(predictions):,} decided pairs; a pair is no point of a scatter.")
        return
    st.markdown("**Every row, by a fit that did not see it**")
    show_figure(
        figures.scatter(predictions, record.target.name, record.target.levels, theme=theme()),
        key="calibration_rows",
        data=predictions,
        alt="Out-of-fold rank of every row beside its target",
    )


def _weights(run: Run, record: CalibrationRecord) -> None:
    """Which heads carry it, on the map, and how often folds agreed."""
    if not record.heads or record.model is None:
        return
    st.subheader("Which heads carry it", anchor=False)
    weights = weight_frame(record)
    shared = {(h.layer, h.head) for h in record.heads} & set(record.reasoning_heads)
    sparse = record.settings.heads_at_most
    if sparse:
        chance = len(record.heads) * len(record.reasoning_heads) / max(1, len(weights))
        st.caption(
            f"At most {count(sparse, 'head')} a fit. In any: {len(record.heads):,}; of these "
            f"{count(len(shared), 'reasoning head')} ({plain(chance)} by chance). Outlined: the "
            "reasoning heads."
        )
    else:
        st.caption(
            "Every head has a weight, per spread of its readings. Outlined: the reasoning heads."
        )
    head_map(
        weights,
        key="calibration_map",
        theme=theme(),
        value="weight",
        title="Weight" if (weights["weight"] < 0).any() else "|weight|",
        kept=record.reasoning_heads,
        on_pick=pick,
    )
    st.dataframe(
        weights[weights["weight"] != 0].sort_values("weight", key=abs, ascending=False).head(50),
        hide_index=True,
        key="calibration_heads",
        column_config={
            "layer": "Layer",
            "head": "Head",
            "weight": st.column_config.NumberColumn("Weight", format="%+.4f"),
            "folds": st.column_config.NumberColumn("Share of folds", format="%.2f"),
        },
    )
