"""The upper half of the Heads page: the rule for the set, the map's options, one head in detail."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.detection.heads import finalists, select_heads
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.figures.head_detail import delta_by_source
from circuitseer_core.figures.heads import grid, importance_map, signed
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent
from ui.heads import tables as head_tables
from ui.shell import link_to
from ui.widgets import live_head
from ui.widgets.charts import download_menu, show_figure, theme
from ui.widgets.markdown import inline, literal
from ui.widgets.scoring_choice import scoring_in_view

SHARE = 5.0
"""Per cent of all heads that the paper keeps."""
RULES = {"Share": "share", "Count": "count", "Lower bound": "lcb"}


@dataclass(frozen=True)
class Choice:
    """The set in view: the rule as the command line takes it, and the heads, best first."""

    rule: str
    rank_by: str
    heads: list[Head]


def choose_set(run: Run, heads: pd.DataFrame) -> Choice:
    """The row of controls that says which heads are kept; live, and part of the link."""
    total = len(heads)
    with st.container(horizontal=True, vertical_alignment="bottom", key="rule_bar"):
        kind = st.segmented_control(
            "Keep by",
            list(RULES),
            default="Share",
            required=True,
            key="rule",
            bind="query-params",
            help="Share and count take the heads of highest importance. The lower bound keeps "
            "every head whose 95 % interval lies above 0.",
        )
        rule = _rule(RULES[kind or "Share"], heads)
        rank_by: str | None = None
        if "specificity" in heads:
            rank_by = st.segmented_control(
                "Rank by",
                ["Importance", "Specificity"],
                default="Importance",
                required=True,
                key="rank_by",
                bind="query-params",
                help="Specificity subtracts the effect on the contrast set, each relative to "
                "its clean loss.",
            )
        rank_by = (rank_by or "Importance").lower()
        kept, problem = select(heads, rule, rank_by)
        st.metric("Heads kept", f"{len(kept):,} / {total:,}", width="content")
    if problem:
        st.warning(literal(problem), icon=":material/info:")
    return Choice(rule, rank_by, kept)


def select(heads: pd.DataFrame, rule: str, rank_by: str) -> tuple[list[Head], str | None]:
    """The heads under a rule, or none and the line that says why."""
    try:
        return select_heads(heads, rule, rank_by=rank_by), None
    except UserError as error:
        return [], str(error)


def _rule(kind: str, heads: pd.DataFrame) -> str:
    """The number that goes with the kind of rule, as ``select_heads`` takes it.

    No further than the heads that were measured on the whole probe: a wider set asks for more
    detection, not for a wider slider.
    """
    total, full = len(heads), len(finalists(heads))
    if kind == "share":
        most = _most(heads)
        if st.session_state.get("share", SHARE) > most:
            st.session_state["share"] = most
        percent = st.slider(
            "Share of all heads (%)",
            0.5,
            most,
            min(SHARE, most),
            0.5,
            key="share",
            bind="query-params",
            format="%.1f",
            width=300,
        )
        return _share(percent)
    if kind == "count":
        default = min(full, max(1, -(-total // 20)))
        if st.session_state.get("count", default) > full:
            st.session_state["count"] = full
        number = st.number_input(
            "Number of heads", 1, full, default, key="count", bind="query-params", width=160
        )
        return str(int(number))
    return "lcb"


def default_rule(heads: pd.DataFrame) -> str:
    """The rule that the page opens with."""
    return _share(min(SHARE, _most(heads)))


def _most(heads: pd.DataFrame) -> float:
    """The end of the share's slider, in per cent."""
    return max(1.0, min(50.0, int(200 * len(finalists(heads)) / len(heads)) / 2))


def _share(percent: float) -> str:
    return str(Decimal(str(percent)) / 100)


def stale_notice(run: Run, choice: Choice) -> None:
    """Which set the scores in view were computed with; where it is another, offer to rescore."""
    name = scoring_in_view(run)
    if name is None:
        return
    used = run.scoring(name).heads
    if set(used) == set(choice.heads):
        st.caption(f"The set that the scores “{inline(name)}” were computed with.")
        return
    shared = len(set(used) & set(choice.heads))
    with st.container(horizontal=True, vertical_alignment="center", key="stale"):
        st.caption(
            f"The scores “{inline(name)}” were computed with another set: "
            f"{count(len(used), 'head')}, {shared:,} of them in the set shown here, which changes "
            "nothing until you score again."
        )
        link_to(
            "runs",
            "Rescore with this set",
            icon=":material/refresh:",
            stage="Score and draw",
            heads=choice.rule,
            rank_by=choice.rank_by,
        )


