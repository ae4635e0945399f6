"""A run's head map into a dataset repository on the Hub."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from circuitseer_core.checksums import require_whole
from circuitseer_core.detection.head_map import (
    FORMAT,
    MANIFEST,
    TABLE,
    HeadMapRecord,
    Measured,
    read_head_map,
)
from circuitseer_core.errors import UserError
from circuitseer_core.export.push import hub_token, push_files
from circuitseer_core.files import write_text
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import remedy_for
from circuitseer_core.sharing.card import head_map_card, public_model


def push_heads(run: Run, repo: str) -> str:
    """Put heads.parquet, manifest and card into ``repo``; returns its address.

    Raises:
        UserError: no detection yet, a damaged table, no token, or the Hub refuses.
    """
    hub_token()  # before any work is done
    with tempfile.TemporaryDirectory() as folder:
        files = write_head_map(run, Path(folder), repo)
        return push_files(repo, files, message="Add a head map measured with CircuitSeer")


def write_head_map(run: Run, folder: Path, repo: str) -> dict[str, Path]:
    """The files that a push sends: path in the repository → file in ``folder``."""
    if not run.heads_path.is_file():
        raise UserError(f"{run.path} has no heads table: run detect --run {run.path}")
    require_whole(run.heads_path, remedy_for(run.path, run.heads_path))
    shutil.copyfile(run.heads_path, folder / TABLE)
    record = HeadMapRecord(
        format=FORMAT,
        model=public_model(run),
        measured=Measured.of_run(run),
        heads=len(run.heads()),
        sha256=file_hash(folder / TABLE),
        versions=run.detection.versions,
    )
    record.write(folder / MANIFEST)
    checked = read_head_map(folder)  # what cannot be read again is not sent
    write_text(folder / "README.md", head_map_card(checked, repo))
    return {name: folder / name for name in (TABLE, MANIFEST, "README.md")}
