"""Runs whose every number is given by the test: the smallest folders that show one thing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.detection.heads import head_table
from circuitseer_core.runs.folder import Run
from tests.support.records import edit_run
from tests.support.run_factory import MODEL


def bare_run(path: Path, **sections: Any) -> Run:
    """A run with a manifest and nothing else."""
    run = Run.create(path)
    edit_run(run, state="done", model=MODEL, commands=[], **sections)
    return run


def add_detection(
    run: Run,
    delta: np.ndarray,
    *,
    noise_floor: float = 1e-6,
    heads_per_layer: int = 4,
    sources: Sequence[str] | None = None,
    pool_sources: Sequence[str] | None = None,
    contrast: np.ndarray | None = None,
) -> None:
    """Importances from ``delta`` (n samples, layers x heads_per_layer), heads.parquet to match."""
    names = list(sources or ["gsm"] * len(delta))
    importance = _long(delta, "probe", heads_per_layer)
    probe = _probe(len(delta), "probe", names)
    if contrast is not None:
        importance = pd.concat([importance, _long(contrast, "contrast", heads_per_layer)])
        probe = pd.concat([probe, _probe(len(contrast), "contrast", ["talk"] * len(contrast))])
    run.importance_dir.mkdir(parents=True, exist_ok=True)
    importance.to_parquet(run.importance_dir / "part-00000.parquet", index=False)
    probe.to_parquet(run.probe_path, index=False)
    pool = list(pool_sources or names)
    ids = [f"{source}/pool{i}" for i, source in enumerate(pool)]
    frame = pd.DataFrame({"id": ids, "source": pool, "base_loss": 1.0})
    frame.to_parquet(run.pool_path, index=False)
    table = head_table(importance, probe, None, noise_floor)
    table.to_parquet(run.heads_path, index=False)
    edit_run(
        run, detect={"settings": {"seed": 0}, "noise_floor": noise_floor, "n_probe": len(delta)}
    )


def _long(delta: np.ndarray, set_name: str, heads_per_layer: int) -> pd.DataFrame:
    samples, cells = delta.shape
    cell = np.tile(np.arange(cells), samples)
    return pd.DataFrame(
        {
            "id": np.repeat([f"{set_name}{i}" for i in range(samples)], cells),
            "set": set_name,
            "layer": (cell // heads_per_layer).astype("int32"),
            "head": (cell % heads_per_layer).astype("int32"),
            "delta_loss": delta.ravel(),
        }
    )


def _probe(count: int, set_name: str, sources: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{set_name}{i}" for i in range(count)],
            "set": set_name,
            "source": list(sources),
            "n_tokens": 20,
            "n_loss_tokens": 10,
            "base_loss": 1.0,
            "text": "2 + 2 = 4",
        }
    )


def add_scores(
    run: Run,
    columns: Mapping[str, Any],
    *,
    name: str = "default",
    parts: int = 2,
    **settings: Any,
) -> None:
    """A finished scoring: ``columns`` of equal length; id, source and n_tokens have defaults."""
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame(
        {"id": [f"gsm/{i}" for i in range(n)], "source": "gsm", "n_tokens": 10} | dict(columns)
    )
    folder = run.scores_dir(name)
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(np.arange(n), parts)):
        frame.iloc[rows].to_parquet(folder / f"part-{number:05d}.parquet", index=False)
    scorers = [c for c in ("variance", "focus", "length", "random") if c in frame]
    written = {
        "heads": [[0, 0]],
        "heads_rule": "0.05",
        "rank_by": "importance",
        "text": "prompt",
        "model": MODEL,
        "scorers": scorers,
        "state": "done",
        "rows": n,
        "rejected": 0,
    }
    (folder / "settings.json").write_text(json.dumps(written | settings), encoding="utf-8")
