"""Two runs side by side: their maps, and for the same architecture Spearman and overlap."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from circuitseer_core.correlation import spearman
from circuitseer_core.errors import UserError
from circuitseer_core.figures.head_detail import pair_heads, run_scatter, same_shape
from circuitseer_core.figures.heads import importance_map
from circuitseer_core.runs.folder import Run
from ui.heads import tables
from ui.heads.panel import Choice, colour_scale, select
from ui.shell import folding_columns, run_label, run_path
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline, literal
from ui.words import correlation, short_model


def compare_with(run: Run, heads: pd.DataFrame, choice: Choice, other_key: str) -> None:
    """Draw the comparison of ``run`` with the run behind ``other_key``."""
    try:
        other = Run.open(run_path(other_key))
        if not other.heads_path.is_file():
            st.caption("That run has no heads yet.")
            return
        other_heads = tables.heads(other)
    except UserError as error:
        st.text(str(error))
        return
    rank_by = choice.rank_by if "specificity" in other_heads else "importance"
    kept, problem = select(other_heads, choice.rule, rank_by)
    if problem:
        st.warning(literal(f"{run_label(other_key)}: {problem}"), icon=":material/info:")
    if rank_by != choice.rank_by:
        st.caption("The other run has no contrast set: its set is that of highest importance.")
    names = (run_label(st.session_state["run_key"]), run_label(other_key))
    if same_shape(heads, other_heads):
        _same_architecture(heads, other_heads, (choice.heads, kept), names)
    else:
        st.caption("The models differ in shape: heads have no counterparts, so only maps compare.")
    columns = folding_columns(2, "compare", gap="large")
    sides = ((run, heads, choice.heads), (other, other_heads, kept))
    for column, name, (side, table, outlined) in zip(columns, names, sides, strict=True):
        with column:
            model = side.record.model.id if side.record.model else "unknown model"
            st.markdown(f"**{inline(name)}**")
            st.caption(f"{inline(short_model(model))}, {len(table):,} heads")
            show_figure(
                importance_map(table, kept=outlined, scale=colour_scale(), theme=theme()),
                key=f"compare_{columns.index(column)}",
                data=table,
                name=f"head_importance_{name}",
            )


def _same_architecture(
    heads: pd.DataFrame,
    other_heads: pd.DataFrame,
    kept: tuple[list[tuple[int, int]], list[tuple[int, int]]],
    names: tuple[str, str],
) -> None:
    pairs = pair_heads(heads, other_heads, kept, names)
    agreed = spearman(*(pairs[name].to_numpy() for name in ("importance_a", "importance_b")))
    shared = len(set(kept[0]) & set(kept[1]))
    smaller = max(1, min(len(kept[0]), len(kept[1])))
    with st.container(horizontal=True, key="compare_facts"):
        st.metric(
            "Spearman of all heads", correlation(agreed), width="content",
            help="Heads that a race took out count with their pilot's estimates.",
        )  # fmt: skip
        st.metric("Heads in both sets", f"{shared} of {smaller}", width="content")
    show_figure(
        run_scatter(pairs, names, theme=theme()),
        key="run_scatter",
        data=pairs,
        alt=f"Importance of the same heads in {names[0]} and {names[1]}",
    )
