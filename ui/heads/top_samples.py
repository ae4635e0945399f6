"""The scored samples on which a head's reading is highest, where single heads were read."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.browse.readings import top_by_reading
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import HEAD_FAMILIES
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent, plain
from ui import cached_scores
from ui.shell import link_to
from ui.widgets.markdown import inline
from ui.widgets.view_choice import choose_one

SAMPLES = 6
NAMES = {
    "first": "First token",
    "focus": "Focus",
    "divergence": "Divergence",
    "entropy": "Entropy",
    "distance": "Distance",
}


def top_samples(run: Run, scoring: str, head: Head) -> None:
    """The highest readings with links to their samples; nothing where this head was not read."""
    store = cached_scores.open_store(run, scoring)
    if store is None or head not in store.settings.feature_heads:
        return
    st.markdown("**Samples on which it reads highest**")
    family = choose_one("By", HEAD_FAMILIES, "head_reading", format_func=NAMES.__getitem__)
    try:
        top = _top(store, head, family)
    except UserError as error:
        st.text(str(error))
        return
    if top.empty:
        st.caption("No row of this scoring carries readings.")
        return
    for row in top.itertuples():
        value = _as_read(family, float(row.reading))
        label = f"{inline(str(row.id))}: {value}, {count(int(row.n_tokens), 'token')}"
        link_to("samples", label, sample=str(row.id))
    st.caption(
        f"Of {count(int(top['rows'].iloc[0]), 'row')} that carry readings of single heads. "
        "Readings grow or fall with length too."
    )


def _as_read(family: str, reading: float) -> str:
    """A reading as people read it: what is kept as a logarithm undone."""
    if family == "first":
        return f"{percent(math.exp(reading), 1)} on the first token"
    if family in ("focus", "divergence"):
        return f"{family} {plain(math.expm1(reading), 3)}"
    if family == "entropy":
        return f"mean entropy {plain(reading, 3)} nats"
    return f"looks back {plain(reading, 3)} tokens"


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=cached_scores.HASH)
def _top(store: ScoreStore, head: Head, family: str) -> pd.DataFrame:
    return top_by_reading(store, head, family, SAMPLES)
