"""What a warning can be met with in one click: a link to the page that does it, filled in."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.signature import Signature
from ui.export.dial import dial_label
from ui.widgets.scoring_choice import drawn_in_view

STEERED = 0.2
"""A temperature at which scores that hardly steer a draw at τ = 1 usually do."""
SAMPLES: int = DetectSettings.model_fields["probe_size"].default
"""Probe samples to measure again on: the default of ``detect``."""


@dataclass(frozen=True)
class Remedy:
    """A link: its label, the page, and what the link fills in there."""

    label: str
    page: str
    params: dict[str, str] = field(default_factory=dict)


_LINKS = {
    "length": Remedy("Draw with length taken out", "export", {"length_control": "true"}),
    "sink": Remedy("Draw by focus, without the first token", "export", {"scorer": "focus"}),
    "uniform-draw": Remedy(
        f"Draw at τ = {STEERED:g}", "export", {"temperature": dial_label(STEERED)}
    ),
    "source-skew": Remedy("Draw as the pool is mixed", "export", {"stratify": "as in the pool"}),
    "random-heads": Remedy("See what experiments say", "evidence"),
    "probe-overlap": Remedy("Draw without the probe", "export", {"without_probe": "true"}),
}


def remedy(run: Run, key: str, signature: Signature) -> Remedy | None:
    """What helps against a warning of the run known as ``key``; None where no click does."""
    if signature.severity != "warn":
        return None
    if signature.key == "uniform-draw":
        drawn = drawn_in_view(run)
        if drawn is not None and drawn.temperature <= STEERED:
            return None  # a lower one is for who sees what it costs
    if signature.key in _LINKS:
        return _LINKS[signature.key]
    again = {"stage": "Everything", "like": key}
    if signature.key == "probe-data":
        return Remedy("Choose another probe", "runs", again)
    if signature.key == "probe-pool":
        return Remedy(
            "Measure on a stratified probe", "runs", again | {"probe_criterion": "stratified"}
        )
    if signature.key in ("head-effect", "head-stability", "probe-size"):
        size = max(SAMPLES, 2 * (run.detection.n_probe or 0))
        return Remedy(f"Measure on {size:,} samples", "runs", again | {"probe_size": str(size)})
    return None
