"""Comparison arms: drawn as a job into the run's own folder, listed, and handed out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.arms.build import summary
from circuitseer_core.arms.kinds import ARMS
from circuitseer_core.arms.record import ArmsRecord, arms_archive, read_arms, run_arms
from circuitseer_core.arms.settings import DEFAULT_SHARE, ArmsSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs import commands, jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_steps import rebuilt
from circuitseer_core.wording import count
from ui import cached_scores
from ui.export import dial
from ui.widgets import wishes
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.widgets.scorer_choice import default_scorer
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.settings_field import KEEP, whole_number
from ui.words import ago, free_name

TITLE = "The subsets that this draw has to beat"


@wishes.answered("arms")
def card(run: Run, can_run: bool) -> None:
    """The sets of arms that the run has, and the form for another."""
    scoring = scoring_in_view(run)
    if scoring is None:
        return
    with st.container(border=True, key="card_evidence_arms"):
        st.markdown(f"**{TITLE}**")
        st.caption(
            "The draw and its rivals at one budget: uniform, of the same lengths, top and bottom, "
            "by random heads … Each is written with a manifest and verified, with settings files "
            "for TRL, Axolotl and LLaMA-Factory. A training study compares models trained on them."
        )
        folders = run_arms(run)
        for folder in folders:
            _set(folder)
        _form(run, scoring, [folder.name for folder in folders], can_run)


def _set(folder: Path) -> None:
    """One set of arms; what cannot be read is said in its place."""
    try:
        record = read_arms(folder)
    except UserError as error:
        st.text(str(error))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(literal(_words(folder.name, record)), width="content")
        st.space("stretch")
        st.download_button(
            "Download",
            data=partial(arms_archive, folder),
            file_name=f"{folder.name}-arms.zip",
            mime="application/zip",
            on_click="ignore",
            icon=":material/download:",
            key=f"arms_zip_{folder.name}",
        )
    table = summary(record)
    st.dataframe(
        table[[name for name in COLUMNS if name in table]],
        hide_index=True,
        height="content" if len(table) < 10 else 360,
        placeholder="–",
        key=f"arms_{folder.name}",
        alt=f"Arms of {folder.name} with their sizes and what they share with the soft draw",
        column_config=COLUMNS,
    )


COLUMNS = {
    "label": st.column_config.TextColumn("Arm"),
    "rows": st.column_config.NumberColumn("Rows", format="localized"),
    "tokens": st.column_config.NumberColumn("Tokens", format="localized"),
    "median_tokens": st.column_config.NumberColumn("Median tokens", format="localized"),
    "mean_score": st.column_config.NumberColumn("Mean score", format="%.4g"),
    "shared_with_soft": st.column_config.NumberColumn(
        "Shared with soft", format="percent", help="Rows that the soft draw of its seed took too"
    ),
    "shared_floor": st.column_config.NumberColumn(
        "By chance", format="percent", help="What the uniform draw of that seed shares with it"
    ),
}


def _words(name: str, record: ArmsRecord) -> str:
    asked = record.settings
    budget = ", ".join(f"{value:,} {unit}" for unit, value in record.budget.items())
    budget = budget.replace("count", "rows")
    drawn = f"{asked.scorer} of the scoring “{asked.scores}”"
    if asked.temperature != 1:
        drawn += f" at {dial.dial_label(asked.temperature)}"
    if asked.length_control != "none":
        drawn += ", length out"
    return (
        f"{name}: {count(len(record.arms), 'arm')} of {budget}, by {drawn}, {ago(record.created)}"
    )


def _form(run: Run, scoring: str, taken: list[str], can_run: bool) -> None:
    """Name, options and the button; nothing is ever written over: a name is taken once."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="arms_bar"):
        name = st.text_input(
            "Keep them as", free_name(scoring, taken), key=f"arms_name_{run.path}", width=190
        ).strip()
        with st.popover("Options", icon=":material/tune:", type="tertiary", key="arms_options"):
            values = _values(run, scoring)
        st.button(
            "Draw the arms",
            icon=":material/play_arrow:",
            key="arms",
            disabled=not can_run,
            on_click=wishes.leave,
            args=["arms"],
        )
    try:
        settings = commands.checked(ArmsSettings, **values)
        step = [*commands.step("arms", run.path, settings), "--out", name]
        if name in taken:
            raise UserError(f"there are arms named {name} already: take another name")
        typed = rebuilt([step], run.path)[0]
        if wishes.granted("arms"):
            jobs.start(run.path, [step])
            st.rerun()
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    show_commands("The command this runs", commands.as_typed(typed), key="arms_command")


def _values(run: Run, scoring: str) -> dict[str, Any]:
    """The settings typed; an empty field is the class's default."""
    store = cached_scores.open_store(run, scoring)
    others = [name for name in run.scorings() if name != scoring]
    values: dict[str, Any] = {"scores": scoring}
    if store is not None:
        values["scorer"] = st.selectbox(
            "Score", store.scorers, store.scorers.index(default_scorer(store)),
            key=f"arms_scorer_{run.path}_{scoring}",
            help=ArmsSettings.model_fields["scorer"].description,
        )  # fmt: skip
    values["temperature"] = float(st.select_slider(
        "Temperature", dial.DIAL[1:-1], value=1.0, key="arms_temperature",
        format_func=dial.dial_label, help=ArmsSettings.model_fields["temperature"].description,
        **KEEP,
    ))  # fmt: skip
    values["length_control"] = dial.length_control(key="arms_length_control", **KEEP)
    values |= _budget()
    values["seeds"] = whole_number(
        ArmsSettings, "seeds", "Draws of each", key="arms_seeds", most=100
    )
    values["seed"] = whole_number(
        ArmsSettings, "seed", "First seed", key="arms_seed", most=2**31 - 1
    )
    values["arms"] = st.multiselect(
        "Arms", list(ARMS), key="arms_kinds", placeholder="all that this scoring has", **KEEP
    )
    if others:
        values["other_scores"] = st.selectbox(
            "Another scoring", others, index=None, key="arms_other",
            help=ArmsSettings.model_fields["other_scores"].description,
        )  # fmt: skip
    model = st.text_input(
        "Model to train", key="arms_model", placeholder=inline(run.model.id or ""), **KEEP
    )
    return values | ({"target_model": model.strip()} if model.strip() else {})


def _budget() -> dict[str, float | int]:
    """The budget of every arm: a share of the pool's tokens, rows, or tokens."""
    unit = st.segmented_control(
        "Budget", dial.BUDGETS, default=dial.BUDGETS[0], required=True, key="arms_budget",
        width="stretch", help="Of every arm. With a budget of rows, arms of longer texts are "
        "trained on more tokens.", **KEEP,
    )  # fmt: skip
    if unit == "Rows":
        return {"rows": int(st.number_input("Rows", 1, None, 1000, 100, key="arms_rows", **KEEP))}
    if unit == "Tokens":
        tokens = st.number_input("Tokens", 1, None, 1_000_000, 10_000, key="arms_tokens", **KEEP)
        return {"tokens": int(tokens)}
    share = st.number_input(
        "Budget (% of the pool's tokens)", 0.1, 99.0, 100 * DEFAULT_SHARE, 1.0,
        key="arms_share", format="%g", **KEEP,
    )  # fmt: skip
    return {"share": share / 100}
