"""A calibration that is kept: another one of its name takes its place only where that is asked for.

Scorings may carry its scores, and exports the fit itself; so neither other settings nor another
target under the same settings replace it in silence.
"""

from __future__ import annotations

from circuitseer_core.calibration.settings import VERDICTS, CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import CalibrationRecord, TargetRecord
from circuitseer_core.runs.commands import checked, flag_of
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import unless_broken

_HOW_TO_KEEP = "--replace (replace=True) fits it anew, another --name keeps both"


def kept(run: Run, name: str) -> CalibrationRecord | None:
    """The calibration of this name; None without one, or where it is broken and may be replaced.

    Raises LaterFormatError for one that a later version fitted.
    """
    return unless_broken(lambda: run.calibration(name)) if name in run.calibrations() else None


def refuse_other(run: Run, settings: CalibrateSettings) -> None:
    """Raise UserError where the name belongs to a fit with other settings, naming them."""
    before = kept(run, settings.name)
    if before is None:
        return
    fields = CalibrateSettings.model_fields
    options = {n: v for n, v in before.settings.to_json().items() if n in fields and n != "apply"}
    then = checked(CalibrateSettings, **options)
    other = [
        flag_of(name, info).removeprefix("--")
        for name, info in fields.items()
        if getattr(then, name) != getattr(settings, name)
    ]
    if other:
        raise UserError(
            f"calibration {settings.name!r} of this run was fitted with other settings "
            f"({', '.join(other)}): {_HOW_TO_KEEP}"
        )


def refuse_other_target(run: Run, name: str, target: TargetRecord) -> None:
    """Raise UserError where the name belongs to a fit whose target had other values."""
    before = kept(run, name)
    if before is None or before.target.sha256 == target.sha256:
        return
    changed = "verdicts have" if target.kind == VERDICTS else f"values of {target.name!r} have"
    raise UserError(
        f"calibration {name!r} of this run was fitted before the {changed} changed: {_HOW_TO_KEEP}"
    )
