"""Near-duplicates and benchmark questions: the widgets, and what was removed and for what."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.removals import removal_lines
from circuitseer_core.selection.settings import SelectionSettings
from ui.export.draw import Shown
from ui.export.lists import list_field
from ui.widgets.settings_field import bounds, proposed

_SHOWN = 500


def removal_settings(run: Run) -> dict[str, Any]:
    """The widgets, and the settings they make."""
    index = st.number_input(
        "Remove near-duplicates from a Jaccard index of",
        *bounds(SelectionSettings, "near_duplicates"), None, 0.05, key="near_duplicates",
        bind="query-params", placeholder="off; 0.8 is usual",
        help="Of prompts whose runs of five words overlap at least so much one stays. MinHash "
        "finds the candidates, the exact index decides.",
    )  # fmt: skip
    benchmarks = list_field(
        run, "decontaminate", "Keep out what benchmarks ask",
        help="Rows whose prompt or response shares so many words in a row with a question of these "
        "files. Shorter questions are compared whole.",
    )  # fmt: skip
    chosen: dict[str, Any] = {
        "near_duplicates": None if index is None else float(index),
        "decontaminate": benchmarks,
    }
    if benchmarks:
        words = st.number_input(
            "Words in a row", *bounds(SelectionSettings, "run_words"),
            proposed(SelectionSettings, "run_words"), key="run_words", bind="query-params",
        )  # fmt: skip
        chosen["run_words"] = int(words)
    return chosen


def load(settings: dict[str, Any]) -> None:
    """Put a kept selection's settings into the widgets (from a callback)."""
    state = st.session_state
    state["near_duplicates"] = settings["near_duplicates"]
    state["decontaminate"] = "\n".join(settings["decontaminate"])
    state["run_words"] = settings["run_words"]


def removed_rows(drawn: Shown) -> None:
    """What went and for what, folded away; nothing where neither was asked for."""
    record = drawn.removals
    if record is None:
        return
    st.text("\n".join(f"{line}." for line in removal_lines(record)))
    if not len(drawn.removed):
        return
    with st.expander("Removed rows", key="removed_rows"):
        st.dataframe(
            drawn.removed.head(_SHOWN),
            hide_index=True,
            key="removed",
            column_config={
                "matched": st.column_config.TextColumn(
                    "for", help="The benchmark's question, or the row that stays."
                ),
                "similarity": st.column_config.NumberColumn(
                    "similarity",
                    format="%.3f",
                    help="Jaccard index of the two prompts; of a benchmark's question the share of "
                    "the text's runs of words that benchmarks have.",
                ),
                "found_in": st.column_config.TextColumn("found in"),
                "evidence": st.column_config.TextColumn("words in common", width="large"),
            },
        )
        if len(drawn.removed) > _SHOWN:
            st.caption(
                f"The first {_SHOWN} of {len(drawn.removed):,}. All are in removed.parquet of a "
                "kept selection."
            )
