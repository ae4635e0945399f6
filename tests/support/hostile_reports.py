"""What is made of a run, hostile too: a calibration, removals, imported scores, a blind batch that
is at its end, clusters. Added by ``hostile.make_hostile``, which gives the texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

Named = Callable[[int], str]
_NUMBERS = {"value": 0.4, "low": 0.3, "high": 0.5}


def add_reports(path: Path, folder: str, whole: str, named: Named) -> None:
    """Write them into the run.

    Args:
        folder: the name of its scoring and its selection, and of the calibration.
        whole: a text with everything in it.
        named: the n-th name.
    """
    scores = path / "scores" / folder
    rows = pd.read_parquet(scores / "part-00000.parquet", columns=["id", "source", "n_tokens"])
    _calibration(path, folder, rows, whole, named)
    _clusters(scores, rows, whole, named)
    _imported(scores, whole, named)
    _removals(path / "selections" / folder, rows, whole)
    _blind_batch(path, folder, rows, named)


def _read(file: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _calibration(path: Path, folder: str, rows: pd.DataFrame, whole: str, named: Named) -> None:
    fit = {"columns": [["mean", 0, 1]], "weights": [0.5], "spread": [1.0]}
    judged = [("pooled", None), (named(5), None), ("own", named(6))]
    estimates = [
        {"name": name, "judged": kind, "source": source, "rows": len(rows)} | _NUMBERS
        for name in ("heads", named(4))
        for kind, source in judged
    ]
    gains = [{"name": named(7), "than": named(8), "judged": "pooled"} | _NUMBERS]
    target = {"name": named(3), "kind": "ordinal", "rows": len(rows), "sha256": "0"}
    target |= {"levels": [named(9), named(10)], "sources": {named(11): len(rows)}}
    record = {
        "format": 1, "name": folder, "created": whole, "command": whole, "target": target,
        "settings": {"name": folder, "scores": folder, "target": named(3)},
        "model": _read(path / "run.json")["model"], "reasoning_heads": [[0, 1]],
        "estimates": estimates, "gains": gains, "verdict": [f"Yes: {whole}", whole],
        "whole": fit, "fits": [fit], "versions": {whole: whole},
        "heads": [{"layer": 0, "head": 1, "folds": 1.0, "weight": 0.5}],
    }  # fmt: skip
    made = path / "calibrations" / folder
    made.mkdir(parents=True)
    (made / "calibration.json").write_text(json.dumps(record), encoding="utf-8")
    shares = [i / len(rows) for i in range(len(rows))]
    predictions = rows.assign(target=[i % 2 for i in range(len(rows))], heads=shares)
    predictions.drop(columns="n_tokens").to_parquet(made / "predictions.parquet", index=False)


def _clusters(scores: Path, rows: pd.DataFrame, whole: str, named: Named) -> None:
    folder = scores / "clusters"
    folder.mkdir()
    record = {
        "clusters": [{"rows": len(rows) // 2, "words": [named(n)]} for n in (12, 13)],
        "rows": len(rows), "fitted_rows": len(rows), "seed": 0, "max_length": 64, "dtype": whole,
        "width": 8, "model": _read(scores / "settings.json")["model"], "sha256": "0",
        "created": whole, "command": whole,
    }  # fmt: skip
    (folder / "clusters.json").write_text(json.dumps(record), encoding="utf-8")
    of = pd.DataFrame({"id": rows["id"], "cluster": [i % 2 for i in range(len(rows))]})
    of.to_parquet(folder / "rows.parquet", index=False)


def _imported(scores: Path, whole: str, named: Named) -> None:
    settings = _read(scores / "settings.json")
    name = named(2)
    settings["imported"] = [
        {
            "columns": {name: whole}, "files": [{"file": whole, "sha256": whole}],
            "rows": 9, "by_id": 9, "scored": {name: 9}, "conflicting": {name: 1},
            "created": whole, "command": whole,
        }
    ]  # fmt: skip
    (scores / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def _removals(selection: Path, rows: pd.DataFrame, whole: str) -> None:
    record = _read(selection / "selection.json")
    benchmark = {"file": whole, "questions": 2, "short": 1, "sha256": whole}
    record["removals"] = {
        "sha256": "0", "rows": 1,
        "contamination": {
            "n": 13, "benchmarks": [benchmark], "removed": 1,
            "common": [{"words": whole, "rows": 1}],
        },
        "near_duplicates": {"threshold": 0.8, "shingle": 5, "permutations": 128, "bands": 9},
    }  # fmt: skip
    strata = {"pool": 30, "pool_share": 0.5, "rows": 3, "share": 0.5}
    record["diagnostics"]["strata"] = [strata | {"value": whole}]
    record["settings"] |= {"stratify": "equal", "stratify_by": whole.replace("\ud800", "")}
    (selection / "selection.json").write_text(json.dumps(record), encoding="utf-8")
    text = whole.replace("\ud800", "")
    removed = rows.head(1)[["id", "source"]].assign(
        rule="contaminated", matched=text, similarity=0.5, found_in=text, evidence=text
    )
    removed.to_parquet(selection / "removed.parquet", index=False)


def _blind_batch(path: Path, folder: str, rows: pd.DataFrame, named: Named) -> None:
    """Three pairs of each source that has as many, all judged."""
    pairs = []
    for source, own in rows.groupby("source"):
        ids = own["id"].tolist()
        pairs += [
            {
                "left": left, "right": right, "source": source, "band": named(14),
                "scores": [2.0, 1.0], "percentiles": [80.0, 20.0], "tokens": [9, 9],
            }
            for left, right in zip(ids[0:6:2], ids[1:6:2], strict=False)
        ]  # fmt: skip
    of = {"scorer": named(2), "scoring": folder, "batch": named(1)}
    lines = [{"kind": "batch", "time": named(0), "pairs": pairs} | of]
    lines += [
        {"kind": "verdict", "left": p["left"], "right": p["right"], "choice": "left"} | of
        for p in pairs
    ]
    with (path / "review.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
