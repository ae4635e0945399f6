"""The manifest beside an export: all that is needed to derive the subset again and to defend it.

Its ``seal`` is a hash over everything else in it, so that an edited manifest shows; the files'
hashes are inside.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from circuitseer_core.aliases import Head
from circuitseer_core.calibration.scorer import applied_record
from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import Format
from circuitseer_core.export.rows import FIRST_GROUP
from circuitseer_core.hashing import file_hash
from circuitseer_core.json_io import read_json
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.records import (
    AnyRecord,
    DataRecord,
    DetectRecord,
    FileRecord,
    ModelRecord,
    Record,
    ScoringRecord,
)
from circuitseer_core.runs.reproduction import made_by
from circuitseer_core.runs.selection_records import Diagnostics, SelectionRecord
from circuitseer_core.runs.stage import versions
from circuitseer_core.selection.go_no_go import go_no_go

FORMAT = 1
FOLDER_MANIFEST = "circuitseer.manifest.json"
SUFFIX = ".manifest.json"


def manifest_path(target: Path) -> Path:
    """Where the manifest of an exported file or folder lies: beside a file, inside a folder."""
    if target.is_dir():
        return target / FOLDER_MANIFEST
    return target.with_name(target.name + SUFFIX)


def data_and_manifest(path: Path) -> tuple[Path, Path]:
    """An export and its manifest, from the path of either. UserError where neither is there."""
    if path.name == FOLDER_MANIFEST:
        return path.parent, path
    if path.name.endswith(SUFFIX) and path.is_file():
        return path.with_name(path.name.removesuffix(SUFFIX)), path
    where = manifest_path(path)
    if not path.exists() and not where.is_file():
        raise UserError(f"there is no export at {path}")
    return path, where


class RunPlace(Record):
    """Where the run of an export was: its path, and the way there from the manifest's folder."""

    name: str
    path: str
    path_from_here: str | None = None
    created: str | None = None


class ExportDetails(Record):
    """The exported data: format, rows, prefix and names of the added columns, and the others.

    ``silent``: rows of the selection that were left out for want of a response. ``safe_cells``: in
    CSV, texts that a spreadsheet would run begin with an apostrophe (not so in older exports).
    """

    format: Format
    rows: int
    prefix: str
    columns_as_json: list[str] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    silent: int = 0
    safe_cells: bool = False
    group: list[str] = Field(default_factory=lambda: list(FIRST_GROUP))


class Manifest(Record):
    """What every manifest says of an export: its run, its data, how to make it again.

    ``versions``: of what exported; of what measured, those in ``detect`` and ``scoring``.
    """

    format: int
    made_by: str
    created: str = ""
    run: RunPlace
    model: ModelRecord | None = None
    heads: list[Head] = Field(default_factory=list)
    detect: DetectRecord | None = None
    scoring: ScoringRecord = Field(default_factory=ScoringRecord)
    data: list[DataRecord] | None = None
    export: ExportDetails
    files: list[FileRecord]
    versions: dict[str, str] = Field(default_factory=dict)
    commands: list[str] = Field(default_factory=list)
    seal: str | None = None


class ExportManifest(Manifest):
    """The manifest of an exported selection."""

    calibration: CalibrationRecord | None = None
    selection: SelectionRecord
    diagnostics: Diagnostics
    go_no_go: str | None = None


class PoolManifest(Manifest):
    """The manifest of a whole scored pool; ``scores``: the scoring, ``scorers``: its columns."""

    kind: Literal["pool"]
    scores: str
    scorers: list[str]


AnyManifest = ExportManifest | PoolManifest


def make_manifest(
    run: Run, name: str, *, target: Path, details: ExportDetails, files: Sequence[FileRecord]
) -> ExportManifest:
    """Everything about one export; ``files``: relative name, bytes and SHA-256 of every one."""
    summary = run.selection(name)
    if summary.diagnostics is None:
        raise UserError(f"selection {name!r} has no diagnostics: draw it again")
    typed = ["--selection", name, "--out", str(target), "--format", details.format]
    manifest = ExportManifest(
        **_common(run, summary.scores, target, details, files),
        selection=_without(summary, "diagnostics"),
        diagnostics=_without(summary.diagnostics, "distributions"),
        go_no_go=go_no_go(run, summary).sentence,
        commands=[*made_by(run, selection=summary), _own(run, typed, details)],
    )
    if summary.settings.scorer == CALIBRATED:
        manifest.calibration = applied_record(run, summary.scores)
    manifest.seal = seal(manifest.to_json())
    return manifest


