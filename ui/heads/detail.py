"""One head in detail: which one is in view, its numbers and figures, the ways to look closer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.distributions import t95
from circuitseer_core.figures.head_detail import delta_by_source
from circuitseer_core.figures.heads import grid, signed_significant
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent
from ui.heads import role, tables
from ui.heads.panel import Choice, is_top
from ui.shell import folding_columns, link_to
from ui.widgets import live_head
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import together
from ui.widgets.scoring_choice import scoring_in_view


def picked(heads: pd.DataFrame) -> Head:
    """The head in view: from the link or the last click, else the one of rank 1."""
    layers, width = grid(heads).shape
    layer = st.session_state.get("layer", _from_url("layer"))
    head = st.session_state.get("head", _from_url("head"))
    if layer is None or head is None or not (0 <= layer < layers and 0 <= head < width):
        return best(heads)
    return int(layer), int(head)


def best(heads: pd.DataFrame) -> Head:
    """The head of rank 1."""
    row = heads.loc[heads["rank"].idxmin()]
    return int(row["layer"]), int(row["head"])


def _from_url(name: str) -> int | None:
    text = st.query_params.get(name, "")
    return int(text) if text.isdecimal() else None


def pick(layer: int, head: int) -> None:
    """Make a head the one in view (from a callback, before its widgets exist in the run)."""
    st.session_state["layer"], st.session_state["head"] = layer, head


_IN_THE_SET = (
    "How often the head is among as many best ones as are kept, by what they are ranked by, when "
    "the probe's samples are drawn anew, with repeats."
)
_OF_POSITIVE = "This head's share of the rises in loss of all heads, falls left out."


def detail(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """One head: number inputs, its figures, ΔL by source, the way to its attention."""
    layer, head = _inputs(heads)
    row = heads[(heads["layer"] == layer) & (heads["head"] == head)]
    if row.empty:
        st.caption(f"Layer {layer} has no head {head}.")
        return
    _facts(run, heads, row.iloc[0], choice)
    deltas = tables.head_deltas(run, layer, head)
    show_figure(
        delta_by_source(deltas, theme=theme()),
        key="head_deltas",
        data=deltas,
        name=f"delta_loss_L{layer}_H{head}",
        alt=f"ΔL of layer {layer}, head {head} on every probe sample, by source",
    )
    role.what_it_does(run, (layer, head))
    role.where_it_hurts(run, (layer, head), deltas)
    _on_a_sample(run, layer, head)


def _on_a_sample(run: Run, layer: int, head: int) -> None:
    """This head's attention on one scored sample; the model is loaded only if asked for."""
    scoring = scoring_in_view(run)
    if scoring is None or not run.score_parts(scoring):
        return  # none yet: settings.json is there before the first part is
    box = st.expander(
        "This head's attention on a sample",
        icon=":material/grid_on:",
        key="head_sample",
        on_change="rerun",
    )
    if not box.open:
        return
    with box:
        first = tables.first_sample(run)
        sample = st.text_input("Sample id", first, key="head_sample_id", persist_state="session")
        live_head.head_on_sample(run, sample.strip() or first, (layer, head), key="heads")
        link_to("samples", "Open in Samples", icon=":material/arrow_forward:", sample=sample)


def _inputs(heads: pd.DataFrame) -> Head:
    """Number inputs for layer and head: the keyboard's way, and part of the link."""
    layers, width = grid(heads).shape
    layer, head = picked(heads)
    st.session_state["layer"], st.session_state["head"] = layer, head
    first, second = st.columns(2)
    first.number_input("Layer", 0, layers - 1, key="layer", bind="query-params")
    second.number_input("Head", 0, width - 1, key="head", bind="query-params")
    return layer, head


def _facts(run: Run, heads: pd.DataFrame, row: pd.Series, choice: Choice) -> None:
    """Four numbers: ΔL with its interval, rank, bootstrap probability, share of all ΔL > 0."""
    raced_out = bool(row.get("raced_out", False))
    half = float(t95(int(row["n"]))) * row["stderr"]
    table = tables.membership(run, len(choice.heads), choice.rank_by)
    membership = table[(table["layer"] == row["layer"]) & (table["head"] == row["head"])]
    # Where no head raises the loss there is nothing to have a share of.
    positive = heads["importance"].clip(lower=0).sum() or np.nan
    share = _percent(row[["importance"]].clip(lower=0) / positive)
    facts = [
        ("ΔL (nats)", signed_significant(row["importance"], 3), _reach(half), None),
        ("Rank", "–" if raced_out else f"{int(row['rank'])}", f"of {len(heads):,}", None),
        (_membership_label(heads, choice), _percent(membership["probability"]), "of bootstraps",
         _IN_THE_SET),
        ("Of ΔL > 0", share, "of all heads", _OF_POSITIVE),
    ]  # fmt: skip
    columns = folding_columns(4, "head_facts")
    for column, (label, value, note, hint) in zip(columns, facts, strict=True):
        column.metric(label, value, delta=note, delta_color="off", delta_arrow="off", help=hint)
    words = f"±: 95 % interval over {count(int(row['n']), 'probe sample')}."
    if np.isnan(half):
        words = "Of one probe sample: there is no interval."
    if raced_out:
        words += " Raced out on a pilot: an estimate without a rank."
    elif row.get("below_noise", False):
        words += " Below the noise floor of the measurement."
    sink = tables.sink_share(run, int(row["layer"]), int(row["head"]))
    if sink is not None:
        words += f" It leaves {percent(sink)} of its attention on the first token."
    st.caption(together(words))


def _reach(half: float) -> str | None:
    """Half the interval, behind its sign; nothing where it is not known."""
    return None if np.isnan(half) else f"± {half:.2g}"


def _membership_label(heads: pd.DataFrame, choice: Choice) -> str:
    """Of what the bootstraps tell: of the set, or of as many best ones where it is another."""
    return "In the set" if is_top(heads, choice) else f"In the top {len(choice.heads)}"


def _percent(values: pd.Series) -> str:
    """The first value as a percentage, a dash where there is none."""
    value = float(values.iloc[0]) if len(values) else float("nan")
    return "–" if pd.isna(value) else percent(value) if value >= 0.1 else percent(value, 1)
