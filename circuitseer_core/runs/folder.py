"""The run folder: the only channel between the stages, the command line and the app.

A run is a folder (docs/files.md). Opening one needs neither torch nor duckdb, so
a laptop can read what a GPU machine wrote. Every write is atomic; a killed job leaves a valid run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pandas as pd

from circuitseer_core.checksums import require_whole
from circuitseer_core.errors import UserError
from circuitseer_core.files import inside, plain_path, read_columns, special_file, sweep_beside
from circuitseer_core.installation import HOME
from circuitseer_core.json_io import is_utf8
from circuitseer_core.runs import ownership, shapes
from circuitseer_core.runs.calibration_records import CalibrationRecord, stored_calibration
from circuitseer_core.runs.columns import WIDE
from circuitseer_core.runs.integrity import missing_table, remedy_for
from circuitseer_core.runs.job_records import ProgressRecord
from circuitseer_core.runs.records import (
    RUN_FORMAT,
    DetectRecord,
    ModelRecord,
    RunRecord,
    ScoringRecord,
    read_or_none,
)
from circuitseer_core.runs.selection_records import SelectionRecord

DEMO_RUN = HOME / "assets" / "demo-run"
"""The bundled demo run: numbers only, texts come from the installed data packages."""

SETTINGS_FILE = "settings.yaml"
"""A stage's settings beside what it made, to be run again."""

MERGED = "part-all.parquet"
"""A finished detection's parts in one file: thousands of small ones would open slowly."""

ARM_PREFIX = "arm."
"""Names of selections that are arms of a comparison begin so."""

ARMS_FOLDER = "arms"
"""Where the arms lie that a background job of the run wrote, a folder each time."""


def runs_home() -> Path:
    """Where runs live: ``$CIRCUITSEER_RUNS``, else ``./runs``."""
    return Path(os.environ.get("CIRCUITSEER_RUNS", "runs"))


