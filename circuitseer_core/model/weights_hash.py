"""The hash that pins a model's weights, computed once a machine.

A file that has the path, size and time of change that it had is not read again: hashing takes about
a second a gigabyte. The memory is one JSON file; without it, or where it cannot be written, every
load hashes.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from circuitseer_core.files import atomic_path, cache_home, sweep_beside

SUFFIXES = {".safetensors", ".bin", ".gguf"}
_NAMED = "transformers_weights"
"""The key under which a configuration may name another file than the usual ones."""


def weights_hash(folder: Path) -> str:
    """SHA-256 over names and SHA-256 of the weight files that are loaded from ``folder``."""
    files = _loaded(folder)
    known = _known()
    digest = hashlib.sha256()
    before = dict(known)
    for path in files:
        digest.update(path.name.encode())
        digest.update(bytes.fromhex(_file_hash(path, known)))
    if known != before:
        known = {key: value for key, value in known.items() if _path_of(key).exists()}
        memory = cache_home() / "weights.json"
        sweep_beside(memory)
        with suppress(OSError), atomic_path(memory) as temporary:
            temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return digest.hexdigest()


def _loaded(folder: Path) -> list[Path]:
    """The weight files that Transformers reads, by name.

    That is ``model.safetensors``, else the files of the safetensors index. Others may lie beside
    them: the same weights in another format, which on the Hub's cache depends on who fetched what.
    Where neither is there, an adapter is loaded on top, or the configuration names a file, it is
    every weight file.
    """
    every = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if (folder / "adapter_config.json").is_file() or named_weights(folder):
        return every
    known = {"model.safetensors"} & {path.name for path in every} or indexed(folder)
    return [path for path in every if path.name in known] or every


def named_weights(folder: Path) -> Any:
    """What the configuration names as the weights' file; None where it names none."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))[_NAMED]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def indexed(folder: Path) -> set[Any]:
    """File names in the index of weights that lie in several files; none without one."""
    try:
        text = (folder / "model.safetensors.index.json").read_text(encoding="utf-8")
        return set(json.loads(text)["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _file_hash(path: Path, known: dict[str, str]) -> str:
    """Hex SHA-256 of a file, remembered in ``known`` by what tells its versions apart."""
    at = path.stat()
    key = f"{path.resolve()} {at.st_size} {at.st_mtime_ns}"
    if key not in known:
        with path.open("rb") as handle:
            known[key] = hashlib.file_digest(handle, "sha256").hexdigest()
    return known[key]


def _path_of(key: str) -> Path:
    return Path(key.rsplit(" ", 2)[0])


def _known() -> dict[str, str]:
    """What is remembered; nothing where the file is missing or of another shape."""
    try:
        stored = json.loads((cache_home() / "weights.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {k: v for k, v in stored.items() if isinstance(v, str) and len(v) == 64}
