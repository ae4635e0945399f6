"""What a detection that goes on must agree in with the one that was begun, and what it finds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.checksums import is_damaged
from circuitseer_core.detection.kept_losses import losses_path
from circuitseer_core.detection.settings import NOT_NUMBERS, DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import ModelInfo
from circuitseer_core.runs.folder import MERGED, Run
from circuitseer_core.runs.progress import say_redone
from circuitseer_core.wording import count


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


def kept(run: Run) -> str:
    """What of a detection that was stopped is in the run, and what running it again will do."""
    evaluations = measured(run)
    if evaluations:
        return f"{count(evaluations, 'evaluation')} kept: run it again to go on"
    losses = _rows(losses_path(run, name) for name in ("probe", "contrast"))
    if losses or run.probe_path.is_file():
        what = (
            "the probe is"
            if run.probe_path.is_file()
            else count(losses, "candidate's loss", "candidates' losses")
        )
        return f"{what} kept: run it again to go on"
    return "nothing was measured yet: run it again to begin anew"


def measured(run: Run) -> int:
    """Evaluations of which the results are in the run."""
    return _rows(run.importance_dir.glob("part-*.parquet"))


def _rows(paths: Iterable[Path]) -> int:
    """Rows of these tables, of those that can be read."""
    rows = 0
    for path in paths:
        with contextlib.suppress(OSError, pa.ArrowException):
            rows += pq.read_metadata(path).num_rows
    return rows


def is_done(run: Run) -> bool:
    """Whether a finished detection still has its tables. Damaged ones are named and made again."""
    if not run.detection.finished:
        return False
    tables = [run.heads_path, run.importance_dir / MERGED]
    damaged = [table for table in tables if is_damaged(table)]
    say_redone(damaged)
    return run.heads_path.is_file() and not damaged
