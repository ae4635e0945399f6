"""Is every file of a run as it was written? What is damaged or gone, and how it is made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from circuitseer_core.checksums import is_whole
from circuitseer_core.errors import LaterFormatError, UserError
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.cluster_records import ROWS_FILE, ClusterRecord, codes_hash
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.records import Record, RunRecord, ScoringRecord, read_or_none
from circuitseer_core.runs.review_lines import REVIEW_FILE, read_lines
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.runs.shapes import HEADS_FILE, Column, read_shaped

_TABLES = (
    ("pool.parquet", "is for viewing only: delete it"),
    ("probe.parquet", "everything was measured on it: start another run"),
    ("heads.parquet", "detect --run {run} makes it again from the measurements"),
    ("importance/part-all.parquet", "detect --run {run} measures all of it again"),
    ("importance/part-*.parquet", "detect --run {run} measures this part again"),
    ("scores/*/part-*.parquet", "score --run {run} --name {folder} scores this part again"),
    ("scores/*/clusters/*.parquet", "the command cluster makes it again"),
    ("scores/*/rejects.parquet", "score --run {run} --name {folder} writes it again"),
    ("selections/*/*.parquet", "select --run {run} --name {folder} draws it again"),
    ("calibrations/*/*.parquet", "calibrate --run {run} --name {folder} fits it again"),
    ("experiments/*.parquet", "validate --run {run} computes {stem} again"),
    ("experiments/*/*.parquet", "the experiment measures this part again when it is next run"),
)
"""Pattern of files, and what to do about a damaged one; of two that fit the first counts."""


_RECORDS: tuple[tuple[str, type[Record], str], ...] = (
    (
        "scores/*/settings.json", ScoringRecord,
        "delete its folder, and score --run {run} --name {folder} scores again",
    ),
    (
        "selections/*/selection.json", SelectionRecord,
        "select --run {run} --name {folder} draws it again",
    ),
    (
        "calibrations/*/calibration.json", CalibrationRecord,
        "calibrate --run {run} --name {folder} fits it again",
    ),
    ("scores/*/clusters/clusters.json", ClusterRecord, "the command cluster makes it again"),
    ("experiments/*.json", ExperimentRecord, "validate --run {run} computes {stem} again"),
)  # fmt: skip
"""Pattern of files, what they hold, and what to do about one that cannot be read."""


_LATER = "a later version of CircuitSeer wrote it: update this one, and leave the file as it is"


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file (relative to the run) and how to get it again."""

    file: str
    remedy: str


@dataclass(slots=True)
class RunCheck:
    """How many tables are as they were written, how many carry no checksum, which are damaged."""

    whole: int = 0
    unsigned: int = 0
    damaged: list[Damage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no damage was found."""
        return not self.damaged


def check_run(run_path: Path) -> RunCheck:
    """Read every table of a run against its checksum, every record, every judgement.

    A table that did not change is read once a process. A table that a record promises and that is
    gone is damage too. Tables made before checksums, or by other hands, have none: they count as
    unsigned where they can be opened.
    """
    result = RunCheck()
    for path, remedy in tables(run_path):
        state = is_whole(path)
        if state is None:
            result.unsigned += 1
        elif state:
            result.whole += 1
        else:
            result.damaged.append(Damage(path.relative_to(run_path).as_posix(), remedy))
    result.damaged += _records(run_path)
    _, lost = read_lines(run_path)
    if lost:
        result.damaged.append(Damage(REVIEW_FILE, lost_lines(lost)))
    return result


def lost_lines(lost: int) -> str:
    """What it means that lines of review.jsonl cannot be read."""
    which, they = ("1 line", "it says") if lost == 1 else (f"{lost:,} lines", "they say")
    return (
        f"{which} cannot be read, so what {they} (a pin, a drop, a tag, a verdict) does not "
        "count: mend or delete what is broken, and judge again"
    )


def _records(run_path: Path) -> Iterator[Damage]:
    """Records that cannot be read, and tables that they name and that are gone."""
    run = read_or_none(RunRecord, run_path / "run.json")
    if run is not None and run.detect is not None and run.detect.finished:
        for table in (run_path / HEADS_FILE, run_path / "probe.parquet"):
            if not table.is_file():
                yield Damage(table.name, f"is missing; {remedy_for(run_path, table)}")
    for pattern, kind, remedy in _RECORDS:
        for path in sorted(run_path.glob(pattern)):
            advice = remedy.format(run=run_path, folder=path.parent.name, stem=path.stem)
            try:
                record = kind.read(path)
            except LaterFormatError:
                yield Damage(path.relative_to(run_path).as_posix(), _LATER)
                continue
            except UserError:
                yield Damage(path.relative_to(run_path).as_posix(), advice)
                continue
            name, problem = missing_table(path.parent, record), "is missing"
            if name is None and isinstance(record, ExperimentRecord):
                name, problem = _other_table(path, record), "is not the verdict's"
            if name is None and isinstance(record, ClusterRecord):
                name, problem = _other_clusters(path, record), "is not the record's"
            if name is not None:
                where = path.with_name(name)
                again = remedy_for(run_path, where)
                yield Damage(where.relative_to(run_path).as_posix(), f"{problem}; {again}")


def missing_table(folder: Path, record: Record) -> str | None:
    """The first table that a finished scoring, clusters, a selection or a calibration lack."""
    names: Iterable[str] = ()
    if isinstance(record, ScoringRecord) and record.state == "done":
        names = (f"part-{index:05d}.parquet" for index in range(record.shards))
    elif isinstance(record, SelectionRecord):
        names = ("ids.parquet",)
    elif isinstance(record, CalibrationRecord):
        names = ("predictions.parquet",)
    elif isinstance(record, ClusterRecord):
        names = (ROWS_FILE,)
    return next((name for name in names if not (folder / name).is_file()), None)


def _other_table(path: Path, record: ExperimentRecord) -> str | None:
    """The table beside an experiment's record where it is none, or that of another result."""
    table = path.with_name(f"{path.stem}.parquet")
    if record.table_sha256 is None or (is_whole(table) is False and table.is_file()):
        return None  # of before, or damaged, which is said of every table
    same = table.is_file() and file_hash(table) == record.table_sha256
    return None if same else table.name


def _other_clusters(path: Path, record: ClusterRecord) -> str | None:
    """The rows beside clusters.json where they are whole and of other clusters."""
    table = path.with_name(ROWS_FILE)
    if is_whole(table) is False:
        return None  # which is said of every table
    try:
        frame = read_shaped(table, {"cluster": Column("whole numbers")})
    except UserError:
        return table.name
    return None if codes_hash(frame["cluster"].to_numpy()) == record.sha256 else table.name


def tables(run_path: Path) -> Iterator[tuple[Path, str]]:
    """The tables of a run, each with what makes it again."""
    seen: set[Path] = set()
    for pattern, remedy in _TABLES:
        for path in sorted(run_path.glob(pattern)):
            if path not in seen:
                seen.add(path)
                yield path, remedy.format(run=run_path, folder=path.parent.name, stem=path.stem)


def remedy_for(run_path: Path, path: Path) -> str:
    """What makes a table of a run again."""
    inside = path.relative_to(run_path)
    remedy = next((advice for pattern, advice in _TABLES if inside.match(pattern)), "make it again")
    return remedy.format(run=run_path, folder=path.parent.name, stem=path.stem)
