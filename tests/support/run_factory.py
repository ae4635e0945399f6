"""Small run folders with texts of one's own choosing: the files that selection and export read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.runs.folder import Run
from tests.support.records import edit_run

MODEL = {
    "id": "tiny/random",
    "revision": "abc123",
    "weights_hash": "0" * 16,
    "tokenizer_hash": "1" * 16,
    "dtype": "float32",
    "device": "cpu",
    "n_layers": 2,
    "heads_per_layer": [4, 4],
    "parameters": 1000,
}


def make_rows(
    count: int, *, seed: int = 0, sources: Sequence[str] = ("gsm", "aqua")
) -> list[dict[str, Any]]:
    """Rows with a question, an answer and a source, the first source twice as frequent."""
    rng = np.random.default_rng(seed)
    weights = np.array([2.0] + [1.0] * (len(sources) - 1))
    picks = rng.choice(len(sources), count, p=weights / weights.sum())
    return [
        {
            "source": sources[picks[i]],
            "question": f"Question {i}: what is {i} + {i}?",
            "answer": f"{i} + {i} = {2 * i}\n#### {2 * i} ✓",
            "level": i % 5,
        }
        for i in range(count)
    ]


def score_frame(rows: Sequence[dict[str, Any]], *, seed: int = 0) -> pd.DataFrame:
    """The columns of a score part for these rows."""
    rng = np.random.default_rng(seed + 1)
    n = len(rows)
    tokens = rng.integers(5, 120, n)
    prompts = [row.get("question") for row in rows]
    return pd.DataFrame(
        {
            "id": [f"{row['source']}/{i}" for i, row in enumerate(rows)],
            "source": [row["source"] for row in rows],
            "n_tokens": tokens.astype("int32"),
            "n_tokens_full": tokens.astype("int32"),
            "n_response_tokens": rng.integers(5, 60, n).astype("int32"),
            "truncated": False,
            "variance": rng.lognormal(0, 1, n),
            "focus": rng.lognormal(0, 0.5, n),
            "length": tokens.astype(float),
            "random": rng.random(n),
            "prompt": prompts,
            "response": [row.get("answer") for row in rows],
            "original": [json.dumps(row, ensure_ascii=False) for row in rows],
        }
    )


def make_run(
    path: Path,
    rows: Sequence[dict[str, Any]] | None = None,
    *,
    frame: pd.DataFrame | None = None,
    parts: int = 2,
    name: str = "default",
    text: str = "prompt",
    data_specs: Sequence[str] = (),
    data: Sequence[dict[str, Any]] = (),
) -> Run:
    """Write a run with one finished scoring, its rows split over ``parts`` shards."""
    frame = score_frame(make_rows(200) if rows is None else rows) if frame is None else frame
    run = Run.create(path)
    commands = [
        {"stage": stage, "command": f"python -m circuitseer_core {stage}", "at": "2026-01-01"}
        for stage in ("detect", "score")
    ]
    edit_run(run, state="done", model=MODEL, detect={"settings": {"seed": 0}}, commands=commands)
    heads = pd.DataFrame(
        {"layer": [0, 1], "head": [0, 3], "importance": [0.5, 0.1], "stderr": [0.1, 0.1]}
    )
    heads.assign(n=8, raced_out=False, rank=[1, 2], below_noise=False).to_parquet(run.heads_path)
    write_scores(run, frame, parts=parts, name=name)
    settings = {
        "heads": [[0, 0], [1, 3]],
        "heads_rule": "2",
        "rank_by": "importance",
        "text": text,
        "model": MODEL,
        "data": list(data),
        "data_specs": list(data_specs),
        "max_length": 4096,
        "dtype": "float32",
        "seed": 0,
        "scorers": ["variance", "focus", "length", "random"],
        "state": "done",
        "rows": len(frame),
        "rejected": 3,
    }
    (run.scores_dir(name) / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return run


def write_scores(run: Run, frame: pd.DataFrame, *, parts: int = 2, name: str = "default") -> None:
    """(Re)write the shards of a scoring."""
    folder = run.scores_dir(name)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part-*.parquet"):
        old.unlink()
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), parts)):
        frame.iloc[rows].to_parquet(
            folder / f"part-{number:05d}.parquet", index=False, row_group_size=16
        )
