"""What to distrust in a run: the sentence that sums it up, its warnings, what to do about each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.files import stamp
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.catalogue import signatures_of
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.signatures.summary import summary
from circuitseer_core.wording import count
from ui.overview.remedies import remedy
from ui.shell import link_to
from ui.widgets.markdown import inline, prose
from ui.widgets.scoring_choice import scoring_in_view

_LOOKS: dict[str, tuple[str, Any]] = {"warn": ("warning", "orange"), "info": ("info", "blue")}


def signatures(run: Run, scoring: str | None) -> tuple[str, list[Signature]]:
    """The run in a sentence and its failure signatures (cached until one of its files changes)."""
    return _signatures(str(run.path), scoring, _stamp(run))


@st.cache_data(max_entries=16, show_spinner=False)
def _signatures(
    path: str, scoring: str | None, mark: tuple[Any, ...]
) -> tuple[str, list[Signature]]:
    facts = Evidence(Run.open(path), scoring)
    checked = signatures_of(facts)
    return summary(facts, checked), checked


def _stamp(run: Run) -> tuple[tuple[str, int, int], ...]:
    """Every result file with size and time: heads, scorings, selections, training studies."""
    files = [run.path / "run.json", run.heads_path]
    for pattern in (
        "scores/*/settings.json", "selections/*/selection.json", "experiments/training*"
    ):  # fmt: skip
        files += sorted(run.path.glob(pattern))
    return stamp([file for file in files if file.is_file()])


def show_findings(run: Run, sentence: Any, cards: Any) -> None:
    """Write the sentence and the warnings into two places of the page."""
    if not run.heads_path.is_file():
        sentence.caption("Nothing computed yet that could be summed up or checked.")
        return
    with cards, st.spinner("Checking the run for known failures …"):
        words, checked = signatures(run, scoring_in_view(run))
    sentence.markdown(prose(words))
    with cards:
        st.subheader("Warnings", anchor=False)
        warned = [s for s in checked if s.severity == "warn"]
        for signature in warned:
            _card(run, signature)
        if not warned:
            st.caption("No check warns.")
        _folded([s for s in checked if s.severity != "warn"])


def _card(run: Run, signature: Signature) -> None:
    icon, colour = _LOOKS[signature.severity]
    help_ = remedy(run, str(st.session_state.get("run_key")), signature)
    with st.container(border=True, key=f"card_{signature.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":{colour}[:material/{icon}:] **{inline(signature.title)}**", width="content"
            )
            st.space("stretch")
            with st.container(horizontal=True, width="content"):  # wraps as one
                if help_ is not None:
                    link_to(help_.page, help_.label, icon=":material/build:", **help_.params)
                link_to(signature.page, "Show", icon=":material/arrow_forward:")
        st.markdown(prose(signature.text))


def _folded(rest: list[Signature]) -> None:
    """Notes and what is fine, one line each, folded away."""
    if not rest:
        return
    notes = sum(s.severity == "info" for s in rest)
    parts = [count(notes, "note")] if notes else []
    if len(rest) > notes:
        parts.append(f"{count(len(rest) - notes, 'check')} without a finding")
    with st.expander(" and ".join(parts), icon=":material/check:", key="card_fine"):
        for signature in rest:
            st.markdown(f"**{inline(signature.title)}.** {prose(signature.text)}")