def make_pool_manifest(
    run: Run,
    scores: str,
    scorers: Sequence[str],
    *,
    target: Path,
    details: ExportDetails,
    files: Sequence[FileRecord],
) -> PoolManifest:
    """The same of a whole scored pool."""
    typed = ["--all", "--scores", scores, "--out", str(target), "--format", details.format]
    manifest = PoolManifest(
        **_common(run, scores, target, details, files),
        kind="pool",
        scores=scores,
        scorers=list(scorers),
        commands=[*made_by(run, scores), _own(run, typed, details)],
    )
    manifest.seal = seal(manifest.to_json())
    return manifest


def _common(
    run: Run, scores: str, target: Path, details: ExportDetails, files: Sequence[FileRecord]
) -> dict[str, Any]:
    """The fields of every manifest but its commands and its seal."""
    scoring, detection = run.scoring(scores), run.detection
    return {
        "format": FORMAT,
        "made_by": "circuitseer",
        "created": now(),
        "run": RunPlace(
            name=run.name,
            path=str(run.path),
            path_from_here=_relative(run.path, target),
            created=run.record.created,
        ),
        "model": scoring.model or run.record.model,
        "heads": scoring.heads,
        "detect": _detected(detection),
        "scoring": _without(scoring, "model", "heads", "data"),
        "data": scoring.data,
        "export": details,
        "files": list(files),
        "versions": versions(),
    }


def _detected(detection: DetectRecord) -> DetectRecord:
    """Of a detection what a manifest says."""
    kept = DetectRecord(
        settings=detection.settings,
        probe_data=detection.probe_data,
        n_probe=detection.n_probe,
        probe_left_out=detection.probe_left_out,
        probe_pool_seen=detection.probe_pool_seen,
        noise_floor=detection.noise_floor,
        noise_pairs=detection.noise_pairs,
        noise_against=detection.noise_against,
    )
    if detection.versions:
        kept.versions = detection.versions
    if detection.heads_from is not None:
        kept.heads_from = detection.heads_from
    return kept


def _own(run: Run, typed: Sequence[str], details: ExportDetails) -> str:
    """The export's own command."""
    return as_typed(["export", "--run", str(run.path), *typed, *_kept_formulas(details)])


def _kept_formulas(details: ExportDetails) -> list[str]:
    return ["--keep-formulas"] if details.format == "csv" and not details.safe_cells else []


def seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over the manifest's content as JSON, its seal aside."""
    content = {k: v for k, v in manifest.items() if k != "seal"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(path: Path) -> tuple[AnyManifest, bool]:
    """A manifest, and whether its seal holds. Raises UserError where it is missing or is none."""
    if not path.is_file():
        raise UserError(f"no manifest at {path}: only exports of this tool are verified")
    content = read_json(path)
    if content.get("made_by") != "circuitseer":
        raise UserError(f"{path} is not a manifest of an export")
    if content.get("format") != FORMAT:
        raise UserError(f"{path} has manifest format {content.get('format')}, not {FORMAT}")
    kind = PoolManifest if content.get("kind") == "pool" else ExportManifest
    return kind.parse(content, path), seal(content) == content.get("seal")


def file_entry(path: Path, base: Path) -> FileRecord:
    """Name relative to ``base``, size in bytes and SHA-256 of a file."""
    return FileRecord(
        name=path.relative_to(base).as_posix(),
        bytes=path.stat().st_size,
        sha256=file_hash(path),
    )


def _without(record: AnyRecord, *keys: str) -> AnyRecord:
    """The record less some keys that it need not have."""
    kept = {k: v for k, v in record.to_json().items() if k not in keys}
    return type(record).model_validate(kept)


def _relative(run: Path, target: Path) -> str | None:
    """The way from the manifest's folder to the run, so that both can be moved together."""
    try:
        return Path(os.path.relpath(run.resolve(), target.parent.resolve())).as_posix()
    except ValueError:
        return None  # on another drive
