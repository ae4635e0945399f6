"""Files that came through the app: a name that any system can hold, and a place of their own.

What is stored is never written over: the folder is named by the content, so the same name with
another content is another file, and what an earlier run refers to stays as it was.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from circuitseer_core.data.compression import CODECS
from circuitseer_core.errors import UserError
from circuitseer_core.files import atomic_path, sweep_beside

MOST_BYTES = 1 << 30
"""Of one file, as the app's server takes it; what it expands to is looked at when it is read."""
_LONGEST = 80
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff/\\:]+")


def file_name(name: str) -> str:
    """``name`` without folders, control characters and half surrogate pairs, and not too long.

    The ending, by which a format is known, stays.
    """
    bare = _UNFIT.sub("_", re.split(r"[/\\]", name)[-1]).strip().lstrip(".")
    stem, dot, suffix = bare.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, dot, suffix = bare, "", ""
    if f".{suffix.lower()}" in CODECS and "." in stem:  # .jsonl.gz is one ending
        stem, _, inner = stem.rpartition(".")
        suffix = f"{inner[:10]}.{suffix}"
    room = _LONGEST - len(dot + suffix)
    while len((stem[:room] + dot + suffix).encode()) > 200:  # a name has at most 255 bytes
        room -= 10
    return (stem[:room] or "file") + dot + suffix


def store(folder: Path, name: str, content: bytes | memoryview) -> Path:
    """Write an uploaded file below ``folder``; returns where. UserError where it is too large."""
    if len(content) > MOST_BYTES:
        raise UserError(f"{file_name(name)} is larger than {MOST_BYTES >> 20:,} MiB")
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = folder / digest / file_name(name)
    if not target.is_file() or target.stat().st_size != len(content):
        sweep_beside(target)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
    return target
