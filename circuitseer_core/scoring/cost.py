"""About how long a scoring takes, from those that were made on this machine.

By rows, since nothing is known of the texts before they are read: long ones take longer. The stage
itself measures, and says so before it begins (sizing.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from circuitseer_core.detection.cost import Estimate
from circuitseer_core.errors import UserError
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.wording import count


def score_cost(
    rows: int, settings: ScoreSettings, model: str, runs: Iterable[Run]
) -> Estimate | None:
    """What scoring ``rows`` rows takes, at the pace of the largest earlier scoring of its kind.

    Its kind: the same model on the same device in the same number format, the same part of the
    sample, the same further passes, made on this machine. None where there is none.
    """
    alike = [
        record
        for run in runs
        if ownership.is_made_here(run.path)
        for record in _finished(run)
        if _is_alike(record, settings, model)
    ]
    if not alike:
        return None
    largest = max(alike, key=lambda record: record.rows)
    return Estimate(count(rows, "row"), rows * largest.seconds / largest.rows, "before")


def _finished(run: Run) -> Iterable[ScoringRecord]:
    for name in run.scorings():
        try:
            record = run.scoring(name)
        except UserError:  # damaged: it tells nothing
            continue
        if record.state == "done" and record.rows and record.seconds > 0:
            yield record


def _is_alike(record: ScoringRecord, settings: ScoreSettings, model: str) -> bool:
    asked, known = _places(record.command or ""), record.model
    return (
        known is not None
        and known.id == model
        and asked.get("--devices") == settings.devices
        and settings.device in (asked.get("--device", "auto"), known.device)
        and settings.dtype in (asked.get("--dtype", "auto"), record.dtype)
        and record.engine == settings.engine
        and record.text == settings.text
        and record.baselines == settings.baselines
        and record.head_influence == settings.head_influence
        and bool(record.feature_heads) == (settings.head_features or bool(settings.calibration))
    )


def _places(command: str) -> dict[str, str]:
    """The options by which a command names device and number format, where it does."""
    try:
        words = shlex.split(command)
    except ValueError:  # no command that this program wrote
        return {}
    flags = ("--device", "--devices", "--dtype")
    return {flag: words[words.index(flag) + 1] for flag in flags if flag in words[:-1]}
