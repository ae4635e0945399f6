"""The scorer in view: one choice, in the URL, shared by every page that shows scores."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from ui.widgets.markdown import inline

MEANING = {
    "variance": "variance over tokens of the attention each receives",
    "raw_variance": "the same without the factor T²; prefers short texts",
    "focus": "variance without the first and special tokens; least driven by length",
    "divergence": "distance from undifferentiated attention",
    "length": "tokens, a baseline",
    "random": "a hash of the id, a baseline",
    "perplexity": "of the response given the prompt, a baseline",
    "ifd": "instruction-following difficulty, a baseline",
    "calibrated": "beyond the paper: rank by a fit to a measure of your own",
    "head_influence": "loss without the reasoning heads relative to clean (AttentionInfluence)",
}


def default_scorer(store: ScoreStore) -> str:
    """The score that the pages open with."""
    return "variance" if "variance" in store.scorers else store.scorers[0]


def choose_scorer(
    store: ScoreStore, *, width: int | Literal["stretch"] = 200, visible: bool = False
) -> str:
    """The selectbox; falls back to ``variance`` where this run has not the one in the URL."""
    options = store.scorers
    if st.session_state.get("scorer") not in options:
        st.session_state.pop("scorer", None)
    chosen = st.selectbox(
        "Score",
        options,
        index=options.index(default_scorer(store)),
        key="scorer",
        bind="query-params",
        width=width,
        label_visibility="visible" if visible else "collapsed",
        help="\n".join(f"- {inline(name)}: {MEANING[name]}" for name in options if name in MEANING),
    )
    return str(chosen)
