"""Run folders with one file damaged: what disks, editors, other versions and other people do.

Bytes are damaged in any file; JSON and tables also by values that their reader would take: JSON of
another shape or with other values in it, tables with columns, types, rows or numbers that no stage
writes (without a checksum, so that nothing but the reader stands in their way).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

HUGE = 10**30
WEIRD: list[Any] = [
    None, True, -1, 0, 1.5, 1e308, HUGE, "", "zz", "../../x", "\ud800", "x" * 5_000, [], [[]],
    [None], {}, {"x": 1}, [-1, -1], [[10**9, 10**9]], "nan", "2026-13-45T99:00:00",
]  # fmt: skip
"""Values that come in the place of others in JSON."""


def files(run: Path) -> list[str]:
    """The files of a run that can be damaged, in a fixed order."""
    return sorted(
        path.relative_to(run).as_posix()
        for path in run.rglob("*")
        if path.is_file() and path.name not in (".stage", ".owner")
    )


def kinds(file: str) -> list[str]:
    """The ways in which a file is damaged, by its suffix."""
    return [
        *BYTES,
        *{".json": JSON, ".jsonl": LINES, ".parquet": TABLES}.get(Path(file).suffix, {}),
    ]


def damages(run: Path) -> Iterator[tuple[str, str]]:
    """Every (file, kind) of a run."""
    for file in files(run):
        for kind in kinds(file):
            yield file, kind


def damage(run: Path, file: str, kind: str) -> None:
    """Damage one file of a run; the same way every time."""
    path = run / file
    rng = random.Random(f"{file} {kind}")
    if kind in BYTES:
        BYTES[kind](path, rng)
    elif path.suffix == ".json":
        value = JSON[kind](json.loads(path.read_text(encoding="utf-8")), rng)
        path.write_text(json.dumps(value), encoding="utf-8")
    elif path.suffix == ".jsonl":
        lines = LINES[kind](path.read_text(encoding="utf-8").splitlines(), rng)
        path.write_bytes(b"\n".join(line.encode("utf-8", "surrogatepass") for line in lines))
    else:
        TABLES[kind](pd.read_parquet(path), rng).to_parquet(path, index=False)


def _cut(path: Path, rng: random.Random) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(1, max(2, len(raw)))])


def _flip(path: Path, rng: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(8 if raw else 0):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)


def _other(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


BYTES: dict[str, Callable[[Path, random.Random], object]] = {
    "missing": lambda path, rng: path.unlink(),
    "empty": lambda path, rng: path.write_bytes(b""),
    "garbage": lambda path, rng: path.write_bytes(rng.randbytes(2_000)),
    "zeros": lambda path, rng: path.write_bytes(bytes(path.stat().st_size)),
    "truncated": _cut,
    "flipped": _flip,
    "folder": lambda path, rng: _other(path, Path.mkdir),
    "pipe": lambda path, rng: _other(path, os.mkfifo),
    "loop": lambda path, rng: _other(path, lambda p: p.symlink_to(p.name)),
}


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    places = []
    for key, item in list(inside):
        places.append((value, key))
        if isinstance(item, dict | list):
            places += _places(item)
    return places


def _replaced(value: Any, rng: random.Random, share: float) -> Any:
    for container, key in _places(value):
        if rng.random() < share:
            container[key] = rng.choice(WEIRD)
    return value


def _same_type(value: Any, rng: random.Random) -> Any:
    """Other values of the same types, which a check of types alone lets pass."""
    for container, key in _places(value):
        old = container[key]
        if isinstance(old, bool):
            container[key] = not old
        elif isinstance(old, int | float):
            container[key] = rng.choice([-1, 0, 10**9, type(old)(7)])
        elif isinstance(old, str) and key not in ("kind", "format"):
            container[key] = rng.choice(["", "zz", "-1", "\u202e"])
    return value


def _emptied(value: Any, rng: random.Random) -> Any:
    for container, key in _places(value):
        if isinstance(container[key], list | dict):
            container[key] = type(container[key])()
    return value


def _without(value: Any, rng: random.Random) -> Any:
    """Without some of its keys; ``format`` stays, else nothing else is looked at."""
    for container, key in _places(value):
        if isinstance(container, dict) and key != "format" and rng.random() < 0.3:
            container.pop(key, None)
    return value


JSON: dict[str, Callable[[Any, random.Random], Any]] = {
    "a list": lambda value, rng: [value],
    "a number": lambda value, rng: 3,
    "no keys": lambda value, rng: {},
    "nested": lambda value, rng: value | {"x": json.loads("[" * 150 + "]" * 150)},
    "some values": lambda value, rng: _replaced(value, rng, 0.05),
    "most values": lambda value, rng: _replaced(value, rng, 0.6),
    "values of the type": _same_type,
    "emptied": _emptied,
    "without keys": _without,
    "nulls": lambda value, rng: dict.fromkeys(value) | {"format": value.get("format")},
}
LINES: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "other lines": lambda lines, rng: ["3", "[]", "null", "{}", '{"kind": "pin"}', *lines],
    "other values": lambda lines, rng: [
        json.dumps(_replaced(json.loads(line), rng, 0.4)) for line in lines
    ],
    "surrogates": lambda lines, rng: [line.replace("/", "\ud800") for line in lines],
}


def _numbers(frame: pd.DataFrame, value: Any) -> pd.DataFrame:
    """Every number (not inside lists) replaced."""
    changed = frame.copy()
    for column in frame.select_dtypes("number"):
        changed[column] = value
    return changed


def _texts(frame: pd.DataFrame, value: Any) -> pd.DataFrame:
    changed = frame.copy()
    for column in frame.columns:
        if isinstance(next(iter(frame[column].dropna()), None), str):
            changed[column] = value
    return changed


def _lists(frame: pd.DataFrame, value: list[Any]) -> pd.DataFrame:
    changed = frame.copy()
    for column in frame.columns:
        first = next(iter(frame[column].dropna()), None)
        if hasattr(first, "__len__") and not isinstance(first, str):
            changed[column] = [value] * len(frame)
    return changed


TABLES: dict[str, Callable[[pd.DataFrame, random.Random], pd.DataFrame]] = {
    "one column": lambda frame, rng: frame[[frame.columns[0]]],
    "without columns": lambda frame, rng: frame[
        [name for name in frame.columns if rng.random() < 0.6] or [frame.columns[-1]]
    ],
    "other columns": lambda frame, rng: frame.rename(columns=lambda name: f"x{name}"),
    "no rows": lambda frame, rng: frame.iloc[:0],
    "one row": lambda frame, rng: frame.iloc[:1],
    "some rows": lambda frame, rng: frame.iloc[::2],
    "rows twice": lambda frame, rng: pd.concat([frame, frame], ignore_index=True),
    "all text": lambda frame, rng: frame.map(str),
    "all null": lambda frame, rng: pd.DataFrame({name: [None] * len(frame) for name in frame}),
    "nan": lambda frame, rng: _numbers(frame, float("nan")),
    "infinite": lambda frame, rng: _numbers(frame, float("inf")),
    "negative": lambda frame, rng: _numbers(frame, -1),
    "huge": lambda frame, rng: _numbers(frame, 10**9),
    "other texts": lambda frame, rng: _texts(frame, "zz"),
    "null texts": lambda frame, rng: _texts(frame, None),
    "numbers for texts": lambda frame, rng: _texts(frame, 7),
    "empty lists": lambda frame, rng: _lists(frame, []),
    "long lists": lambda frame, rng: _lists(frame, [1] * 500),
}


def damaged_copy(whole: Path, target: Path, file: str, kind: str) -> Path:
    """A copy of a run with one file damaged, in the place of what is at ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(whole, target)
    damage(target, file, kind)
    return target
