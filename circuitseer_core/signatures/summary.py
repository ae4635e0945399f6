"""A run in one sentence: what was measured, scored and drawn, and how much of it to distrust."""

from __future__ import annotations

from collections.abc import Sequence

from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, tau

_TEXTS = {"prompt": "prompt", "response": "response", "full": "prompt with response"}
_PLURALS = {"prompt with response": "prompts with their responses"}


def summary(facts: Evidence, findings: Sequence[Signature]) -> str:
    """One sentence about the run, its scoring and its newest selection.

    Args:
        facts: of the run and the scoring in question.
        findings: its signatures, the weightiest first (``catalogue.warnings``).
    """
    if facts.heads is None:
        return "Nothing is measured yet."
    model = facts.run.record.model
    whose = model.called.rstrip("/").rsplit("/", 1)[-1] if model else "the model"
    probe = facts.run.detection.n_probe
    measured = f", measured on {count(probe, 'probe sample')}" if probe else ""
    number = count(len(facts.chosen), "head")
    chosen = f"{number} of {len(facts.heads):,} in {whose}{measured}"
    verb = "scores" if len(facts.chosen) == 1 else "score"
    return f"{chosen}, {_scored(facts, verb)}; {_doubts(findings)}."


def _scored(facts: Evidence, verb: str) -> str:
    if facts.scored is None:
        return "with scores that cannot be read" if facts.unreadable else "with nothing scored yet"
    what = _TEXTS.get(facts.settings.text, "text")
    rows = count(len(facts.scored), what, _PLURALS.get(what))
    drawn = facts.selection
    if drawn is None:
        return f"{verb} {rows} by {facts.scorer}, and nothing is drawn yet"
    selected = drawn.counts.selected
    taken = f"{selected:,} {'is' if selected == 1 else 'are'} drawn"
    return f"{verb} {rows} by {facts.scorer}, of which {taken} at τ = {tau(drawn.temperature)}"


def _doubts(findings: Sequence[Signature]) -> str:
    warned = [finding for finding in findings if finding.severity == "warn"]
    if not warned:
        return f"none of {count(len(findings), 'check')} warns"
    heaviest = warned[0].title
    verb = "warns" if len(warned) == 1 else "warn"
    above = "" if len(warned) == 1 else " above all"
    return (
        f"{len(warned)} of {count(len(findings), 'check')} {verb},{above} that "
        f"{heaviest[0].lower()}{heaviest[1:]}"
    )
