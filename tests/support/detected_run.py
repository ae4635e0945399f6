"""Run folders whose detect stage is done, on a tiny random model: what scoring starts from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.model.loading import load_model
from circuitseer_core.runs.folder import Run
from tests.support.records import edit_run
from tests.support.tiny_models import save_tiny

TEXT = "Tom has apples and buys more so how many does he now have in all the baskets"


def detected_run(folder: Path, kind: str = "llama", **options: Any) -> Run:
    """A tiny model saved under ``folder`` and a run with its heads, ranked layer by layer."""
    path = save_tiny(folder / "model", kind, **options)
    reference, info = load_model(str(path), device="cpu")
    run = Run.create(folder / "run")
    edit_run(run, model=asdict(info), detect={"template": "plain"}, state="done")
    heads = pd.DataFrame(reference.heads, columns=["layer", "head"])
    heads["importance"] = 1.0 / (1 + np.arange(len(heads)))
    heads = heads.assign(stderr=0.1, n=8, raced_out=False, below_noise=False)
    heads.assign(rank=range(1, len(heads) + 1)).to_parquet(run.heads_path)
    return run


def questions(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of very different lengths from two sources; every seventh has no answer."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        text = " ".join(rng.choice(TEXT.split(), int(rng.integers(2, 40))))
        row = {"id": i, "source": ("gsm", "aqua")[i % 2], "question": f"{i}. {text}?"}
        if i % 7:
            row["answer"] = f"{i} + {i} = {2 * i}, so {2 * i}"
        rows.append(row)
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    """Rows as JSON lines; returns the DATA spec."""
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)
