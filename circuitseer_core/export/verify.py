"""Does an exported subset still follow from its run and its manifest?

1. The manifest's seal and the files' hashes: has anything been edited since the export?
2. The run: is it there, with the same model, heads and settings?
3. The pool: are the scored rows, and the data files behind them, the ones drawn from?
4. The draw, done again from the manifest's settings: the same ids in the same order?
5. The rows, built again from the run's texts: the same cells?

Every kind of difference has its own message; all that are found are told. Chances are compared to
nine digits, since another machine's logarithm may differ in the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from circuitseer_core.calibration.scorer import differing_rows
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.remote import without_query
from circuitseer_core.data.specs import is_remote
from circuitseer_core.errors import UserError
from circuitseer_core.export.compare_rows import compare_rows
from circuitseer_core.export.manifest import (
    FOLDER_MANIFEST,
    AnyManifest,
    ExportManifest,
    PoolManifest,
    data_and_manifest,
    file_entry,
    read_manifest,
)
from circuitseer_core.export.pool_rows import pool_rows
from circuitseer_core.export.rows import exported_rows
from circuitseer_core.export.same_run import (
    first_other,
    other_model,
    other_settings,
    settings_of,
)
from circuitseer_core.files import inside
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.folder import Run, runs_home
from circuitseer_core.runs.records import DataRecord, ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection.decontaminate import (
    Contamination,
    benchmarks_of,
    contamination_in,
)
from circuitseer_core.selection.draw import draw
from circuitseer_core.selection.ids import ids_frame, ids_hash
from circuitseer_core.selection.lists import Lists, NameList, list_rules, stored_rules
from circuitseer_core.selection.pool import load_pool, pool_hash
from circuitseer_core.selection.removals import (
    removed_frame,
    removed_hash,
    stored_contamination,
    stored_removals,
)
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules
from circuitseer_core.selection.strata import clusters_drawn_by


@dataclass(slots=True)
class VerifyResult:
    """``ok`` where nothing differs; ``messages``: one line a difference, ``kinds`` beside them.

    Kinds: manifest, file, run, settings, pool, data, lists, removals, calibration, draw, rows.
    ``notes`` say what could not be compared. ``rows`` counts the exported rows that were derived
    again.
    """

    messages: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything that was compared is the same."""
        return not self.messages

    def add(self, kind: str, message: str) -> None:
        """Record a difference."""
        self.kinds.append(kind)
        self.messages.append(message)


def verify(path: str | Path, run: str | Path | None = None) -> VerifyResult:
    """Compare an export with what its run gives now.

    Args:
        path: the exported file or folder, or its manifest.
        run: the run folder, where it is no longer where the manifest says.

    Raises:
        UserError: there is nothing at ``path``, or no manifest by it.
    """
    target, where = data_and_manifest(Path(path))
    manifest, intact = read_manifest(where)
    result = VerifyResult()
    if not intact:
        result.add("manifest", f"{where.name} was edited after the export: its seal is broken")
    _check_files(target, manifest, result)
    try:
        opened = _open_run(manifest, where, run)
    except UserError as error:
        result.add("run", str(error))
        return result
    pool = isinstance(manifest, PoolManifest)
    try:
        if isinstance(manifest, PoolManifest):
            _check_pool(opened, target, manifest, result)
        else:
            _check_run(opened, manifest, result)
            _check_draw(opened, target, manifest, result)
    except UserError as error:
        what = "pool" if pool else "subset"
        result.add("pool" if pool else "draw", f"the {what} cannot be derived again: {error}")
    return result


def _check_files(target: Path, manifest: AnyManifest, result: VerifyResult) -> None:
    """Hash every data file as it lies there."""
    for entry in manifest.files:
        whole = manifest.export.format == "datasets"
        file = inside(target, entry.name) if whole else target
        if not file.is_file():
            result.add("file", f"{file} is missing")
            continue
        now = file_entry(file, file.parent)
        if now.sha256 != entry.sha256:
            result.add("file", f"{file.name} was changed after the export (its hash is another)")


