"""The settings of a draw: widgets whose values survive page changes, and the settings they make."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.selection.review import ReviewState
from circuitseer_core.selection.settings import DEFAULT_FRACTION, SelectionSettings
from ui.widgets.scorer_choice import choose_scorer, default_scorer
from ui.widgets.settings_field import choices

INF = float("inf")
DIAL = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0,
        1.25, 1.6, 2.0, 2.5, 3.3, 5.0, 7.0, 10.0, 20.0, INF)  # fmt: skip
"""Stops of the temperature dial: τ = 1 stands in the middle."""
BUDGETS = ("Share", "Rows", "Tokens")
PERCENT = 100 * DEFAULT_FRACTION
"""Share of the rows that the page opens with, the paper's."""


def draw_settings(store: ScoreStore, judged: ReviewState, name: str) -> SelectionSettings:
    """Draw all widgets and return their settings. Raises UserError where they contradict."""
    scorer = choose_scorer(store, width="stretch", visible=True)
    options: dict[str, Any] = {"scores": store.name, "scorer": scorer, "name": name}
    options |= _temperature()
    options |= _budget(store)
    options["length_control"] = (
        "within-bins"
        if st.toggle(
            "Take length out",
            key="length_control",
            persist_state="session",
            help="Within ten bins of equal token counts every sample takes the score that its rank "
            "has in the whole pool: the draw stays as strong, and only length is gone.",
        )
        else "none"
    )
    options["stratify"] = st.selectbox(
        "Share of the sources",
        choices(SelectionSettings, "stratify"),
        key="stratify",
        persist_state="session",
        format_func={
            "none": "as drawn",
            "proportional": "as in the pool",
            "equal": "equal for every source",
        }.__getitem__,
    )
    options["seed"] = int(
        st.number_input("Seed", 0, 2**31 - 1, 0, key="seed", persist_state="session")
    )
    with st.expander("More", key="more_settings"):
        options |= _more(judged)
    return SelectionSettings.of(**options)


def default_settings(store: ScoreStore) -> SelectionSettings:
    """The settings that the page opens with."""
    return SelectionSettings.of(
        scores=store.name, scorer=default_scorer(store), fraction=PERCENT / 100
    )


def set_dial(value: float) -> None:
    """Turn the dial (a callback)."""
    st.session_state["temperature"] = value
    st.session_state["by_ess"] = False


def load(settings: dict[str, Any]) -> None:
    """Put a kept selection's settings into the widgets (a callback)."""
    state = st.session_state
    tau = float(settings["temperature"])
    state["temperature"] = min(DIAL, key=lambda stop: abs(_place(stop) - _place(tau)))
    state["by_ess"] = settings["target_ess"] is not None
    if settings["target_ess"] is not None:
        state["target_ess"] = round(100 * settings["target_ess"])
    budgets = [b for b in ("count", "tokens") if settings[b] is not None]
    state["budget"] = {"count": "Rows", "tokens": "Tokens"}[budgets[0]] if budgets else "Share"
    if budgets:
        state[f"budget_{budgets[0]}"] = settings[budgets[0]]
    else:
        state["budget_percent"] = 100 * (settings["fraction"] or DEFAULT_FRACTION)
    state["token_field"] = settings["token_field"]
    state["length_control"] = settings["length_control"] != "none"
    state["stratify"], state["seed"] = settings["stratify"], settings["seed"]
    state["max_per_source"] = settings["max_per_source"]
    state["duplicates"] = settings["duplicates"] == "remove"
    state["by_eye"] = settings["review"]
    state["exclude_tags"] = list(settings["exclude_tags"])
    state["include_tags"] = list(settings["include_tags"])
    state["scorer"] = settings["scorer"]


def dial_label(value: float) -> str:
    """A stop of the dial in words."""
    known = {0.0: "τ = 0, top-k", 1.0: "τ = 1, soft", INF: "τ = ∞, uniform"}
    return known.get(value, f"τ = {value:g}")


def _place(tau: float) -> float:
    return 1.0 if tau == INF else tau / (1 + tau)


