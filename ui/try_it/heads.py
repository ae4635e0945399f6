"""The heads to ablate, ticked on the map, typed, or the reasoning set; and the ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.detection.heads import parse_head_list, select_heads
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectOptions
from circuitseer_core.wording import count
from ui.heads import tables
from ui.widgets.charts import theme
from ui.widgets.head_map import head_map
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.settings_field import choices

ABLATION = {
    "uniform": "Uniform: attends to all it may see alike",
    "scaled": "Scaled: its logits times ε",
    "zero": "Zero: puts out nothing",
    "mean": "Mean: its mean output on probe samples",
}


@dataclass(frozen=True)
class How:
    """What is done to the heads, and how many tokens are then written."""

    mode: str
    epsilon: float
    most: int


def choose_heads(run: Run) -> list[Head] | None:
    """The heads as they are typed or ticked, in order; None where the text names none that is."""
    table = tables.heads(run)
    reasoning = reasoning_set(run, table)
    state = st.session_state
    if state.get("try_heads_of") != str(run.path):
        state["try_heads_of"] = str(run.path)
        state["try_heads"] = st.query_params.get("ablate") or written(reasoning)
    with st.container(horizontal=True, vertical_alignment="bottom", key="try_heads_bar"):
        st.text_input(
            "Heads to ablate",
            key="try_heads",
            persist_state="session",
            placeholder="18.8, 7.2",
            help="layer.head, separated by commas; or tick them on the map.",
        )
        st.button(
            f"Reasoning set ({len(reasoning)})", key="try_reasoning",
            on_click=_write, args=[reasoning],
        )  # fmt: skip
        st.button("None", key="try_none", on_click=_write, args=[[]])
    heads, problem = _read(table)
    if problem:
        st.text(problem)
    head_map(
        table,
        key="try_map",
        theme=theme(),
        kept=heads,
        on_pick=_tick,
    )
    st.caption(f"Outlined: {count(len(heads), 'head')} to ablate. A click adds or removes one.")
    st.query_params["ablate"] = written(heads)
    return None if problem else heads


def choose_ablation(run: Run) -> How:
    """What takes a head's place, and the length of the continuation.

    At first what the run's heads were measured with: else the numbers here would be of something
    else than those of the Heads page.
    """
    state = st.session_state
    if state.get("try_how_of") != str(run.path):
        state["try_how_of"] = str(run.path)
        state["try_ablation"], state["try_epsilon"] = own_ablation(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="try_how"):
        mode = st.selectbox(
            "Ablation",
            choices(DetectSettings, "ablation"),
            format_func=ABLATION.__getitem__,
            key="try_ablation",
            persist_state="session",
            width=330,
            help="At first the one by which this run measured its heads.",
        )
        epsilon = 0.0
        if mode == "scaled":
            epsilon = st.number_input(
                "ε", 0.0, 1.0, step=0.05, key="try_epsilon", persist_state="session", width=110,
                format="%g", help="0 is uniform attention, 1 the model's own.",
            )  # fmt: skip
        most = st.number_input(
            "Tokens to write", 0, 200, 24, 8, key="try_most", persist_state="session", width=150
        )
    return How(str(mode), float(epsilon), int(most))


def own_ablation(run: Run) -> tuple[str, float]:
    """The ablation and the ε by which the run measured its heads; 0.1 where it had no ε."""
    settings = run.detection.settings or DetectOptions()
    known = settings.ablation in choices(DetectSettings, "ablation")
    mode = settings.ablation if known else DetectOptions().ablation
    return mode, min(max(float(settings.epsilon), 0.0), 1.0) if mode == "scaled" else 0.1


def reasoning_set(run: Run, table: pd.DataFrame) -> list[Head]:
    """The heads that the run's scores were computed with, else those of the default share."""
    scoring = scoring_in_view(run)
    return list(run.scoring(scoring).heads) if scoring else select_heads(table)


def written(heads: Sequence[Head]) -> str:
    """Heads as they are typed: "18.8, 7.2"."""
    return ", ".join(f"{layer}.{head}" for layer, head in heads)


def _read(table: pd.DataFrame) -> tuple[list[Head], str | None]:
    """The heads typed, without those that the model lacks; and the line that says what is wrong."""
    try:
        heads = parse_head_list(st.session_state.get("try_heads") or "")
    except UserError as error:
        return [], str(error)
    known = set(zip(table["layer"], table["head"], strict=True))
    unknown = [head for head in heads if head not in known]
    problem = f"This model has no head {written(unknown)}." if unknown else None
    return [head for head in heads if head in known], problem


def _write(heads: Sequence[Head]) -> None:
    st.session_state["try_heads"] = written(heads)


def _tick(layer: int, head: int) -> None:
    """Add the head clicked on the map, or take it out (a callback)."""
    try:
        heads = parse_head_list(st.session_state.get("try_heads") or "")
    except UserError:
        heads = []
    pick = (layer, head)
    _write([h for h in heads if h != pick] if pick in heads else [*heads, pick])
