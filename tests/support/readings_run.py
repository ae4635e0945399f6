"""Runs with head readings made of random numbers, in which a target follows some heads or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Head
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.runs.columns import HEAD_FAMILIES, control_column, head_column
from circuitseer_core.runs.folder import Run
from tests.support.run_factory import make_rows, make_run, score_frame

HEADS: list[Head] = [(layer, head) for layer in range(2) for head in range(4)]
PLANTED: list[Head] = [(0, 2), (1, 1)]
"""Heads that a target follows, if it follows any."""


def readings(rows: int, tokens: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N, F, H) readings that all depend on length."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(rows, len(HEAD_FAMILIES), len(HEADS)))
    return (noise + 0.5 * np.log(tokens)[:, None, None]).astype(np.float32)


def followed(values: np.ndarray, tokens: np.ndarray, strength: float, seed: int = 1) -> np.ndarray:
    """(N,) a target of length, of the planted heads' first-token readings, and of chance."""
    rng = np.random.default_rng(seed)
    planted = values[:, 0, [HEADS.index(head) for head in PLANTED]]
    flat = planted - 0.5 * np.log(tokens)[:, None]
    return strength * flat.sum(1) + 2 * np.log(tokens) + rng.normal(size=len(tokens))


def planted_rows(
    count: int = 240, strength: float = 1.0, sources: Sequence[str] = ("a",), seed: int = 0
) -> tuple[Rows, np.ndarray]:
    """Rows in memory, and their target."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 200, count).astype(np.float64)
    values = readings(count, tokens, seed)
    target = followed(values, tokens, strength, seed + 1)
    words = ["sum", "root", "find", "area", "odd", "prime", "line"]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(count)]
    source = np.array([sources[i % len(sources)] for i in range(count)], dtype=object)
    ids = [f"{own}/{i}" for i, own in enumerate(source)]
    numbers = {"variance": rng.lognormal(size=count), "length": tokens}
    numbers[control_column("variance", 0)] = rng.lognormal(size=count)
    none: list[Any] = [None] * count
    return Rows(ids, source, tokens, values, HEADS, numbers, texts, none, [{}] * count, ids), target


def readings_run(
    path: Path, count: int = 160, strength: float = 1.0, *, seed: int = 0, share: float = 1.0
) -> Run:
    """A run whose finished scoring has head readings; the data's ``level`` follows the planted
    heads. With a ``share`` below 1 the rows at the end have none."""
    rows = make_rows(count, seed=seed)
    frame = score_frame(rows, seed=seed)
    tokens = frame["n_tokens"].to_numpy(dtype=np.float64)
    values = readings(count, tokens, seed)
    target = followed(values, tokens, strength, seed + 1)
    edges = np.quantile(target, [0.2, 0.4, 0.6, 0.8])
    for row, level in zip(rows, np.searchsorted(edges, target), strict=True):
        row["level"] = f"Level {level + 1}"
    frame["original"] = [json.dumps(row) for row in rows]
    run = make_run(path, frame=frame)
    give_readings(run, values, share)
    return run


def give_readings(run: Run, values: np.ndarray, share: float = 1.0, name: str = "default") -> None:
    """Add readings (N, F, H) to the shards of a scoring, and say so in its settings."""
    start, known = 0, np.arange(len(values)) < round(share * len(values))
    for part in run.score_parts(name):
        table = pq.read_table(part)
        some = slice(start, start + table.num_rows)
        start += table.num_rows
        for family, called in enumerate(HEAD_FAMILIES):
            flat = pa.array(values[some, family].astype(np.float16).ravel())
            column = pa.FixedSizeListArray.from_arrays(
                flat, values.shape[2], mask=pa.array(~known[some])
            )
            table = table.append_column(head_column(called), column)
        pq.write_table(table, part)
    scoring = run.scoring(name)
    scoring.feature_heads, scoring.feature_limit, scoring.feature_share = HEADS, 0, share
    scoring.write(run.scores_dir(name) / "settings.json")


def scores_of(run: Run, column: str, name: str = "default") -> np.ndarray:
    """One column of a scoring."""
    frame: pd.DataFrame = run.scores(name, [column])
    return frame[column].to_numpy()
