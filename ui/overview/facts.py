"""What the Overview says about a run: four numbers and three steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, duration, percent, tau
from ui.runs import form
from ui.widgets.markdown import inline, together
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


@dataclass(frozen=True)
class Way:
    """A link: the page, what it is called, and what it fills in there."""

    page: str
    label: str
    icon: str = ":material/arrow_forward:"
    params: dict[str, str] = field(default_factory=dict)


def way_on(step: Step, needs: int | None, live: bool) -> Way | str:
    """Where a step is seen or done, or in words why there is nothing to do about it now.

    ``needs``: the number of the step that has to come first; ``live``: a job of the run is at work.
    """
    if step.state == "done":
        return Way(step.page, "Open")
    if needs is not None:
        return f"Needs step {needs}."
    if step.page == "export":
        return Way(step.page, "Choose the budget")
    if live:
        return "A job of this run is at work."
    return Way("runs", "Run this step", ":material/play_circle:", {"stage": step.plan})


def steps(run: Run) -> list[Step]:
    """Detect, score and select with what each of them came to."""
    state = run.stage_state()
    return [
        Step(
            "Detect heads",
            "heads",
            state["detect"],
            "Ablate every head on the probe, one at a time, and rank heads by the rise in loss.",
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
    probe = "? probe samples"
    if detection.n_probe is not None:
        probe = count(detection.n_probe, "probe sample")
    facts = [", ".join(filter(None, [probe, mode and inline(mode)]))]
    if detection.finished and (seconds := run.record.seconds.get("detect")):
        facts.append(f"took {duration(seconds)}, {ago(detection.finished)}")
    return facts


def _score_facts(run: Run) -> list[str]:
    scoring = run.scoring(name := scoring_in_view(run) or "default")
    rows = count(scored_rows(run, name), "sample")
    if scoring.state != "done":
        return [f"{rows} so far"]
    facts = [f"{rows}, {scoring.rejected:,} rejected"]
    if scoring.seconds:
        facts.append(f"took {duration(scoring.seconds)}")
    return facts


def _select_facts(run: Run) -> list[str]:
    newest = drawn_in_view(run)
    if newest is None:
        read = bool(run.selection_records())
        return ["nothing is drawn from these scores" if read else "no selection can be read"]
    drawn = newest.counts.selected
    share = percent(drawn / max(1, newest.counts.eligible), 1)
    facts = [f"“{inline(newest.name)}”: {count(drawn, 'sample')}, {share} of the pool"]
    facts.append(f"τ = {tau(newest.temperature)}, {ago(newest.created)}")
    return [together(fact) for fact in facts]


def scored_rows(run: Run, name: str) -> int:
    """Rows of a scoring; of one that is not done those of its finished parts."""
    scoring = run.scoring(name)
    if scoring.state == "done":
        return scoring.rows
    try:
        return sum(pq.read_metadata(part).num_rows for part in run.score_parts(name))
    except (OSError, pa.ArrowException):  # who reads the scores is told of it
        return scoring.rows


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
    rows = scored_rows(run, name) if name else None
    so_far = " so far: the scoring is not done." if scored and scored.state != "done" else "."
    return [
        (
            "Reference model",
            inline(short_model(named)),
            inline(named) if model else "",
        ),
        ("Heads used", kept, "Heads that the scores use, of all heads.")
        if scored
        else ("Heads", kept, "Attention heads of the model."),
        ("Samples scored", f"{rows:,}" if rows is not None else "–", f"Rows with a score{so_far}"),
        (
            "Subset drawn",
            f"{drawn:,}" if drawn is not None else "–",
            "The newest selection from these scores.",
        ),
    ]