def _open_run(manifest: AnyManifest, where: Path, moved_to: str | Path | None) -> Run:
    """The manifest's run: where it was, beside the export as it was, or among the runs."""
    if moved_to is not None:
        return Run.open(moved_to)
    named = manifest.run
    beside = named.path_from_here
    places = [Path(named.path), runs_home() / named.name]
    if beside:
        places.insert(0, where.parent / beside)
        if where.name == FOLDER_MANIFEST:
            places.insert(0, where.parent.parent / beside)
    for place in places:
        if (place / "run.json").is_file():
            return Run.open(place)
    raise UserError(
        f"the run {named.name!r} is not at {named.path}: without it the subset cannot be "
        "derived again (say where it is with --run)"
    )


def _check_run(run: Run, manifest: ExportManifest, result: VerifyResult) -> None:
    """The scoring's model and heads, and the settings of the stored selection."""
    selection = manifest.selection
    if not _check_scoring(run, selection.scores, manifest, result):
        return
    if selection.name not in run.selections():
        result.notes.append(f"the run has no selection {selection.name!r} any more")
        return
    stored = run.selection(selection.name)
    if stored.created != selection.created:
        result.notes.append(f"selection {selection.name!r} was drawn again since the export")
        return
    for line in other_settings(selection, stored):
        result.add("settings", line)


def _check_scoring(run: Run, scores: str, manifest: AnyManifest, result: VerifyResult) -> bool:
    """The scoring's model, heads and data; False where there is no such scoring."""
    try:
        scoring = run.scoring(scores)
    except UserError as error:
        result.add("run", str(error))
        return False
    for line in other_model(manifest.model, scoring.model):
        result.add("run", line)
    if scoring.heads != manifest.heads:
        result.add("run", "the run was scored with other heads than the manifest names")
    _check_data(scoring, manifest, result)
    return True


def _check_pool(run: Run, target: Path, manifest: PoolManifest, result: VerifyResult) -> None:
    """Every scored row and its scores, built again from the run."""
    if not _check_scoring(run, manifest.scores, manifest, result) or not target.exists():
        return
    export = manifest.export
    rows = pool_rows(run, manifest.scores, manifest.scorers, export.format)
    rows = replace(rows, safe_cells=export.safe_cells)
    differences, result.rows = compare_rows(rows, target, export.format, export.prefix)
    for difference in differences:
        result.add("rows", difference)


def _check_data(scoring: ScoringRecord, manifest: AnyManifest, result: VerifyResult) -> None:
    """The data files, where the run says which they were and they are still there."""
    if first_other(scoring.data, manifest.data or []) is not None:
        result.add("data", "the run was scored on other data than the manifest names")
    specs = scoring.data_specs
    local = [spec for spec in specs if not is_remote(spec)]
    if not specs or len(local) < len(specs) or not manifest.data:
        result.notes.append("the data behind the scores was not read again")
        return
    then: dict[str, set[str | None]] = {}  # two sources may each have a train.jsonl
    for file in (file for data in manifest.data for file in data.files):
        then.setdefault(file.name, set()).add(file.sha256)
    named = next((data.fields for data in manifest.data if data.fields), {})
    fields = Fields(**{option: name for option, name in named.items() if name})
    try:
        now = DataRecord(**Corpus(local, fields).fingerprint()).files
    except UserError as error:
        result.notes.append(f"the data behind the scores cannot be read again: {error}")
        return
    for file in now:
        if file.name in then and file.sha256 not in then[file.name]:
            result.add("data", f"data file {file.name} has changed since it was scored")


