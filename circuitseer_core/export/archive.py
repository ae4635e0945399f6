"""An export as it leaves for elsewhere: the same files, in one archive or on their way to the Hub.

Where they will lie is not known, so the manifest names the data file alone and the run by its path.
"""

from __future__ import annotations

import tempfile
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path

from circuitseer_core.export.manifest import read_manifest, seal
from circuitseer_core.export.rows import Format
from circuitseer_core.export.write import export, hub_files
from circuitseer_core.runs.folder import Run

_SUFFIX: dict[Format, str] = {
    "jsonl": ".jsonl",
    "messages": ".messages.jsonl",
    "parquet": ".parquet",
    "datasets": "",
}


def portable_files(run: Run, selection: str, form: Format, folder: Path) -> dict[str, Path]:
    """Write data, manifest and card into ``folder``: name in the archive or repository → file.

    Raises:
        UserError: as :func:`circuitseer_core.export.write.export`.
    """
    name = f"{selection}{_SUFFIX[form]}"
    done = export(run, selection, folder / name, form)
    manifest, _ = read_manifest(done.manifest)
    manifest.commands[-1] = manifest.commands[-1].replace(str(done.path), name)
    manifest.run.path_from_here = None
    manifest.seal = seal(manifest.to_json())
    manifest.write(done.manifest)
    return hub_files(done)


def archive_bytes(run: Run, selection: str, form: Format = "jsonl") -> bytes:
    """A zip of data, manifest and card; unpacked, ``verify`` takes it as any export.

    Files carry the time of the draw.

    Raises:
        UserError: as :func:`portable_files`.
    """
    drawn = run.selection(selection).created
    moment = datetime.fromisoformat(drawn).timetuple()[:6] if drawn else (1980, 1, 1, 0, 0, 0)
    sink = BytesIO()
    with (
        tempfile.TemporaryDirectory(prefix="circuitseer-") as folder,
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        inside = f"{selection}/" if form == "datasets" else ""
        for name, path in portable_files(run, selection, form, Path(folder)).items():
            entry = zipfile.ZipInfo(inside + name, moment)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return sink.getvalue()
