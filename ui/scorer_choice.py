"""The scorer in view: one choice, in the URL, shared by every page that shows scores."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.query import ScoreStore

MEANING = {
    "variance": "variance over tokens of the attention each receives",
    "raw_variance": "the same without the factor T²; prefers short texts",
    "focus": "variance without the first and special tokens; least driven by length",
    "divergence": "distance from undifferentiated attention",
    "length": "tokens, a baseline",
    "random": "a hash of the id, a baseline",
    "perplexity": "of the response given the prompt, a baseline",
    "ifd": "instruction-following difficulty, a baseline",
}


def choose_scorer(store: ScoreStore, *, label: str = "Score") -> str:
    """The selectbox, at most 220 px wide; falls back to the first scorer that this run has."""
    options = store.scorers
    if st.session_state.get("scorer") not in options:
        st.session_state.pop("scorer", None)
    chosen = st.selectbox(
        label,
        options,
        index=options.index("variance") if "variance" in options else 0,
        key="scorer",
        bind="query-params",
        width=220,
        label_visibility="collapsed",
        help="\n".join(f"- `{name}`: {MEANING[name]}" for name in options if name in MEANING),
    )
    return str(chosen)
