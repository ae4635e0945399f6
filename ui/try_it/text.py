"""The text to try heads on: a scored sample, found by search and turned over, or one's own."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from ui import cached_scores
from ui.widgets import refused
from ui.widgets.markdown import literal
from ui.widgets.scorer_choice import default_scorer
from ui.widgets.scoring_choice import scoring_in_view

EXAMPLE = (
    "Tom has 12 apples and buys 30 more. How many apples does he have?",
    "Tom has 12 + 30 = 42 apples.",
)
"""Where a run has no scored texts to start from."""


@dataclass(frozen=True)
class Text:
    """What heads are tried on; without a ``response`` the loss is the prompt's own."""

    prompt: str
    response: str


def choose_text(run: Run) -> Text:
    """The picker over scored samples, where there are texts, and the two boxes it fills."""
    store = cached_scores.open_store(run, scoring_in_view(run))
    if store is not None and store.has_texts:
        _picker(run, store)
    elif _key(run) != st.session_state.get("try_text_of"):
        _fill(*EXAMPLE)
        st.session_state["try_text_of"] = _key(run)
    prompt = st.text_area("Prompt", key="try_prompt", height=130, persist_state="session")
    response = st.text_area(
        "Response",
        key="try_response",
        height=130,
        persist_state="session",
        help="The loss is that of the response given the prompt. Left empty, it is the prompt's.",
    )
    return Text((prompt or "").strip(), (response or "").strip())


def _picker(run: Run, store: ScoreStore) -> None:
    """Search, previous, next; what is in view fills the boxes."""
    state = st.session_state
    if state.get("try_text_of") != _key(run):
        _start(run, store)
    with st.container(horizontal=True, vertical_alignment="center", key="try_picker"):
        st.text_input(
            "Search samples",
            placeholder="Search the scored samples",
            key="try_search",
            icon=":material/search:",
            label_visibility="collapsed",
            persist_state="session",
            on_change=_turned,
            args=[store, None],
        )
        total = cached_scores.count(store, _rows())
        at = min(int(state.get("try_at", 0)), max(total - 1, 0))
        st.button(
            "Previous sample", icon=":material/chevron_left:", key="try_previous", type="tertiary",
            help="Previous sample", disabled=at < 1, on_click=_turned, args=[store, -1],
        )  # fmt: skip
        place = f"{at + 1:,} of {total:,}" if total else "none matches"
        st.caption(place, width="content")
        st.button(
            "Next sample", icon=":material/chevron_right:", key="try_next", type="tertiary",
            help="Next sample", disabled=at + 1 >= total, on_click=_turned, args=[store, 1],
        )  # fmt: skip
    if sample := state.get("try_sample"):
        edited = (state.get("try_prompt"), state.get("try_response")) != state.get("try_filled")
        st.caption(literal(sample) + (" (edited)" if edited else "") + ", highest score first")


def _turned(store: ScoreStore, step: int | None) -> None:
    """Turn over by ``step``, or go to the first that matches a new search (a callback)."""
    at = 0 if step is None else max(int(st.session_state.get("try_at", 0)) + step, 0)
    with refused.as_line():
        _turn_to(store, at)


def _start(run: Run, store: ScoreStore) -> None:
    """The sample that a link names, else the one of highest score."""
    st.session_state["try_text_of"] = _key(run)
    st.session_state["try_search"] = ""
    asked = st.query_params.get("sample")
    if asked:
        try:
            rank = store.rank(asked, default_scorer(store))[0]
            st.session_state["try_at"] = max(rank - 1, 0)
            _show(store, asked)
            return
        except UserError:
            pass  # no sample of this run
    _turn_to(store, 0)


def _turn_to(store: ScoreStore, at: int) -> None:
    """Fill the boxes with the sample at a place among those that match."""
    page = cached_scores.page(store, _rows(), default_scorer(store), True, at, 1)
    if len(page):
        _show(store, str(page["id"].iloc[0]))
    st.session_state["try_at"] = at


def _show(store: ScoreStore, sample_id: str) -> None:
    sample = store.sample(sample_id)
    st.session_state["try_sample"] = sample_id
    st.query_params["sample"] = sample_id
    _fill(sample.prompt or sample.text, sample.response or "")


def _fill(prompt: str, response: str) -> None:
    st.session_state["try_prompt"] = prompt
    st.session_state["try_response"] = response
    st.session_state["try_filled"] = (prompt, response)


def _rows() -> Filter:
    return Filter(text=(st.session_state.get("try_search") or "").strip())


def _key(run: Run) -> str:
    return str(run.path)
