"""Files that are either whole or absent (written aside, then renamed), and where caches live."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


def cache_home() -> Path:
    """What is made once a machine: ``$CIRCUITSEER_HOME``, else ``~/.cache/circuitseer``."""
    return Path(os.environ.get("CIRCUITSEER_HOME", Path.home() / ".cache" / "circuitseer"))


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path in ``target``'s folder; it replaces ``target`` if the block succeeds.

    The rename is atomic on one file system, so a reader or a killed writer never sees half a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write JSON (indented, UTF-8) atomically."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_parquet(target: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet (zstd) atomically."""
    with atomic_path(target) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")
