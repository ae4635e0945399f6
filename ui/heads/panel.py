"""The upper half of the Heads page: the rule for the set, and the map's options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.detection.heads import (
    SHARE,
    finalists,
    head_count,
    head_list,
    lcb_by_chance,
    raced,
    select_heads,
)
from circuitseer_core.detection.settings import ablated
from circuitseer_core.errors import UserError
from circuitseer_core.figures.heads import importance_map
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, plain
from ui.heads import tables
from ui.shell import link_to
from ui.widgets.charts import download_menu, theme
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.view_choice import choose_one

PERCENT = float(100 * Decimal(SHARE))
"""Of all heads, that the page opens with."""
RULES = {"Share": "share", "Count": "count", "Lower bound": "lcb", "Few false": "bh"}


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
            "every head whose 95 % interval lies above 0, each looked at alone; few false keeps "
            "so many of these that at most 5 % of them are false on average (Benjamini and "
            "Hochberg).",
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
    elif rule == "lcb":
        st.caption(
            f"Without any effect {'at most' if raced(heads) else 'about'} "
            f"{plain(lcb_by_chance(heads), 2)} heads would pass the lower bound. “Few false” "
            "corrects for the number of heads."
        )
    return Choice(rule, rank_by, kept)


def is_top(heads: pd.DataFrame, choice: Choice) -> bool:
    """Whether the set is that of the best ones by rank; those beyond their error may not be."""
    best, _ = select(heads, str(len(choice.heads)), choice.rank_by)
    return set(best) == set(choice.heads)


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
        if st.session_state.get("share", PERCENT) > most:
            st.session_state["share"] = most
        percent = st.slider(
            "Share of all heads (%)",
            0.5,
            most,
            min(PERCENT, most),
            0.5,
            key="share",
            bind="query-params",
            format="%.1f",
            width=300,
        )
        return _share(percent)
    if kind == "count":
        default = min(full, head_count(SHARE, total))
        if st.session_state.get("count", default) > full:
            st.session_state["count"] = full
        number = st.number_input(
            "Number of heads", 1, full, default, key="count", bind="query-params", width=160
        )
        return str(int(number))
    return kind


def default_rule(heads: pd.DataFrame) -> str:
    """The rule that the page opens with."""
    return _share(min(PERCENT, _most(heads)))


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
    if tables.TELLS in heads:
        signed_weights = bool((heads[tables.TELLS] < 0).any())
        title = "Weight" if signed_weights else "|weight|"
        values["Tells difficulty"] = (tables.TELLS, title)
    if "specificity" in heads:
        values["Contrast"] = ("contrast_importance", "ΔL (nats)")
        values["Specificity"] = ("specificity", "Δ ratio")
    with st.container(horizontal=True, vertical_alignment="center", key="map_bar"):
        if len(values) > 1:
            name = choose_one("Map of", list(values), "map_value")
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
    return values[name]


def colour_scale() -> str:
    """The colour scale chosen: ``sqrt`` or ``linear``."""
    return "linear" if st.session_state.get("linear_colours") else "sqrt"


def map_footer(run: Run, heads: pd.DataFrame, choice: Choice, column: str, title: str) -> None:
    """What the marks on the map mean, and the download menu with its print version."""
    notes = f"Outlined: {count(len(choice.heads), 'head')} kept. Click a cell, or focus the map "
    notes += "and use the arrow keys and Enter."
    if settings := run.detection.settings:
        notes += f" ΔL: rise in loss {ablated(settings.ablation, settings.epsilon)}."
    raced = int(heads["raced_out"].sum()) if "raced_out" in heads else 0
    if raced:
        notes += f" Faint and hatched: {count(raced, 'head')} raced out on a pilot, estimates only."
    if column == tables.TELLS:
        notes += " Weights of a calibration, per spread of a head's readings (page Calibrate)."
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
    _copies(run, choice)


def commands_with(path: Path, heads: Sequence[Head]) -> str:
    """What takes these heads by name: a single one too, which without its comma is a share."""
    typed = head_list(heads)
    of = ["--run", str(path), "--heads", typed]
    return (
        f'--heads "{typed}"\n\n'
        f"{as_typed(['score', *of, '--name', 'mine', '--data'])} …\n"
        f"{as_typed(['ablate', *of, '--data'])} …"
    )


def _copies(run: Run, choice: Choice) -> None:
    """The set to copy: for the command line, and as Markdown for the Hub; the map as a push."""
    if not choice.heads:
        return
    typed = commands_with(run.path, choice.heads)
    show_commands("This set on the command line", typed, key="heads_typed")
    box = st.expander(
        "This set for the Hub", icon=":material/content_copy:", key="heads_card",
        on_change="rerun",
    )  # fmt: skip
    if not box.open:
        return
    from circuitseer_core.sharing.card import head_set_card

    with box:
        st.caption("For a model's card or a discussion of it. No path of this machine is in it.")
        st.code(head_set_card(run, choice.heads), language="markdown", height=260, wrap_lines=True)
        st.caption("The whole map, as a dataset repository of yours:")
        push = as_typed(["push-heads", "--run", str(run.path), "OWNER/NAME"])
        st.code(push, language="bash", wrap_lines=True)
