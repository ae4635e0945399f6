"""Who may be drawn: duplicates, marks made by eye, lists of ids or texts, the probe's samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.data.specs import FORMATS
from circuitseer_core.data.uploads import store
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import lost_lines
from circuitseer_core.runs.review_lines import REVIEW_FILE
from circuitseer_core.selection.review import ReviewState
from ui import judgements
from ui.widgets import refused

UPLOADS = ["txt", *(ending.removeprefix(".") for ending in FORMATS)]
_RULES = (("exclude", "Never take"), ("include", "Always take"))


def list_settings(run: Run, judged: ReviewState) -> dict[str, Any]:
    """The widgets, folded away, and the settings they make."""
    chosen: dict[str, Any] = {}
    remove = st.toggle(
        "Remove exact duplicates", True, key="duplicates", bind="query-params",
        help="Of prompts that are the same but for case and spacing one row stays.",
    )  # fmt: skip
    by_eye = st.toggle(
        f"Honour pins ({len(judged.pins)}) and drops ({len(judged.drops)})", True, key="by_eye",
        bind="query-params",
    )  # fmt: skip
    if judged.lost:
        st.caption(f":orange[:material/warning:] {REVIEW_FILE}: {lost_lines(judged.lost)}.")
    chosen |= {"duplicates": "remove" if remove else "keep", "review": bool(by_eye)}
    without_probe = run.probe_path.is_file() and st.toggle(
        "Leave the probe's samples out", key="without_probe", bind="query-params",
        help="The heads were chosen on them. Found by id, and by text where the probe's text is "
        "the prompt.",
    )  # fmt: skip
    for rule, label in _RULES:
        chosen[rule] = list_field(
            run, rule, label,
            help="A text file names one id or one text a line; a data file names rows by id and by "
            "prompt (the same but for case and spacing).",
        )  # fmt: skip
    if without_probe:
        chosen["exclude"] = (*chosen["exclude"], str(run.probe_path))
    tags = sorted({tag for tags_of_one in judged.tags.values() for tag in tags_of_one})
    if tags:
        for rule, label in _RULES:
            option = f"{rule}_tags"
            picked = st.session_state.get(option)
            if picked:
                st.session_state[option] = [tag for tag in picked if tag in tags]
            chosen[option] = tuple(
                st.multiselect(f"{label} samples tagged", tags, key=option, bind="query-params")
            )
    return chosen


def load(run: Run, settings: dict[str, Any]) -> None:
    """Put a kept selection's lists into the widgets (from a callback)."""
    state = st.session_state
    state["duplicates"] = settings["duplicates"] == "remove"
    state["by_eye"] = settings["review"]
    probe = str(run.probe_path)
    excluded = list(settings["exclude"])
    state["without_probe"] = excluded[-1:] == [probe]
    state["exclude"] = "\n".join(excluded[:-1] if state["without_probe"] else excluded)
    state["include"] = "\n".join(settings["include"])
    state["exclude_tags"] = list(settings["exclude_tags"])
    state["include_tags"] = list(settings["include_tags"])


def keep_upload(run: Run, name: str, content: bytes) -> Path:
    """Where an uploaded list is kept in the run; another content never replaces a file.

    Raises UserError where it is too large.
    """
    return store(run.path / "lists", name, content)


def list_field(run: Run, rule: str, label: str, *, help: str) -> tuple[str, ...]:
    """Files, Hub datasets or (of lists) ids, one a line; a file may also be uploaded."""
    ids = rule in dict(_RULES)
    text = st.text_area(
        f"{label}: files{' or ids' if ids else ''}, one a line", key=rule, bind="query-params",
        height=68,
        placeholder="bench.jsonl" + ("\ngsm8k/17" if ids else "\nhf:openai/gsm8k:main:test"),
        help=help,
    )  # fmt: skip
    if judgements.writable(run):

        def add() -> None:
            file = st.session_state.get(f"{rule}_upload")
            if file is not None:
                with refused.as_line():
                    kept = str(keep_upload(run, file.name, bytes(file.getbuffer())))
                    lines = _lines(st.session_state.get(rule) or "")
                    st.session_state[rule] = "\n".join(dict.fromkeys([*lines, kept]))

        st.file_uploader(
            f"Upload a list: {label.lower()}", UPLOADS, key=f"{rule}_upload", on_change=add,
            label_visibility="collapsed",
        )  # fmt: skip
    return tuple(_lines(text or ""))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
