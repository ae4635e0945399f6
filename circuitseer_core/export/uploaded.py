"""Verifying what came through the app: the archive that it hands out, or an export's own files.

All of it goes into a folder of its own for as long as it is looked at. Nothing leaves that folder:
names in an archive that lead out of it are refused, links are none, and what comes out is counted
as it comes, since an archive may say anything of its size.
"""

from __future__ import annotations

import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from circuitseer_core.data.compression import FREE_BYTES, MOST_EXPANSION
from circuitseer_core.data.uploads import MOST_BYTES, file_name
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.export.manifest import FOLDER_MANIFEST, SUFFIX
from circuitseer_core.export.verify import VerifyResult, verify

MOST_FILES = 10_000
MOST_UNPACKED = 4 * MOST_BYTES
_CHUNK = 1 << 20
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, struct.error),  # a name that is not UTF-8, a field that is cut
)
_WANTED = (
    "choose the downloaded .zip, or one exported file and the .manifest.json that lies beside it, "
    f"or all files of a datasets folder with its {FOLDER_MANIFEST}"
)


def verify_uploaded(files: Sequence[tuple[str, bytes]], run: str | Path) -> VerifyResult:
    """Compare an export with what ``run`` gives now; ``files``: name and content of each.

    Raises:
        UserError: they are no whole export, or an archive is damaged, too large or leads out of
            its folder.
    """
    with tempfile.TemporaryDirectory(prefix="circuitseer-") as folder:
        return verify(_laid_out(files, Path(folder)), run)


def _laid_out(files: Sequence[tuple[str, bytes]], folder: Path) -> Path:
    """Write the files into ``folder`` as the export had them; its manifest or its data."""
    if len(files) == 1 and files[0][0].lower().endswith(".zip"):
        return unpacked(files[0][1], folder)
    manifests = [content for name, content in files if name.endswith(SUFFIX)]
    data = [(file_name(name), content) for name, content in files if not name.endswith(SUFFIX)]
    if len(manifests) != 1:
        raise UserError(_WANTED)
    if any(name == FOLDER_MANIFEST for name, _ in files):
        where = folder / FOLDER_MANIFEST
    elif len(data) == 1:  # whatever it is called by now, its manifest is called so too
        where = folder / f"{data[0][0]}{SUFFIX}"
    else:
        raise UserError(_WANTED)
    for name, content in data:
        (folder / name).write_bytes(content)
    where.write_bytes(manifests[0])
    return where


def unpacked(content: bytes, folder: Path) -> Path:
    """Unpack an archive into ``folder``; returns the one manifest in it.

    Raises UserError: no zip archive, damaged, encrypted, too large, a name that leads out of the
    folder, or not one manifest.
    """
    allowed = min(MOST_UNPACKED, max(FREE_BYTES, MOST_EXPANSION * len(content)))
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES:
                raise UserError(f"the archive has more than {MOST_FILES:,} files")
            for entry in entries:
                allowed -= _write(archive, entry, folder, allowed)
    except _UNREADABLE as error:
        raise UserError(f"this archive cannot be read: {one_line(error)}") from error
    except OSError as error:  # a file where another has a folder, a name too long
        raise UserError(f"this archive cannot be unpacked: {one_line(error)}") from error
    manifests = [path for path in folder.rglob(f"*{SUFFIX}") if not path.name.startswith(".")]
    if len(manifests) != 1:
        raise UserError(f"the archive has {len(manifests)} manifests (*{SUFFIX}), not one")
    return manifests[0]


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, allowed: int) -> int:
    """Write one entry below ``folder``, of at most ``allowed`` bytes; how many it was."""
    parts = PurePosixPath(entry.filename).parts
    if not parts or parts[0] == "/" or ".." in parts or any(c in entry.filename for c in "\\:\0"):
        raise UserError(f"the archive names {entry.filename!r}, which leads out of it: refused")
    target, size = folder.joinpath(*parts), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as out:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            if size > allowed:
                raise UserError("the archive unpacks to more than an export of its size would")
            out.write(chunk)
    return size
