"""Whether a run that was disturbed ended as an undisturbed one: its numbers, and nothing beside."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from circuitseer_core.export.verify import verify
from circuitseer_core.json_io import read_json
from circuitseer_core.runs.integrity import check_run, tables

ORDER = ["id", "set", "layer", "head"]
OTHERWISE = ("created", "finished", "seconds", "command", "run", "options", "table_sha256")
"""What a record says of when, where and how long, and of bytes that numbers to 1e-5 leave open."""
DURATION = re.compile(r"\btook [\w. ]+? in all\b")
"""How long it took, in the words of a verdict."""


class Wrong(Exception):
    """What a round found."""


def difference(wanted: Path, run: Path) -> bool:
    """Whether a run equals another to the bit. Raises Wrong where it differs by more than 1e-5."""
    names, others = ({path.relative_to(one) for path in _files(one)} for one in (wanted, run))
    if names != others:
        raise Wrong(f"other files: {sorted(map(str, names ^ others))}")
    exact = True
    for name in sorted(name for name in names if name.suffix == ".parquet"):
        exact &= _same_table(wanted / name, run / name)
    for record in [*wanted.glob("experiments/**/*.json"), *wanted.glob("arms/arms.json")]:
        exact &= same_record(record, run / record.relative_to(wanted))
    left = [path.name for path in run.rglob(".*") if path.suffix in (".tmp", ".old")]
    if left:
        raise Wrong(f"left behind: {left}")
    if damaged := check_run(run).damaged:
        raise Wrong(f"damaged: {damaged}")
    if (state := read_json(run / "run.json")["state"]) != "done":
        raise Wrong(f"run.json says {state}")
    for export in [*wanted.glob("out.jsonl"), *wanted.glob("arms/*.jsonl")]:
        _same_export(export, run / export.relative_to(wanted), run)
    return exact


def _files(run: Path) -> list[Path]:
    """The tables of a run, and whatever an experiment, the arms or an export wrote."""
    beside = [path for name in ("experiments", "arms") for path in (run / name).rglob("*")]
    beside += [*run.glob("out.jsonl*"), *run.glob("README.md")]
    return [*(path for path, _ in tables(run)), *(path for path in beside if path.is_file())]


def _same_table(wanted: Path, ours: Path) -> bool:
    frames = []
    for path in (wanted, ours):
        frame = pd.read_parquet(path)
        keys = [key for key in ORDER if key in frame] if "importance" in path.parts else []
        frames.append(frame.sort_values(keys, ignore_index=True) if keys else frame)
    try:
        pd.testing.assert_frame_equal(*frames)
    except AssertionError as error:
        raise Wrong(f"{ours}: {' '.join(str(error).split())[:300]}") from error
    one, other = frames
    return all(one[name].map(str).equals(other[name].map(str)) for name in one)


def same_record(wanted: Path, ours: Path) -> bool:
    """Of an experiment, a study or arms: what they say, but for times and places."""
    if not ours.is_file():
        raise Wrong(f"{ours} is missing")
    records = [_lasting(read_json(path)) for path in (wanted, ours)]
    if where := _first_difference(*records):
        raise Wrong(f"{ours}: {where}")
    return records[0] == records[1]


def _lasting(value: Any) -> Any:
    if isinstance(value, str):
        return DURATION.sub("took …", value)
    if isinstance(value, dict):
        return {name: _lasting(of) for name, of in value.items() if name not in OTHERWISE}
    return [_lasting(one) for one in value] if isinstance(value, list) else value


def _first_difference(one: Any, other: Any, where: str = "") -> str:
    """Where two records differ by more than 1e-5, with both values; nothing where nowhere."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{where}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{i}]", *both) for i, both in enumerate(zip(one, other, strict=True))]
    elif one == other or (
        isinstance(one, float) and isinstance(other, float)
        and math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8)
    ):  # fmt: skip
        return ""
    else:
        return f"{where or 'all of it'} is {str(other)[:100]}, not {str(one)[:100]}"
    return next((words for p, a, b in pairs if (words := _first_difference(a, b, p))), "")


def _same_export(wanted: Path, ours: Path, run: Path) -> None:
    """The data to the byte, what is written beside an arm too, and derived again from the run."""
    beside = [wanted, *wanted.parent.glob(f"*/{wanted.stem}.yaml")]
    for path in beside:
        same = ours.parent / path.relative_to(wanted.parent)
        if not same.is_file() or path.read_bytes() != same.read_bytes():
            raise Wrong(f"{same} has other bytes, or none")
    if not (result := verify(ours, run)).ok:
        raise Wrong(f"verify: {result.messages}")
