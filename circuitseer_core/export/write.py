"""Rows out into the world: data, manifest and dataset card, each whole or not at all.

Of a selection, or (``export_all``) of the whole scored pool, in the formats of formats.py. Beside
a file NAME lie ``NAME.manifest.json`` and ``README.md``; a file without such a manifest is no
export and never replaced, nor is a README.md that is not ours (the card is then
``NAME.README.md``). Inside a ``datasets`` folder lie
``circuitseer.manifest.json`` and ``README.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.errors import UserError
from circuitseer_core.export.card_parts import marker
from circuitseer_core.export.cells import csv_pieces
from circuitseer_core.export.formats import (
    FORMATS,
    KNOWN_SUFFIXES,
    SHAPED,
    SUFFIXES,
    Format,
    file_name,
    format_of,
)
from circuitseer_core.export.manifest import (
    FOLDER_MANIFEST,
    AnyManifest,
    ExportDetails,
    file_entry,
    make_manifest,
    make_pool_manifest,
    manifest_path,
)
from circuitseer_core.export.pool_card import card_of
from circuitseer_core.export.pool_rows import finished_scorers, pool_rows
from circuitseer_core.export.public import public_files
from circuitseer_core.export.push import hub_token, push_files
from circuitseer_core.export.rows import ExportedRows, line_bytes, load_rows
from circuitseer_core.export.schema import Columns, find_columns, tables
from circuitseer_core.export.shapes import registry_entry, registry_name
from circuitseer_core.files import atomic_path, replace_folder, sweep_beside, write_json, write_text
from circuitseer_core.installation import require_extra
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import FileRecord
from circuitseer_core.selection.ids import ids_hash

Manifests = Callable[[Path, ExportDetails, Sequence[FileRecord]], AnyManifest]
"""Makes the manifest of what was written: target, details, files."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the data (a file, or a folder for ``datasets``), and what lies by it."""

    path: Path
    manifest: Path
    card: Path
    rows: int
    bytes: int
    notes: tuple[str, ...] = field(default=())
    address: str | None = None


def export(
    run: Run,
    selection: str | None,
    out: str | Path,
    format: Format | None = None,
    push: str | None = None,
    *,
    keep_formulas: bool = False,
) -> Exported:
    """Write one selection.

    Args:
        selection: its name; the one drawn last by default.
        out: a file, or a folder (for ``datasets``, always); in an existing folder the file gets the
            selection's name.
        format: by default what the name of ``out`` says, else ``jsonl``.
        push: a Hub dataset repository, ``owner/name``, to put it into as well.
        keep_formulas: in CSV, texts that a spreadsheet would run stay as they are.

    Raises:
        UserError: no such selection, texts are missing, the target is not ours to replace or cannot
            be written, or the Hub refuses.
    """
    name = selection or _last_selection(run)
    settled = _form(format, Path(out))
    target = _target(Path(out), settled, name, str(out))
    if push is not None:
        hub_token()  # before any work is done
    subset = _for_spreadsheets(load_rows(run, name, settled), settled, keep_formulas)

    def manifest(path: Path, details: ExportDetails, files: Sequence[FileRecord]) -> AnyManifest:
        return make_manifest(run, name, target=path, details=details, files=files)

    done = _write(subset, target, settled, manifest)
    return done if push is None else _pushed(done, push)


def export_all(
    run: Run,
    scores: str,
    out: str | Path,
    format: Format | None = None,
    push: str | None = None,
    *,
    keep_formulas: bool = False,
) -> Exported:
    """Write every scored row of a scoring, in data order, with every score.

    Args:
        scores: the scoring.
        out, format, push, keep_formulas: as of ``export``; in a folder the file is ``NAME.all``.

    Raises:
        UserError: as ``export``; the scoring is not finished.
    """
    settled = _form(format, Path(out))
    target = _target(Path(out), settled, f"{scores}.all", str(out))
    scorers = finished_scorers(run, scores)
    if push is not None:
        hub_token()
    rows = pool_rows(run, scores, scorers, settled)
    pool = _for_spreadsheets(rows, settled, keep_formulas)

    def manifest(path: Path, details: ExportDetails, files: Sequence[FileRecord]) -> AnyManifest:
        return make_pool_manifest(run, scores, scorers, target=path, details=details, files=files)

    done = _write(pool, target, settled, manifest)
    return done if push is None else _pushed(done, push)