def choose_value(heads: pd.DataFrame) -> tuple[str, str]:
    """What the map shows: the column and its title with unit."""
    values = {"Importance": ("importance", "ΔL (nats)")}
    if "specificity" in heads:
        values["Contrast"] = ("contrast_importance", "ΔL (nats)")
        values["Specificity"] = ("specificity", "Δ ratio")
    with st.container(horizontal=True, vertical_alignment="center", key="map_bar"):
        if len(values) > 1:
            name = st.segmented_control(
                "Map of",
                list(values),
                default="Importance",
                required=True,
                key="map_value",
                label_visibility="collapsed",
                persist_state="session",
            )
        else:
            name = "Importance"
            st.markdown("**Importance by layer and head**")
        st.space("stretch")
        st.toggle(
            "Linear colours",
            key="linear_colours",
            persist_state="session",
            help="Colours follow the signed square root, so that the many small heads stay "
            "visible beside the few large ones. Linear shows the sizes as they are.",
        )
    return values[name or "Importance"]


def colour_scale() -> str:
    """The colour scale chosen: ``sqrt`` or ``linear``."""
    return "linear" if st.session_state.get("linear_colours") else "sqrt"


def map_footer(heads: pd.DataFrame, choice: Choice, column: str, title: str) -> None:
    """What the marks on the map mean, and the download menu with its print version."""
    notes = f"Outlined: the {len(choice.heads)} heads kept. Click a cell, or focus the map and "
    notes += "use the arrow keys and Enter."
    raced = int(heads["raced_out"].sum()) if "raced_out" in heads else 0
    if raced:
        notes += f" Dots: {raced} heads raced out on a pilot, estimates only."
    st.caption(notes)
    scale, look = colour_scale(), theme()
    download_menu(
        lambda: importance_map(
            heads, value=column, title=title, kept=choice.heads, scale=scale, theme=look
        ),
        "head_map",
        heads,
        name="head_importance",
        preview=True,
    )


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


def detail(run: Run, heads: pd.DataFrame, choice: Choice) -> None:
    """One head: number inputs, its figures, ΔL by source, the way to its attention."""
    layer, head = _inputs(heads)
    row = heads[(heads["layer"] == layer) & (heads["head"] == head)]
    if row.empty:
        st.caption(f"Layer {layer} has no head {head}.")
        return
    _facts(run, heads, row.iloc[0], choice)
    deltas = head_tables.head_deltas(run, layer, head)
    show_figure(
        delta_by_source(deltas, theme=theme()),
        key="head_deltas",
        data=deltas,
        name=f"delta_loss_L{layer}_H{head}",
        alt=f"ΔL of layer {layer}, head {head} on every probe sample, by source",
    )
    _on_a_sample(run, layer, head)


def _on_a_sample(run: Run, layer: int, head: int) -> None:
    """This head's attention on one scored sample; the model is loaded only if asked for."""
    if run.stage_state()["score"] == "missing":
        return
    box = st.expander(
        "This head's attention on a sample",
        icon=":material/grid_on:",
        key="head_sample",
        on_change="rerun",
    )
    if not box.open:
        return
    with box:
        first = head_tables.first_sample(run)
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
    table = head_tables.membership(run, len(choice.heads))
    membership = table[(table["layer"] == row["layer"]) & (table["head"] == row["head"])]
    # Where no head raises the loss there is nothing to have a share of.
    positive = heads["importance"].clip(lower=0).sum() or np.nan
    facts = [
        ("ΔL (nats)", signed(row["importance"], 3), f"± {half:.2g}"),
        ("Rank", "–" if raced_out else f"{int(row['rank'])}", f"of {len(heads):,}"),
        ("In the set", _percent(membership["probability"]), "of bootstraps"),
        ("Of positive ΔL", _percent(row[["importance"]].clip(lower=0) / positive), "of all heads"),
    ]
    with st.container(key="head_facts"):
        for column, (label, value, note) in zip(st.columns(4), facts, strict=True):
            column.metric(label, value, delta=note, delta_color="off", delta_arrow="off")
    words = f"95 % interval over {int(row['n'])} probe samples."
    if raced_out:
        words += " Raced out on a pilot: an estimate without a rank."
    elif row.get("below_noise", False):
        words += " Below the noise floor of the measurement."
    sink = head_tables.sink_share(run, int(row["layer"]), int(row["head"]))
    if sink is not None:
        words += f" It leaves {percent(sink)} of its attention on the first token."
    st.caption(words)


def _percent(values: pd.Series) -> str:
    """The first value as a percentage, a dash where there is none."""
    value = float(values.iloc[0]) if len(values) else float("nan")
    return "–" if pd.isna(value) else percent(value) if value >= 0.1 else percent(value, 1)
