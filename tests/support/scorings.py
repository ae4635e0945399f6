"""Scorings of a small run: how tests ask for one, look at it, and let it die."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core.runs.columns import ATTENTION_SCORERS, DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings

CONTROLS = [f"control_{name}_{draw}" for name in ATTENTION_SCORERS for draw in range(DRAWS)]


def settings(data: str, **options: Any) -> ScoreSettings:
    defaults = {"heads": "3", "shard_rows": 16, "token_budget": 600, "device": "cpu"}
    return ScoreSettings(data=[data], **(defaults | options))


def go(run: Run, wanted: ScoreSettings, **options: Any) -> dict[str, Any]:
    return score(run, wanted, progress=False, **options)


def whole(run: Run, name: str = "default") -> pa.Table:
    return pa.concat_tables([pq.read_table(p) for p in run.score_parts(name)])


def assert_same(one: Run, other: Run) -> None:
    """Bit for bit the same rows, lists and texts, in the same shards."""
    assert [p.name for p in one.score_parts()] == [p.name for p in other.score_parts()]
    assert whole(one).equals(whole(other))
    pd.testing.assert_frame_equal(one.rejects(), other.rejects())


class Killed(BaseException):
    pass


def dying_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the write of a later shard die half-way, as a kill would."""
    original, written = shards.write_part, [0]

    def write(folder: Path, table: pa.Table, note: shards.Note) -> None:
        if written[0] == parts:
            aside = f".part-{note.shard:05d}.parquet.{2**22 + 1}.tmp"  # of no living process
            (folder / aside).write_bytes(b"PAR1 half a shard")
            raise Killed
        written[0] += 1
        original(folder, table, note)

    monkeypatch.setattr(shards, "write_part", write)
    return lambda: monkeypatch.setattr(shards, "write_part", original)