def _temperature() -> dict[str, Any]:
    by_ess = bool(st.session_state.get("by_ess"))
    if by_ess:
        share = st.slider(
            "Effective sample size, % of the pool", 1, 100, 50, key="target_ess",
            persist_state="session",
        )  # fmt: skip
        chosen: dict[str, Any] = {"target_ess": share / 100}
    else:
        tau = st.select_slider(
            "Temperature", DIAL, value=1.0, key="temperature", format_func=dial_label,
            persist_state="session",
            help="Chance ∝ score^(1/τ), without replacement. τ = 0 takes the highest scores, τ = 1 "
            "is soft sampling, τ = ∞ ignores the score.",
        )  # fmt: skip
        chosen = {"temperature": float(tau)}
        with st.container(horizontal=True, horizontal_alignment="distribute", key="dial_marks"):
            for label, stop in (("top-k", 0.0), ("soft", 1.0), ("uniform", INF)):
                st.button(
                    label,
                    key=f"dial_{label}",
                    type="tertiary",
                    on_click=set_dial,
                    args=[stop],
                    disabled=tau == stop,
                )
    st.toggle(
        "Set it by effective sample size",
        key="by_ess",
        persist_state="session",
        help="Find the temperature at which the draw is as spread out as this share of the pool.",
    )
    return chosen


def _budget(store: ScoreStore) -> dict[str, Any]:
    unit = st.segmented_control(
        "Budget", BUDGETS, default=BUDGETS[0], required=True, key="budget", width="stretch",
        persist_state="session",
    )  # fmt: skip
    if unit == "Rows":
        rows = st.number_input(
            "Rows", 1, store.rows, max(1, store.rows // 10), key="budget_count",
            persist_state="session", label_visibility="collapsed",
        )  # fmt: skip
        return {"count": int(rows)}
    if unit == "Tokens":
        tokens = st.number_input(
            "Tokens", 1, None, 1_000_000, 10_000, key="budget_tokens",
            persist_state="session", label_visibility="collapsed",
        )  # fmt: skip
        counted = st.selectbox(
            "Counted", choices(SelectionSettings, "token_field"), key="token_field",
            persist_state="session",
            format_func={
                "prompt": "prompt tokens",
                "response": "response tokens",
                "both": "prompt and response tokens",
            }.__getitem__,
            label_visibility="collapsed",
        )  # fmt: skip
        return {"tokens": int(tokens), "token_field": counted}
    percent = st.number_input(
        "Percent of the rows", 0.01, 100.0, PERCENT, 1.0, key="budget_percent", format="%g",
        persist_state="session", label_visibility="collapsed", icon=":material/percent:",
    )  # fmt: skip
    return {"fraction": round(percent / 100, 6)}


def _more(judged: ReviewState) -> dict[str, Any]:
    cap = st.number_input(
        "Most rows from one source", 1, None, None, key="max_per_source",
        persist_state="session", placeholder="no limit",
    )  # fmt: skip
    remove = st.toggle(
        "Remove exact duplicates", True, key="duplicates", persist_state="session",
        help="Of prompts that are the same but for case and spacing one row stays.",
    )  # fmt: skip
    by_eye = st.toggle(
        f"Honour pins ({len(judged.pins)}) and drops ({len(judged.drops)})", True, key="by_eye",
        persist_state="session",
    )  # fmt: skip
    tags = sorted({tag for tags_of_one in judged.tags.values() for tag in tags_of_one})
    chosen: dict[str, Any] = {}
    if tags:
        for option, label in (("include_tags", "Always take"), ("exclude_tags", "Never take")):
            picked = st.session_state.get(option)
            if picked:
                st.session_state[option] = [tag for tag in picked if tag in tags]
            chosen[option] = tuple(
                st.multiselect(f"{label} samples tagged", tags, key=option, persist_state="session")
            )
    return chosen | {
        "max_per_source": None if cap is None else int(cap),
        "duplicates": "remove" if remove else "keep",
        "review": bool(by_eye),
    }
