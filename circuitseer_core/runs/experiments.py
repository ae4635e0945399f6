"""The experiments kept in a run, read: their records, and the table beside each."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pandas as pd

from circuitseer_core.checksums import is_damaged
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import read_or_none


def experiments_folder(run: Run) -> Path:
    """Where a run's experiments are kept."""
    return run.path / "experiments"


def saved_results(run: Run, pattern: str = "*") -> list[ExperimentRecord]:
    """The experiments kept in a run under names of ``pattern``, by name; unreadable ones are left
    out. Each is called as its file is: its table lies beside it, whatever the record says."""
    paths = sorted(experiments_folder(run).glob(f"{pattern}.json"), key=lambda path: path.stem)
    kept = ((path.stem, read_or_none(ExperimentRecord, path)) for path in paths)
    return [record.model_copy(update={"name": name}) for name, record in kept if record is not None]


def saved_table(run: Run, record: ExperimentRecord) -> pd.DataFrame:
    """The table of a result; empty where there is none, a damaged one, or that of another result
    (one that was written since, or whose record never came)."""
    path = experiments_folder(run) / f"{record.name}.parquet"
    if is_damaged(path):
        return pd.DataFrame()
    try:
        content = path.read_bytes()
        if record.table_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            return pd.DataFrame()
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError):
        return pd.DataFrame()
