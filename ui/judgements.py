"""What has been judged by eye in the run in view: reading, writing, and a place to write to.

The bundled demo is part of the program and stays as it is: judging its samples, or drawing from
it, first makes a copy of it among the user's own runs. A run from elsewhere is read alone until it
is adopted: what is written into it could go through a link to somewhere else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import streamlit as st

from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import DEMO_RUN, Run, runs_home
from circuitseer_core.selection import review
from circuitseer_core.selection.review import ReviewState
from ui.shell import open_run
from ui.widgets import refused
from ui.widgets.adoption import FOREIGN, adoption_button, offer_adoption


def state(run: Run) -> ReviewState:
    """Pins, drops, tags and verdicts of the run, read anew."""
    return review.load(run.path)


def marks(judged: ReviewState, kind: str) -> set[str]:
    """Ids that carry a mark: ``pinned``, ``dropped``, ``tagged``, or ``any`` of them."""
    sets = {"pinned": judged.pins, "dropped": judged.drops, "tagged": set(judged.tags)}
    return set().union(*sets.values()) if kind == "any" else sets[kind]


def badge(judged: ReviewState, sample_id: str) -> str:
    """The marks of one sample in words, "" where there are none."""
    words = [
        word
        for word, ids in (("pinned", judged.pins), ("dropped", judged.drops))
        if sample_id in ids
    ]
    return " · ".join(words + sorted(judged.tags.get(sample_id, ())))


def write(run: Run, entry: Mapping[str, Any]) -> None:
    """Append one judgement (a callback)."""
    with refused.as_line():
        review.append(run.path, entry)


def writable(run: Run) -> bool:
    """Whether judgements, lists and subsets may be kept in this run's folder."""
    return not _is_demo(run) and ownership.is_own(run.path)


def _is_demo(run: Run) -> bool:
    return run.path.resolve() == DEMO_RUN.resolve()


_READ_ONLY = "The bundled demo is read-only. {}"


def offer_copy(run: Run, what: str) -> bool:
    """True where the run can be written to; else one line, a button that copies the demo or adopts
    a run from elsewhere, and False."""
    if writable(run):
        return True
    if not _is_demo(run):
        return offer_adoption(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(_READ_ONLY.format(what), width="content")
        _copy_button(run, "Copy it to my runs")
    return False


def copy_to(run: Run, label: str, what: str) -> None:
    """The button alone, for a row that has no place for the line: that is its tooltip."""
    if not _is_demo(run):
        adoption_button(run, help=FOREIGN)
        return
    _copy_button(run, label, help=_READ_ONLY.format(what))


def _copy_button(run: Run, label: str, help: str | None = None) -> None:
    st.button(
        label,
        icon=":material/content_copy:",
        on_click=_copy,
        args=[run],
        key="copy_demo",
        help=help,
    )


def _copy(run: Run) -> None:
    with refused.as_line():
        home = runs_home()
        home.mkdir(parents=True, exist_ok=True)
        name, number = "demo-copy", 2
        while (home / name).exists():
            name, number = f"demo-copy-{number}", number + 1
        shutil.copytree(run.path, home / name)
        ownership.mark(home / name, made_here=False)
        open_run(name)
