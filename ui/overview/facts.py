"""What the Overview says about a run: four numbers and three steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import duration, percent, tau
from ui.runs import form
from ui.widgets.markdown import inline
from ui.widgets.scoring_choice import drawn_in_view, scoring_in_view
from ui.words import ago, short_model


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
        return form.EVERYTHING if self.page == "heads" else form.SCORE


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
    facts = [", ".join(filter(None, [f"{samples} probe samples", mode and inline(mode)]))]
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
    newest = drawn_in_view(run)
    if newest is None:
        read = bool(run.selection_records())
        return ["nothing is drawn from these scores" if read else "no selection can be read"]
    count = newest.counts.selected
    share = count / max(1, newest.counts.eligible)
    facts = [f"“{inline(newest.name)}”: {count:,} samples, {percent(share, 1)} of the pool"]
    facts.append(f"τ = {tau(newest.temperature)}, {ago(newest.created)}")
    return facts


def numbers(run: Run) -> list[tuple[str, str, str]]:
    """The four headline numbers: label, value, help."""
    model = run.record.model
    named = model.id if model else "–"
    layers = model.heads_per_layer if model else []
    name = scoring_in_view(run)
    scored = None if name is None else run.scoring(name)
    kept = f"{len(scored.heads):,} / {sum(layers):,}" if scored else f"{sum(layers):,}"
    newest = drawn_in_view(run)
    drawn = newest.counts.selected if newest else None
    rows = scored.rows if scored else None
    return [
        (
            "Reference model",
            inline(short_model(named)),
            inline(named) if model else "",
        ),
        ("Heads used" if scored else "Heads", kept, "Heads that the scores use, of all heads."),
        ("Samples scored", f"{rows:,}" if rows is not None else "–", "Rows with a score."),
        (
            "Subset drawn",
            f"{drawn:,}" if drawn is not None else "–",
            "The newest selection from these scores.",
        ),
    ]
