"""The runs there are: what the app offers to open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from circuitseer_core.json_io import is_utf8
from circuitseer_core.runs.folder import runs_home


def list_runs(home: Path | None = None) -> list[Path]:
    """Run folders under ``home``, most recently changed first; an absent home is an empty list.

    Without those of :func:`unwritable_runs`.
    """
    return [path for path in _run_folders(home or runs_home()) if is_utf8(path.name)]


def unwritable_runs(home: Path | None = None) -> list[Path]:
    """Run folders whose names are not UTF-8: no page, link or JSON file can hold such a name."""
    return [path for path in _run_folders(home or runs_home()) if not is_utf8(path.name)]


def _run_folders(home: Path) -> list[Path]:
    changed: dict[Path, float] = {}
    for path in home.iterdir() if home.is_dir() else ():
        with suppress(OSError):  # somebody may be deleting it
            if (path / "run.json").is_file():
                changed[path] = (path / "run.json").stat().st_mtime
    return sorted(changed, key=changed.__getitem__, reverse=True)
