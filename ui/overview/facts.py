"""What the Overview says about a run: four numbers, three steps, its warnings, the other runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import percent
from ui.runs import form as run_form
from ui.shell import link_to
from ui.widgets.scoring_choice import scoring_in_view
from ui.words import ago, duration, short_model


@dataclass(frozen=True)
class Step:
    """One stage: its state, what it found in one line, and the page or stage to go on with."""

    title: str
    page: str
    state: str
    text: str
    facts: list[str] = field(default_factory=list)

    @property
    def plan(self) -> str:
        """What the Runs page's form calls the work that this step is part of."""
        return run_form.EVERYTHING if self.page == "heads" else run_form.SCORE


def steps(run: Run) -> list[Step]:
    """Detect, score and select with what each of them came to."""
    state = run.stage_state()
    return [
        Step(
            "Detect heads",
            "heads",
            state["detect"],
            "Flatten every head's attention on the probe and rank heads by the rise in loss.",
            _detect_facts(run) if state["detect"] != "missing" else [],
        ),
        Step(
            "Score samples",
            "sources",
            state["score"],
            "Measure how unevenly the reasoning heads attend over each sample's tokens.",
            _score_facts(run) if state["score"] != "missing" else [],
        ),
        Step(
            "Draw the subset",
            "export",
            state["select"],
            "Soft-sample by score, compare with top-k and random, export.",
            _select_facts(run) if state["select"] != "missing" else [],
        ),
    ]


def _detect_facts(run: Run) -> list[str]:
    detection = run.detection
    mode = detection.settings.mode if detection.settings else None
    samples = "?" if detection.n_probe is None else f"{detection.n_probe:,}"
    facts = [", ".join(filter(None, [f"{samples} probe samples", mode]))]
    if detection.finished and (seconds := run.record.seconds.get("detect")):
        facts.append(f"took {duration(seconds)}, {ago(detection.finished)}")
    return facts


def _score_facts(run: Run) -> list[str]:
    scoring = run.scoring(scoring_in_view(run) or "default")
    facts = [f"{scoring.rows:,} samples, {scoring.rejected:,} rejected"]
    if scoring.seconds:
        facts.append(f"took {duration(scoring.seconds)}")
    return facts


def _select_facts(run: Run) -> list[str]:
    records = run.selection_records()
    if not records:
        return ["no selection of this run can be read"]
    name, newest = next(iter(records.items()))
    count = newest.counts.selected
    share = count / max(1, newest.counts.eligible)
    facts = [f"“{name}”: {count:,} samples, {percent(share, 1)} of the pool"]
    facts.append(f"τ = {newest.temperature:g}, {ago(newest.created)}")
    return facts


def numbers(run: Run) -> list[tuple[str, str, str]]:
    """The four headline numbers: label, value, help."""
    model = run.record.model
    layers = model.heads_per_layer if model else []
    name = scoring_in_view(run)
    scored = None if name is None else run.scoring(name)
    kept = f"{len(scored.heads):,} / {sum(layers):,}" if scored else f"{sum(layers):,}"
    drawn = next((r.counts.selected for r in run.selection_records().values()), None)
    rows = scored.rows if scored else None
    return [
        ("Reference model", short_model(model.id if model else "–"), model.id if model else ""),
        ("Heads used" if scored else "Heads", kept, "Heads that the scores use, of all heads."),
        ("Samples scored", f"{rows:,}" if rows is not None else "–", "Rows with a score."),
        ("Subset drawn", f"{drawn:,}" if drawn is not None else "–", "The newest selection."),
    ]


def signatures(run: Run, scoring: str | None) -> list[Signature]:
    """The failure signatures of a run and one of its scorings (cached until a file changes)."""
    return _signatures(str(run.path), scoring, _stamp(run.path))


@st.cache_data(max_entries=16, show_spinner=False)
def _signatures(path: str, scoring: str | None, stamp: float) -> list[Signature]:
    return warnings(Run.open(path), scoring=scoring)


def _stamp(path: Path) -> float:
    """The time of the newest result file: heads, a scoring's settings, a selection."""
    files = [path / "run.json", path / "heads.parquet"]
    files += [*path.glob("scores/*/settings.json"), *path.glob("selections/*/selection.json")]
    return max(f.stat().st_mtime for f in files if f.is_file())


def show_signatures(run: Run) -> None:
    """What to distrust, each with its number and the way to the page that shows it."""
    st.subheader("Warnings", anchor=False)
    if not run.heads_path.is_file():
        st.caption("Nothing computed yet that could be checked.")
        return
    with st.spinner("Checking the run for known failures …"):
        findings = signatures(run, scoring_in_view(run))
    shown = [s for s in findings if s.severity != "good"]
    for signature in shown:
        icon, colour = _LOOKS[signature.severity]
        with st.container(border=True, key=f"card_{signature.key}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f":{colour}[:material/{icon}:] **{signature.title}**")
                if signature.number is not None:
                    st.badge(plain(signature.number), color=colour)
                st.space("stretch")
                link_to(signature.page, "Show", icon=":material/arrow_forward:")
            st.markdown(signature.text)
    fine = [s for s in findings if s.severity == "good"]
    if fine:
        label = f"{len(fine)} checks found nothing" if shown else f"All {len(fine)} checks are fine"
        with st.expander(label, icon=":material/check:", key="fine"):
            for signature in fine:
                number = "" if signature.number is None else f" ({plain(signature.number)})"
                st.markdown(f"**{signature.title}**{number}. {signature.text}")


_LOOKS: dict[str, tuple[str, Any]] = {"warn": ("warning", "orange"), "info": ("info", "blue")}


def plain(number: float) -> str:
    """A signature's number with three significant digits and a true minus sign."""
    return f"{number:.3g}".replace("-", "−")