def _pieces(subset: ExportedRows, form: Format) -> Iterator[bytes]:
    """The bytes of a text format."""
    if form != "csv":
        return line_bytes(subset, form)
    names = dict.fromkeys(name for row in subset.rows() for name in row)
    return csv_pieces(list(names), subset.rows(), safe=subset.safe_cells)


def _for_spreadsheets(subset: ExportedRows, form: Format, keep: bool) -> ExportedRows:
    """The rows with what is to become of formulas in CSV."""
    return replace(subset, safe_cells=form == "csv" and not keep)


def _write(subset: ExportedRows, target: Path, form: Format, manifest: Manifests) -> Exported:
    try:
        sweep_beside(*_written(target))
        if form == "datasets":
            return _write_folder(subset, target, manifest)
        return _write_file(subset, target, form, manifest)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def _pushed(done: Exported, push: str) -> Exported:
    with tempfile.TemporaryDirectory() as folder:
        address = push_files(push, hub_files(done, Path(folder)))
    return Exported(**{**_fields(done), "address": address})


def _write_file(subset: ExportedRows, target: Path, form: Format, make: Manifests) -> Exported:
    details = _details(subset, form)
    with atomic_path(target) as temporary:
        if form == "parquet":
            columns = find_columns(subset.rows)
            details.columns_as_json = list(columns.as_json)
            _write_parquet(temporary, subset, columns)
        else:
            if form in SHAPED:
                details.left_out = subset.left_out
            with temporary.open("wb") as file:
                file.writelines(_pieces(subset, form))
        entry = file_entry(temporary, temporary.parent)
        entry.name = target.name
        manifest = make(target, details, [entry])
        path = manifest_path(target)
        manifest.write(path)  # before the data: killed in between, the export can be done again
    card = _card_path(target)
    write_text(card, card_of(manifest, target.name, target.name))
    notes = _register(target, form) if form in SHAPED else ()
    if subset.silent:
        left = f"{subset.silent:,} of {subset.silent + len(subset):,} rows have no response"
        notes = (f"{left} and were left out (select --require-response draws others)", *notes)
    return Exported(target, path, card, len(subset), int(entry.bytes or 0), notes)


def _details(subset: ExportedRows, form: Format) -> ExportDetails:
    details = ExportDetails(
        format=form, rows=len(subset), prefix=subset.prefix, group=list(subset.group)
    )
    if subset.silent:
        details.silent = subset.silent
    if subset.safe_cells:
        details.safe_cells = True
    return details


