"""What a detection that goes on must agree in with the one that was begun."""

from __future__ import annotations

from circuitseer_core.detection.settings import NOT_NUMBERS, DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import ModelInfo
from circuitseer_core.runs.folder import Run


def refuse_other_settings(run: Run, settings: DetectSettings) -> None:
    """Raise UserError where the run was begun with settings that give other numbers."""
    if run.detection.settings is None:
        return
    before = run.detection.settings.to_json()
    ours = settings.model_dump()
    changed = [k for k in ours if k not in NOT_NUMBERS and before.get(k, ours[k]) != ours[k]]
    if changed:
        first = changed[0]
        option = first.replace("_", "-")
        raise UserError(
            f"{run.path} was made with --{option} {before.get(first)!r}, not {ours[first]!r}: "
            "choose another --run"
        )


def refuse_other_model(run: Run, info: ModelInfo) -> None:
    """Raise UserError where the run holds numbers of another model or precision."""
    before = run.record.model
    if before is None:
        return
    if (before.weights_hash, before.dtype) != (info.weights_hash, info.dtype):
        raise UserError(
            f"{run.path} holds numbers of {before.id} ({before.dtype}, weights "
            f"{str(before.weights_hash)[:8]}), not of {info.id} ({info.dtype}, weights "
            f"{info.weights_hash[:8]}): choose another --run"
        )
