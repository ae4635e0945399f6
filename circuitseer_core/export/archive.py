"""An export that is handed out: its files in one archive, or as a push would send them.

Where an archive will be unpacked is not known, so its manifest names the data file alone.
"""

from __future__ import annotations

import tempfile
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path

from circuitseer_core.export.formats import Format, file_name
from circuitseer_core.export.manifest import read_manifest, seal
from circuitseer_core.export.write import export, hub_files
from circuitseer_core.runs.folder import Run


def push_preview(run: Run, selection: str, form: Format, folder: Path) -> dict[str, Path]:
    """Write what a push would send into ``folder``: path in the repository → file.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export`.
    """
    done = export(run, selection, folder / "data" / file_name(selection, form), form)
    return hub_files(done, folder)


def _archived(run: Run, selection: str, form: Format, folder: Path) -> list[tuple[str, Path]]:
    """Data, manifest and card, written into ``folder``; names in the archive."""
    name = file_name(selection, form)
    done = export(run, selection, folder / name, form)
    manifest, _ = read_manifest(done.manifest)
    manifest.commands[-1] = manifest.commands[-1].replace(str(done.path), name)
    manifest.run.path_from_here = None
    manifest.seal = seal(manifest.to_json())
    manifest.write(done.manifest)
    if done.path.is_dir():
        inside = sorted(path for path in done.path.rglob("*") if path.is_file())
        return [(path.relative_to(folder).as_posix(), path) for path in inside]
    return [(path.name, path) for path in (done.path, done.manifest, done.card)]


def archive_bytes(run: Run, selection: str, form: Format = "jsonl") -> bytes:
    """A zip of data, manifest and card; unpacked, ``verify`` takes it as any export.

    Files carry the time of the draw.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export`.
    """
    drawn = run.selection(selection).created
    moment = datetime.fromisoformat(drawn).timetuple()[:6] if drawn else (1980, 1, 1, 0, 0, 0)
    sink = BytesIO()
    with (
        tempfile.TemporaryDirectory(prefix="circuitseer-") as folder,
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, path in _archived(run, selection, form, Path(folder)):
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return sink.getvalue()