def _write_folder(subset: ExportedRows, target: Path, make: Manifests) -> Exported:
    require_extra("hub", "a datasets folder", "datasets")
    import datasets

    columns = find_columns(subset.rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        table = pa.concat_tables(tables(subset.rows(), columns))
        data = datasets.Dataset(table, fingerprint=ids_hash(subset.ids["id"])[:16])
        with _quiet(datasets):
            data.save_to_disk(str(aside))
        files = [file_entry(path, aside) for path in sorted(aside.rglob("*")) if path.is_file()]
        details = _details(subset, "datasets")
        details.columns_as_json = list(columns.as_json)
        manifest = make(target, details, files)
        manifest.write(aside / FOLDER_MANIFEST)
        write_text(aside / "README.md", card_of(manifest, target.name, "*.arrow"))
        replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    size = sum(int(entry.bytes or 0) for entry in files)
    card = target / "README.md"
    return Exported(target, target / FOLDER_MANIFEST, card, len(subset), size)


def _write_parquet(path: Path, subset: ExportedRows, columns: Columns) -> None:
    with pq.ParquetWriter(path, columns.schema, compression="zstd") as writer:
        for table in tables(subset.rows(), columns):
            writer.write_table(table)


def _last_selection(run: Run) -> str:
    names = run.selections()
    if not names:
        raise UserError(f"{run.path} has no selection yet: run select --run {run.path}")
    return names[0]


def _form(form: Format | None, out: Path) -> Format:
    if form is None:
        return format_of(out.suffix)
    if form not in FORMATS:
        raise UserError(f"no format {form!r}; there are {', '.join(FORMATS)}")
    return form


def _target(out: Path, form: Format, name: str, as_typed: str) -> Path:
    """The file or folder to write. Raises UserError where something else would be overwritten."""
    if form == "datasets":
        if out.is_file():
            raise UserError(f"{out} is a file: a datasets export is a folder")
        if out.is_dir() and any(out.iterdir()) and not (out / FOLDER_MANIFEST).is_file():
            raise UserError(f"{out} is not empty and no earlier export: choose another --out")
        return out
    if out.is_dir() or as_typed.endswith(("/", os.sep)):
        return _ours(out / file_name(name, form))
    suffix = out.suffix.lower()
    if suffix in KNOWN_SUFFIXES and suffix not in SUFFIXES[form]:
        raise UserError(
            f"{out.name} does not look like {form}: name it {out.stem}{SUFFIXES[form][0]}"
        )
    return _ours(out)


def _ours(target: Path) -> Path:
    """The file itself. Raises UserError where one is there that is no earlier export."""
    if target.is_file() and not manifest_path(target).is_file():
        raise UserError(
            f"{target} is there and no earlier export (no {manifest_path(target).name}): choose "
            "another --out"
        )
    return target


def _written(target: Path) -> tuple[Path, ...]:
    """Everything that an export to ``target`` may write beside it."""
    card, other = target.with_name("README.md"), target.with_name(f"{target.name}.README.md")
    return target, manifest_path(target), card, other, target.with_name("dataset_info.json")


def _card_path(target: Path) -> Path:
    """README.md beside the file, unless one is there that is not this file's card."""
    readme = target.with_name("README.md")
    if not readme.exists():
        return readme
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    ours = marker(target.name) in text
    return readme if ours else target.with_name(f"{target.name}.README.md")


def _register(target: Path, form: Format) -> tuple[str, ...]:
    """Add the file to LLaMA-Factory's dataset_info.json beside it, which other entries keep."""
    path = target.with_name("dataset_info.json")
    entries: dict[str, Any] = {}
    if path.exists():
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = {"": None}
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            return (f"{path} is not LLaMA-Factory's: add the entry from the card to yours",)
    entry = registry_entry(form, target.name)
    key = registry_name(form, target.name)
    if entries.get(key, entry) != entry:
        return (f"{path} has another {key!r}: add the entry from the card under another name",)
    write_json(path, {**entries, key: entry})
    return ()


def hub_files(done: Exported, folder: Path) -> dict[str, Path]:
    """Path in the repository → file; manifest and card without this machine's paths."""
    if done.path.is_dir():
        inside = sorted(path for path in done.path.rglob("*") if path.is_file())
        files = {path.relative_to(done.path).as_posix(): path for path in inside}
        name = done.path.name
        return public_files(files, FOLDER_MANIFEST, "README.md", folder, name, "*.arrow")
    name = done.manifest.name
    files = {done.path.name: done.path, name: done.manifest, "README.md": done.card}
    return public_files(files, name, "README.md", folder, done.path.name, done.path.name)


def _fields(done: Exported) -> dict[str, Any]:
    return {name: getattr(done, name) for name in Exported.__slots__}


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No bar of the library's own while saving."""
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
