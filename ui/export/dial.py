"""The dial and the budget of a draw: how strongly the score counts, and how much is taken."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.selection.settings import DEFAULT_FRACTION, LengthControl, SelectionSettings
from ui.widgets.settings_field import choices

INF = float("inf")
DIAL = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0,
        1.25, 1.6, 2.0, 2.5, 3.3, 5.0, 7.0, 10.0, 20.0, INF)  # fmt: skip
"""Stops of the temperature dial: τ = 1 stands in the middle."""
BUDGETS = ("Share", "Rows", "Tokens")
LENGTHS = "Lengths"
PERCENT = 100 * DEFAULT_FRACTION
"""Share of the rows that the page opens with, the paper's."""
_NAMED = {0.0: "τ = 0, top-k", 1.0: "τ = 1, soft", INF: "τ = ∞, uniform"}
_PREFIX = "τ = "


def set_dial(value: float) -> None:
    """Turn the dial (a callback)."""
    st.session_state["temperature"] = value
    st.session_state["by_ess"] = False


def dial_label(value: float) -> str:
    """A stop of the dial in words."""
    return _NAMED.get(value, f"{_PREFIX}{value:.10g}")


def stops() -> list[float]:
    """The dial's stops, and the temperature of a link or a kept draw that lies between them."""
    asked = {st.session_state.get("temperature"), _from_label(st.query_params.get("temperature"))}
    return sorted({*DIAL, *(float(tau) for tau in asked if tau is not None)})


def temperature() -> dict[str, Any]:
    """The dial, or the effective size that it is to be turned to: ``temperature``, ``target_ess``.

    Both are bound to the URL, as every setting of a draw is.
    """
    if st.session_state.get("by_ess") or st.query_params.get("by_ess") == "true":
        share = st.slider(
            "Effective sample size, % of the pool", 1.0, 100.0, 50.0, 1.0, key="target_ess",
            bind="query-params", format="%g",
        )  # fmt: skip
        chosen: dict[str, Any] = {"target_ess": round(share / 100, 6)}
    else:
        tau = st.select_slider(
            "Temperature", stops(), value=1.0, key="temperature", format_func=dial_label,
            bind="query-params",
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
        bind="query-params",
        help="Find the temperature at which the draw is as spread out as this share of the pool.",
    )
    return chosen


def length_control(*, key: str, **kept: Any) -> LengthControl:
    """Whether length is taken out of the scores; ``kept``: how the widget's state is."""
    asked = st.toggle(
        "Take length out",
        key=key,
        help="Within ten bins of equal token counts every sample takes the score that its rank "
        "has in the whole pool: the draw stays as strong, and only length is gone.",
        **kept,
    )
    return "within-bins" if asked else "none"


def budget(store: ScoreStore) -> dict[str, Any]:
    """How much is taken: a share, rows, tokens, or the lengths of a kept selection."""
    kept = store.run.selections()
    unit = st.segmented_control(
        "Budget", (*BUDGETS, LENGTHS) if kept else BUDGETS, default=BUDGETS[0], required=True,
        key="budget", width="stretch", bind="query-params",
        help="Lengths: as many rows of every length as a kept selection has." if kept else None,
    )  # fmt: skip
    if unit == LENGTHS:
        return {"match_lengths": st.selectbox(
            "As long as", kept, key="match_lengths", bind="query-params",
            label_visibility="collapsed",
        )}  # fmt: skip
    if unit == "Rows":
        rows = st.number_input(
            "Rows", 1, store.rows, max(1, store.rows // 10), key="budget_count",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
        return {"count": int(rows)}
    if unit == "Tokens":
        return _tokens()
    percent = st.number_input(
        "Percent of the rows", 0.01, 100.0, PERCENT, 1.0, key="budget_percent", format="%g",
        bind="query-params", label_visibility="collapsed", icon=":material/percent:",
    )  # fmt: skip
    return {"fraction": round(percent / 100, 6)}


def _tokens() -> dict[str, Any]:
    tokens = st.number_input(
        "Tokens", 1, None, 1_000_000, 10_000, key="budget_tokens",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    counted = st.selectbox(
        "Counted", choices(SelectionSettings, "token_field"), key="token_field",
        bind="query-params",
        format_func={
            "prompt": "prompt tokens",
            "response": "response tokens",
            "both": "prompt and response tokens",
        }.__getitem__,
        label_visibility="collapsed",
    )  # fmt: skip
    return {"tokens": int(tokens), "token_field": counted}


def _from_label(label: str | None) -> float | None:
    """The temperature that a link names; None where it names none."""
    text = (label or "").removeprefix(_PREFIX)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1e6 else None
