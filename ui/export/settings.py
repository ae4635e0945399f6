"""The settings of a draw: widgets bound to the URL, and the settings they make."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.cluster_records import CLUSTER
from circuitseer_core.runs.clusters import cluster_record
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.review import ReviewState
from circuitseer_core.selection.settings import DEFAULT_FRACTION, SelectionSettings
from ui import cached_scores
from ui.export import dial, lists, removals
from ui.shell import link_to
from ui.widgets.scorer_choice import choose_scorer, default_scorer
from ui.widgets.scoring_choice import view_scoring
from ui.widgets.settings_field import choices


def draw_settings(store: ScoreStore, judged: ReviewState) -> SelectionSettings:
    """Draw all widgets and return their settings. Raises UserError where they contradict."""
    scorer = choose_scorer(store, width="stretch", visible=True)
    options: dict[str, Any] = {"scores": store.name, "scorer": scorer}
    options |= dial.temperature()
    options |= dial.budget(store)
    options["length_control"] = dial.length_control(key="length_control", bind="query-params")
    if "match_lengths" not in options:
        options["stratify"] = st.selectbox(
            "Share of the strata",
            choices(SelectionSettings, "stratify"),
            key="stratify",
            bind="query-params",
            format_func={
                "none": "as drawn",
                "proportional": "as in the pool",
                "equal": "equal for every stratum",
            }.__getitem__,
        )
        if options["stratify"] != "none":
            options["stratify_by"] = _column(store)
    options["seed"] = int(st.number_input("Seed", 0, 2**31 - 1, 0, key="seed", bind="query-params"))
    with st.expander("More: who may be drawn", key="more_settings"):
        if "match_lengths" not in options:
            cap = st.number_input(
                "Most rows from one source", 1, None, None, key="max_per_source",
                bind="query-params", placeholder="no limit",
            )  # fmt: skip
            options["max_per_source"] = None if cap is None else int(cap)
        options["lowest"] = bool(
            st.toggle(
                "Draw the lowest scores instead",
                key="lowest",
                bind="query-params",
                help="Scores are mirrored: for a comparison with what the method leaves out.",
            )
        )
        options |= lists.list_settings(store.run, judged)
        options |= removals.removal_settings(store.run)
    return SelectionSettings.of(**options)


def _column(store: ScoreStore) -> str:
    """The column whose values share the budget: the source, or one of the data's own."""
    clusters = cluster_record(store.run, store.name)
    made = [CLUSTER] if clusters else []
    columns = list(dict.fromkeys(["source", *made, *cached_scores.facets(store)]))
    asked = st.session_state.get("stratify_by")
    if asked is not None and asked not in columns:  # a kept selection's, too varied to be offered
        columns.append(asked)
    chosen = st.selectbox(
        "Shared by the values of",
        columns,
        key="stratify_by",
        bind="query-params",
        help="The source, a column of the data with few different values, or the clusters of the "
        "prompts.",
    )
    label = "The clusters" if clusters else "Group prompts by kind"
    link_to("runs", label, icon=":material/workspaces:", runs_view="Clusters")
    return str(chosen)


def default_settings(store: ScoreStore) -> SelectionSettings:
    """The settings that the page opens with."""
    return SelectionSettings.of(
        scores=store.name, scorer=default_scorer(store), fraction=dial.PERCENT / 100
    )


def load(run: Run, kept: SelectionSettings) -> None:
    """Put a kept selection's settings into the widgets (a callback)."""
    state, settings = st.session_state, kept.model_dump()
    state["temperature"] = float(kept.temperature)
    state["by_ess"] = kept.target_ess is not None
    if kept.target_ess is not None:
        state["target_ess"] = round(100 * kept.target_ess, 4)
    units = {"match_lengths": dial.LENGTHS, "count": "Rows", "tokens": "Tokens"}
    unit = next((name for name in units if settings[name] is not None), None)
    state["budget"] = units[unit] if unit else dial.BUDGETS[0]
    if unit is None:
        state["budget_percent"] = round(100 * (kept.fraction or DEFAULT_FRACTION), 4)
    else:
        state[unit if unit == "match_lengths" else f"budget_{unit}"] = settings[unit]
    state["token_field"] = kept.token_field
    state["length_control"] = kept.length_control != "none"
    for name in ("stratify", "stratify_by", "seed", "max_per_source", "lowest", "scorer"):
        state[name] = settings[name]
    lists.load(run, settings)
    removals.load(settings)
    state["selection_name"] = kept.name
    view_scoring(run, kept.scores)
