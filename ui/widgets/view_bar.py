"""The row at the head of a page about scores: which view is in sight, and by which score."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from ui.widgets.scorer_choice import choose_scorer
from ui.widgets.view_choice import choose_view

View = Callable[[Run, ScoreStore, str], None]
"""Draws one view of a page for a run, one of its scorings and a scorer."""


def view_bar(store: ScoreStore, views: Mapping[str, View], key: str) -> tuple[View, str]:
    """Draw the row; the view and the scorer that were chosen.

    ``key``: of the choice of views, in the link.
    """
    with st.container(horizontal=True, vertical_alignment="center", key="view_bar"):
        view = choose_view(list(views), key)
        st.space("stretch")
        scorer = choose_scorer(store)
    return views[view], scorer
