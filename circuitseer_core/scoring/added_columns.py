"""What happens to columns that were added to a finished scoring when one of its shards is lost.

Imported and calibrated scores stand in the shards beside the numbers of the stage, but only the
stage's are made again. A scoring of which some shards carry a column and others do not can be
read by nobody, so the column goes from all of them, and a person is told how to add it again.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import print_above_bars
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.runs.shard_columns import drop_columns
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.settings import ScoreSettings, fingerprint


def drop_partial(run: Run, settings: ScoreSettings, record: ScoringRecord) -> ScoringRecord:
    """The record as it is, or without added columns where not every shard has them any more.

    In that case the shards and settings.json are without them too when this returns; the shards
    lose them first, so that an interrupted call is made good by the next.
    """
    added = [name for done in record.imported for name in done.columns]
    added += [CALIBRATED] if record.calibration is not None else []
    folder = run.scores_dir(settings.name)
    whole = _whole(folder, record)
    if not added or (
        len(whole) == record.shards
        and all(set(added) <= set(pq.read_schema(part).names) for part in whole)
    ):
        return record
    drop_columns(whole, added)
    changed = record.model_copy(deep=True)
    changed.scorers = [name for name in record.scorers if name not in added]
    changed.imported, changed.calibration = [], None
    changed.write(folder / "settings.json")
    for line in _again(run, settings, record):
        print_above_bars(line)
    return changed


def _whole(folder: Path, record: ScoringRecord) -> list[Path]:
    """The shards that will not be made again."""
    mark = fingerprint(record)
    known = [i for i in range(record.shards) if shards.finished(folder, i, mark) is not None]
    return [shards.part_path(folder, index) for index in known]


def _again(run: Run, settings: ScoreSettings, record: ScoringRecord) -> list[str]:
    """What a person has to repeat, a line each."""
    repeat = {", ".join(done.columns): done.command or "import-scores" for done in record.imported}
    applied = record.calibration
    if applied is not None and settings.calibration != applied.name:  # else it is applied anyway
        words = ["calibrate", "--run", str(run.path), "--name", applied.name]
        repeat[CALIBRATED] = as_typed([*words, "--apply", settings.name])
    return [
        f"shards are made again, which takes the added scores away ({names}); then: {command}"
        for names, command in repeat.items()
    ]
