"""The manifest beside an export: all that is needed to derive the subset again and to defend it.

Its ``seal`` is a hash over everything else in it, so that an edited manifest shows; the files'
hashes are inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError
from circuitseer_core.files import write_json
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.stage import versions

FORMAT = 1
FOLDER_MANIFEST = "circuitseer.manifest.json"
SUFFIX = ".manifest.json"


def manifest_path(target: Path) -> Path:
    """Where the manifest of an exported file or folder lies: beside a file, inside a folder."""
    if target.is_dir():
        return target / FOLDER_MANIFEST
    return target.with_name(target.name + SUFFIX)


def make_manifest(
    run: Run,
    name: str,
    *,
    form: str,
    target: Path,
    rows: int,
    details: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Everything about one export.

    Args:
        details: prefix of the added columns, columns stored as JSON, columns left out.
        files: relative name, bytes and SHA-256 of every data file.
    """
    summary = run.selection(name)
    scoring = run.scores_settings(str(summary["scores"]))
    detect = run.manifest.get("detect") or {}
    selection = {k: v for k, v in summary.items() if k != "diagnostics"}
    diagnostics = dict(summary.get("diagnostics") or {})
    diagnostics.pop("distributions", None)
    command = ["python", "-m", "circuitseer_core", "export", "--run", str(run.path)]
    command += ["--selection", name, "--out", str(target), "--format", form]
    content = {
        "format": FORMAT,
        "made_by": "circuitseer",
        "created": now(),
        "run": {
            "name": run.name,
            "path": str(run.path),
            "path_from_here": _relative(run.path, target),
            "created": run.manifest.get("created"),
        },
        "model": scoring.get("model") or run.manifest.get("model"),
        "heads": scoring.get("heads"),
        "detect": {k: detect.get(k) for k in ("settings", "probe_data", "n_probe", "noise_floor")},
        "scoring": {k: v for k, v in scoring.items() if k not in ("model", "heads", "data")},
        "data": scoring.get("data"),
        "selection": selection,
        "diagnostics": diagnostics,
        "export": {"format": form, "rows": rows, **details},
        "files": list(files),
        "versions": {**(run.manifest.get("versions") or {}), **versions()},
        "commands": [*_earlier(run), str(summary.get("command")), shlex.join(command)],
    }
    return {**content, "seal": seal(content)}


def seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over the manifest's content, its seal aside."""
    content = {k: v for k, v in manifest.items() if k != "seal"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest atomically."""
    write_json(path, manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest. Raises UserError where it is missing or is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no manifest at {path}: only exports of this tool are verified") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a manifest: {error}") from error
    if not isinstance(value, dict) or value.get("made_by") != "circuitseer":
        raise UserError(f"{path} is not a manifest of an export")
    if value.get("format") != FORMAT:
        raise UserError(f"{path} has manifest format {value.get('format')}, not {FORMAT}")
    return value


def file_entry(path: Path, base: Path) -> dict[str, Any]:
    """Name relative to ``base``, size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {
        "name": path.relative_to(base).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": digest.hexdigest(),
    }


def _earlier(run: Run) -> list[str]:
    """The commands behind the scores, as they were given: the last of each stage."""
    last: dict[str, str] = {}
    for entry in run.manifest.get("commands") or []:
        if entry.get("command") and entry.get("stage") in ("detect", "score"):
            last[entry["stage"]] = str(entry["command"])
    return list(last.values())


def _relative(run: Path, target: Path) -> str | None:
    """The way from the manifest's folder to the run, so that both can be moved together."""
    try:
        return Path(os.path.relpath(run.resolve(), target.parent.resolve())).as_posix()
    except ValueError:
        return None  # on another drive
