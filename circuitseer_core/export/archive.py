"""An export that is handed out: its files in one archive, or as a push would send them.

Where an archive will be unpacked is not known, so its manifest and card name the data file alone.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from circuitseer_core.export.formats import Format, file_name
from circuitseer_core.export.manifest import read_manifest, seal
from circuitseer_core.export.pool_card import card_of
from circuitseer_core.export.write import Exported, export, export_all, hub_files
from circuitseer_core.files import write_text
from circuitseer_core.runs.folder import Run

_FIRST, _LAST_YEAR = datetime(1980, 1, 1, tzinfo=UTC), 2107
"""Times that a zip can hold."""


def push_preview(
    run: Run, selection: str, form: Format, folder: Path, *, keep_formulas: bool = False
) -> dict[str, Path]:
    """Write what a push would send into ``folder``: path in the repository → file.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export`.
    """
    out = folder / "data" / file_name(selection, form)
    done = export(run, selection, out, form, keep_formulas=keep_formulas)
    return hub_files(done, folder)


def _archived(done: Exported, folder: Path) -> list[tuple[str, Path]]:
    """Data, manifest and card, as they were written into ``folder``; names in the archive."""
    name = done.path.name
    manifest, _ = read_manifest(done.manifest)
    manifest.commands[-1] = manifest.commands[-1].replace(str(done.path), name)
    manifest.run.path_from_here = None
    manifest.seal = seal(manifest.to_json())
    manifest.write(done.manifest)
    write_text(done.card, card_of(manifest, name, "*.arrow" if done.path.is_dir() else name))
    if done.path.is_dir():
        inside = sorted(path for path in done.path.rglob("*") if path.is_file())
        return [(path.relative_to(folder).as_posix(), path) for path in inside]
    return [(path.name, path) for path in (done.path, done.manifest, done.card)]


def archive_bytes(
    run: Run, selection: str, form: Format = "jsonl", *, keep_formulas: bool = False
) -> bytes:
    """A zip of data, manifest and card; unpacked, ``verify`` takes it as any export.

    Files carry the time of the draw.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export`.
    """
    name = file_name(selection, form)
    return _packed(
        lambda folder: export(run, selection, folder / name, form, keep_formulas=keep_formulas),
        run.selection(selection).created,
    )


def pool_archive_bytes(
    run: Run, scores: str, form: Format = "jsonl", *, keep_formulas: bool = False
) -> bytes:
    """The same of the whole scored pool, every row with every score; files carry the time of it.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export_all`.
    """
    name = file_name(f"{scores}.all", form)
    return _packed(
        lambda folder: export_all(run, scores, folder / name, form, keep_formulas=keep_formulas),
        run.scoring(scores).finished,
    )


def _packed(write: Callable[[Path], Exported], made: str | None) -> bytes:
    """What ``write`` makes in a folder, as a zip; ``made``: the time that its files carry."""
    with tempfile.TemporaryDirectory(prefix="circuitseer-") as folder:
        return zipped(_archived(write(Path(folder)), Path(folder)), made)


def zipped(files: Iterable[tuple[str, Path]], made: str | None) -> bytes:
    """A zip of files by their names in it; all carry the time ``made`` (ISO 8601), the first that
    a zip can have where it is none of these. A name leads out of no folder, also on Windows."""
    moment = _moment(made or "")
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files:
            entry = zipfile.ZipInfo(re.sub(r"[\\:]", "_", name), moment)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return sink.getvalue()


def _moment(made: str) -> tuple[int, int, int, int, int, int]:
    """A record's time as a zip has it: it comes from a file that anybody may have written."""
    try:
        at = datetime.fromisoformat(made)
    except ValueError:
        at = _FIRST
    at = at if _FIRST.year <= at.year <= _LAST_YEAR else _FIRST
    return at.year, at.month, at.day, at.hour, at.minute, at.second