def now() -> str:
    """The present moment as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Run:
    """One run folder and its ``record``, run.json.

    Tables are pandas frames with the columns of docs/files.md; a stage that has not run yet raises
    :class:`UserError` naming the command that makes it.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing run; UserError where ``path`` is none or its run.json is broken.

        So it is where the folder holds a pipe, a socket or a device: whoever read one would wait;
        and where folders lie in one another without end.
        """
        path = plain_path(path)
        if not os.path.isfile(path / "run.json"):
            raise UserError(f"{path} is not a run folder (it has no run.json)")
        special = special_file(path)
        if special is not None:
            raise UserError(f"{special} is nothing that a run holds: remove it to read the run")
        return cls(path, RunRecord.of_run(path))

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """Open the run at ``path``, or make one there; a folder of another kind is refused."""
        path = plain_path(path)
        if os.path.isfile(path / "run.json"):
            return cls.open(path)
        sweep_beside(path / "run.json")  # of a maker that was killed before its first file
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            leftovers = {p.name for p in path.iterdir()} if path.is_dir() else {path.name}
            if leftovers - {"log.txt", "lock", "progress.json"}:
                raise UserError(f"{path} exists and is not a run folder: choose another --run")
        run = cls(path, RunRecord(format=RUN_FORMAT, name=path.name, created=now(), state="new"))
        run.record.write(path / "run.json")
        ownership.mark(path)
        return run

    def discard_if_empty(self) -> None:
        """Remove a run that failed before it held anything, so that bad input leaves no trace.

        A folder with anything in it beyond the manifest and its helpers (a job's log, say) stays.
        """
        ours = {"run.json", ".stage", "progress.json", SETTINGS_FILE, ownership.MARK}
        if {p.name for p in self.path.iterdir()} <= ours:
            for name in ours:
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def model(self) -> ModelRecord:
        """The reference model. Raises UserError before the first detection."""
        if self.record.model is None:
            raise UserError(f"{self.path} has no model yet: run detect --run {self.path}")
        return self.record.model

    @property
    def detection(self) -> DetectRecord:
        """What detection wrote down; all unset before it."""
        return self.record.detect or DetectRecord()

    @property
    def heads_path(self) -> Path:
        """heads.parquet."""
        return self.path / shapes.HEADS_FILE

    @property
    def importance_dir(self) -> Path:
        """Folder of the importance parts."""
        return self.path / "importance"

    @property
    def probe_path(self) -> Path:
        """probe.parquet."""
        return self.path / "probe.parquet"

    @property
    def pool_path(self) -> Path:
        """pool.parquet."""
        return self.path / "pool.parquet"

    @property
    def progress_path(self) -> Path:
        """progress.json."""
        return self.path / "progress.json"

    @property
    def log_path(self) -> Path:
        """Output of jobs that the app started."""
        return self.path / "log.txt"

    @property
    def lock_path(self) -> Path:
        """Who runs a job here: pid and start time."""
        return self.path / "lock"

    def scores_dir(self, name: str = "default") -> Path:
        """Folder of one scoring. Raises UserError for a name that leads out of the run."""
        return inside(self.path / "scores", name)

    def selection_dir(self, name: str) -> Path:
        """Folder of one selection. Raises UserError for a name that leads out of the run."""
        return inside(self.path / "selections", name)

    def reload(self) -> None:
        """Read run.json again (another process may have written it)."""
        self.record = RunRecord.of_run(self.path)

    @contextmanager
    def editing(self) -> Iterator[RunRecord]:
        """Change run.json: assign to the record in the block; it is written when the block ends."""
        changed = self.record.model_copy(deep=True)
        yield changed
        changed.write(self.path / "run.json")
        self.record = changed

    def heads(self) -> pd.DataFrame:
        """heads.parquet: one row a head, sorted by layer and head."""
        return self._table(self.heads_path, shapes.HEADS, unique=("layer", "head"))

    def importance(self) -> pd.DataFrame:
        """The per-sample table: id, set, layer, head, delta_loss (nats)."""
        whole = self.importance_dir / MERGED
        parts = [whole] if whole.is_file() else sorted(self.importance_dir.glob("part-*.parquet"))
        if not parts:
            raise UserError(f"{self.path} has no importances: run detect --run {self.path}")
        for part in parts:
            require_whole(part, remedy_for(self.path, part))
        return shapes.read_parts(parts, shapes.IMPORTANCE)

    def probe(self) -> pd.DataFrame:
        """Probe (and contrast) samples: id, set, source, n_tokens, n_loss_tokens, base_loss, …"""
        return self._table(self.probe_path, shapes.PROBE, unique=("set", "id"))

    def pool(self) -> pd.DataFrame:
        """The pool the probe was drawn from: id, source, base_loss."""
        return self._table(self.pool_path, shapes.POOL)

    def scorings(self) -> list[str]:
        """Names of the scorings in this run, ``default`` first."""
        return _default_first(self.path.glob("scores/*/settings.json"))

    def scoring(self, name: str = "default") -> ScoringRecord:
        """settings.json of one scoring."""
        path = self.scores_dir(name) / "settings.json"
        if not path.is_file():
            raise UserError(
                f"{self.path} has no scores named {name!r}: "
                f"run score --run {self.path} --name {name}"
            )
        return ScoringRecord.read(path)

    def score_parts(self, name: str = "default") -> list[Path]:
        """The Parquet shards of one scoring, in order; UserError where there is no such scoring."""
        self.scoring(name)
        return sorted(self.scores_dir(name).glob("part-*.parquet"))

    def whole_score_parts(self, name: str = "default") -> list[Path]:
        """The shards of one scoring, each as it was written; UserError naming one that is not."""
        again = f"run score --run {self.path} --name {name} again"
        missing = missing_table(self.scores_dir(name), self.scoring(name))
        if missing is not None:
            raise UserError(f"{self.scores_dir(name) / missing} is missing: {again}")
        parts = self.score_parts(name)
        for part in parts:
            require_whole(part, again)
        return parts

    def scores(self, name: str = "default", columns: list[str] | None = None) -> pd.DataFrame:
        """Scores of every sample, in data order.

        Without ``columns`` the wide ones (profile, token_starts, special_mask and texts) are left
        out: they are hundreds of times the size of the numbers.
        """
        import pyarrow.parquet as pq

        parts = self.score_parts(name)
        if not parts:
            raise UserError(f"{self.path}: scoring {name!r} has no finished shard yet")
        shapes.check_shards(self.whole_score_parts(name))
        if columns is None:
            columns = [c for c in pq.read_schema(parts[0]).names if c not in WIDE]
        return read_columns(parts, columns)

    def rejects(self, name: str = "default") -> pd.DataFrame:
        """Rejected rows of one scoring: id (or file:line), source, reason; empty where none."""
        path = self.scores_dir(name) / "rejects.parquet"
        return (
            self._read(path, shapes.REJECTS)
            if path.is_file()
            else pd.DataFrame(columns=["id", "source", "reason"])
        )

    def selections(self) -> list[str]:
        """Names of the selections drawn in this run, newest first; a comparison's arms last."""
        files = sorted(self.path.glob("selections/*/selection.json"), key=_age, reverse=True)
        names = [path.parent.name for path in files if is_utf8(path.parent.name)]
        return sorted(names, key=lambda name: name.startswith(ARM_PREFIX))

    def selection(self, name: str) -> SelectionRecord:
        """selection.json: settings, the scoring used, diagnostics."""
        path = self.selection_dir(name) / "selection.json"
        if not path.is_file():
            raise UserError(
                f"{self.path} has no selection named {name!r}: run select --run {self.path}"
            )
        return SelectionRecord.read(path)

    def selection_records(self) -> dict[str, SelectionRecord]:
        """Every selection that can be read, by name, newest first; damaged ones are left out."""
        files = {name: self.selection_dir(name) / "selection.json" for name in self.selections()}
        records = {name: read_or_none(SelectionRecord, file) for name, file in files.items()}
        return {name: record for name, record in records.items() if record is not None}

    def selection_ids(self, name: str) -> pd.DataFrame:
        """ids.parquet of one selection."""
        self.selection(name)
        return self._read(self.selection_dir(name) / "ids.parquet", shapes.IDS, unique=("id",))

    def calibration_dir(self, name: str) -> Path:
        """Folder of one calibration. Raises UserError for a name that leads out of the run."""
        return inside(self.path / "calibrations", name)

    def calibrations(self) -> list[str]:
        """Names of the calibrations of this run, ``default`` first."""
        return _default_first(self.path.glob("calibrations/*/calibration.json"))

    def calibration(self, name: str = "default") -> CalibrationRecord:
        """calibration.json of one calibration."""
        return stored_calibration(self.calibration_dir(name), f"calibrate --run {self.path}")

    def progress(self) -> ProgressRecord | None:
        """progress.json, or None before the first job."""
        return ProgressRecord.read(self.progress_path) if self.progress_path.is_file() else None

    def stage_state(self) -> dict[str, str]:
        """``missing``, ``partial`` or ``done`` for detect, score, select, of what can be read."""
        detect = "done" if self.heads_path.is_file() else "missing"
        if detect == "missing" and any(self.importance_dir.glob("part-*.parquet")):
            detect = "partial"
        files = [self.scores_dir(name) / "settings.json" for name in self.scorings()]
        records = [read_or_none(ScoringRecord, file) for file in files]
        done = any(record is not None and record.state == "done" for record in records)
        score = "done" if done else "partial" if files else "missing"
        return {
            "detect": detect,
            "score": score,
            "select": "done" if self.selections() else "missing",
        }

    def _table(self, path: Path, shape: shapes.Shape, unique: tuple[str, ...] = ()) -> pd.DataFrame:
        if not path.is_file():
            raise UserError(f"{self.path} has no {path.stem} table: run detect --run {self.path}")
        return self._read(path, shape, unique)

    def _read(self, path: Path, shape: shapes.Shape, unique: tuple[str, ...] = ()) -> pd.DataFrame:
        """A table. Raises UserError where it is damaged, cannot be read or has another shape."""
        require_whole(path, remedy_for(self.path, path))
        return shapes.read_shaped(path, shape, unique=unique)


def _default_first(files: Iterable[Path]) -> list[str]:
    """Names of the folders that hold these files, without those that are no UTF-8."""
    names = [path.parent.name for path in files if is_utf8(path.parent.name)]
    return sorted(names, key=lambda name: (name != "default", name))


def _age(selection: Path) -> tuple[str, int]:
    """When a selection was drawn. What it says comes first: copied files lose their times."""
    try:
        created = SelectionRecord.read(selection).created
    except UserError:  # broken: whoever opens it is told so
        created = ""
    return created, selection.stat().st_mtime_ns
