"""The scoring in view: one choice for all pages, in the URL (``?scoring=NAME``) beside the run.

A run may be scored more than once: prompt against response, one set of heads against another. The
first scoring (``default`` where there is one) needs no parameter; another one is named in the URL
and remembered for as long as its run stays in view.
"""

from __future__ import annotations

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord, newest_of
from circuitseer_core.wording import count
from ui.widgets.markdown import inline, literal

PARAM = "scoring"
_TEXTS = {"prompt": "prompts", "response": "responses", "full": "prompts and responses"}


def scoring_in_view(run: Run) -> str | None:
    """The name of the scoring in view; None where the run has none."""
    names = run.scorings()
    remembered = st.session_state.get(PARAM)
    wanted = st.query_params.get(PARAM)
    if wanted not in names and remembered and remembered[0] == str(run.path):
        wanted = remembered[1]
    return wanted if wanted in names else names[0] if names else None


def drawn_in_view(run: Run) -> SelectionRecord | None:
    """The newest selection from the scoring in view."""
    return newest_of(run.selection_records().values(), scoring_in_view(run))


def view_scoring(run: Run, name: str) -> None:
    """Make a scoring the one in view (also from a callback)."""
    st.session_state[PARAM] = (str(run.path), name)
    if name in run.scorings()[1:]:
        st.query_params[PARAM] = name
    else:
        st.query_params.pop(PARAM, None)


def choose_scoring(run: Run | None) -> None:
    """Settle which scoring is in view and draw the choice, where there is one, into the sidebar."""
    name = scoring_in_view(run) if run is not None else None
    if run is None or name is None:
        st.query_params.pop(PARAM, None)
        return
    wanted = st.query_params.get(PARAM)
    if wanted and wanted != name:
        st.toast(f"This run has no scores named {inline(wanted)}.", icon=":material/info:")
    view_scoring(run, name)
    names = run.scorings()
    if len(names) < 2:
        return
    st.session_state["scoring_choice"] = name
    with st.sidebar:
        st.selectbox(
            "Scores",
            names,
            key="scoring_choice",
            on_change=lambda: view_scoring(run, st.session_state["scoring_choice"]),
            help="Which scoring of this run all pages show and draw from.",
        )
        try:
            st.caption(literal(describe(run.scoring(name))))
        except UserError as error:
            st.caption(literal(error))


def describe(scoring: ScoringRecord) -> str:
    """What was scored, in a few words: "responses, 14 heads"."""
    what = _TEXTS.get(scoring.text, scoring.text)
    return f"{what}, {count(len(scoring.heads), 'head')}"