def _check_draw(run: Run, target: Path, manifest: ExportManifest, result: VerifyResult) -> None:
    """Draw again and compare pool, ids and rows."""
    selection = manifest.selection
    settings = settings_of(run, selection)
    rules = _rules(run, selection, settings, result)
    rules = replace(rules, contamination=_contamination(run, selection, settings, result))
    compared = bool(selection.counts.duplicate)
    if not selection.prompts_compared:
        rules = replace(rules, duplicates=False)
    pool = load_pool(run, settings, prompts=compared and rules.duplicates)
    if compared and pool.prompt is None:
        raise UserError(
            "duplicates were removed by their texts, and the run's texts are not at hand"
        )
    if pool_hash(pool) != selection.pool_hash:
        was = selection.counts.rows
        change = "other scores" if len(pool) == was else f"{len(pool):,} rows, {was:,} then"
        result.add("pool", f"the pool has changed since the draw ({change})")
    if manifest.calibration is not None:
        _check_calibration(run, settings.scores, manifest.calibration, result)
    if selection.clusters != clusters_drawn_by(run, settings):
        result.add("settings", "the clusters that shared the budget were made anew since the draw")
    drawing = draw(pool, settings, rules, target=selection.lengths, every_must=False)
    if selection.removals is not None:
        removed = removed_frame(pool, drawing.sifted, rules.contamination)
        if removed_hash(removed) != selection.removals.sha256:
            was, now = selection.removals.rows, len(removed)
            result.add(
                "removals", f"other rows are removed than at the draw ({now:,}, {was:,} then)"
            )
    frame = ids_frame(drawing)
    if ids_hash(frame["id"]) != selection.ids_hash:
        result.add("draw", _other_subset(run, selection, frame, settings))
        return
    if target.exists():
        form, prefix = manifest.export.format, manifest.export.prefix
        group = tuple(manifest.export.group)
        subset = exported_rows(run, settings.scores, frame, form, group)
        subset = replace(subset, safe_cells=manifest.export.safe_cells)
        differences, result.rows = compare_rows(subset, target, form, prefix)
        for difference in differences:
            result.add("rows", difference)


def _check_calibration(
    run: Run, scores: str, record: CalibrationRecord, result: VerifyResult
) -> None:
    """Score every row again with the manifest's weights, from the readings in the shards."""
    try:
        wrong = differing_rows(run, scores, record)
    except UserError as error:
        result.add("calibration", f"the calibrated scores cannot be derived again: {error}")
        return
    if wrong:
        result.add(
            "calibration",
            f"{wrong:,} rows have another calibrated score than the manifest's weights give",
        )


def _rules(
    run: Run, selection: SelectionRecord, settings: SelectionSettings, result: VerifyResult
) -> Rules:
    """The lists as they stood at the draw; empty ones need no file."""
    if selection.lists is None or not selection.lists.rows:
        return list_rules(settings, Lists(NameList(), NameList()))
    rules, digest = stored_rules(run, selection.name, settings)
    if digest != selection.lists.sha256:
        result.add("lists", "the lists kept with the selection are not the ones drawn with")
    return rules


def _contamination(
    run: Run, selection: SelectionRecord, settings: SelectionSettings, result: VerifyResult
) -> Contamination | None:
    """The contaminated rows, found again; as they were kept where a benchmark is not here.

    Nothing is fetched: a manifest may come from anybody.
    """
    if selection.removals is None or selection.removals.contamination is None:
        return None
    then = selection.removals.contamination
    elsewhere = next(filter(is_remote, settings.decontaminate), None)
    try:
        if elsewhere is not None:
            raise UserError(f"{without_query(elsewhere)} is not on this machine")
        files = benchmarks_of(run, settings).files
        changed = first_other(files, then.benchmarks)
        if changed is None:
            return contamination_in(run, settings)
        why = f"{changed.file} has changed"
    except UserError as error:
        why = str(error)
    result.notes.append(f"the benchmarks were not compared again: {why}")
    stored = stored_removals(run, selection)
    if removed_hash(stored) != selection.removals.sha256:
        result.add("removals", "the removals kept with the selection are not those of the draw")
    return stored_contamination(stored, then.n, then.benchmarks)


def _other_subset(
    run: Run, selection: SelectionRecord, frame: pd.DataFrame, settings: SelectionSettings
) -> str:
    text = f"the manifest's settings (seed {settings.seed}) draw another subset than was exported"
    stored = set()
    if selection.name in run.selections():
        kept = run.selection_ids(selection.name)["id"]
        stored = set(kept) if ids_hash(kept) == selection.ids_hash else set()
    if not stored:
        return text
    missing = len(stored - set(frame["id"]))
    return f"{text}: {missing} of {len(stored)} samples differ"
