"""A run whose every name, id, column, option and text tries to become something else on a page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from circuitseer_core.runs import ownership
from tests.support.hostile_reports import add_reports
from tests.support.synthetic import Shape, make_run, source_names

AWAY = "http://evil.example/"
SNIPPETS = (
    ("**", "zzbold**"), ("`", "zzcode`"), ("![", f"zzimg]({AWAY}a.png)"),
    ("[", f"zzlink]({AWAY}c)"), ("$", "zzmath$"), (":red[", "zzred]"), ("<b>", "zzhtml</b>"),
    (AWAY, "zzauto"), (":material/", "potted_plant:"), ("_", "zzem_"), ("~~", "zzdel~~"),
    ("\n# ", "zzhead"), ("\n- ", "zzitem"), ("| a | b |\n|---|---|\n| ", "zzcell | x |"),
)  # fmt: skip
"""(what makes it markup, the rest): wherever the rest is shown, the beginning stands before it."""
LOOSE = (
    f"<img src={AWAY}b.png onerror=alert(1)>", f"<script>fetch('{AWAY}s')</script>",
    "<style>*{display:none}</style>", ":smile:", "\u202egnp.exe", "=1+1", "\ud800", "%{x}",
    "{{x}}", "www.evil.example", "x@evil.example",
)  # fmt: skip
WHOLE = " ".join([begin + rest for begin, rest in SNIPPETS] + list(LOOSE))
FILE = "".join(begin + rest for begin, rest in SNIPPETS[:2] + SNIPPETS[4:6]) + "<b>zzhtml"
"""As much of it as the name of a folder can hold."""


def name_of(number: int) -> str:
    """The ``number``-th name: three snippets, so that a short label has one whole."""
    start = number % len(SNIPPETS)
    turned = SNIPPETS[start:] + SNIPPETS[:start]
    return f"{number}" + " ".join(begin + rest for begin, rest in turned[:3]).replace("\n", " ")


def make_hostile(home: Path, *, job: str = "failed") -> str:
    """Write the run into ``home``; returns its name."""
    made = make_run(home / "made", Shape(rows=60, contrast=True, sources=5, layers=3, heads=4))
    path = home / FILE
    made.rename(path)
    (path / "scores" / "default").rename(path / "scores" / FILE)
    (path / "selections" / "default").rename(path / "selections" / FILE)
    for file in sorted(path.rglob("*.parquet")):
        _turn_table(file)
    for file in sorted(path.rglob("*.json")):
        _turn_json(file)
    _more_files(path, job)
    add_reports(path, FILE, WHOLE, name_of)
    shutil.rmtree(home / "made", ignore_errors=True)
    ownership.mark(path)
    return path.name


def _turn_table(file: Path) -> None:
    frame = pd.read_parquet(file)
    names = dict(zip(source_names(5), map(name_of, range(0, 15, 3)), strict=True))
    if "source" in frame:
        frame["source"] = frame["source"].replace(names)
    if "id" in frame and len(frame):
        parts = frame["id"].str.partition("/")
        frame["id"] = parts[0].replace(names) + "/" + parts[2]
    for column in ("reason", "prompt", "response", "text"):
        if column in frame:
            frame[column] = WHOLE.replace("\ud800", "") + frame[column].astype(str)
    if "original" in frame:
        kept = [{"level": i % 3, WHOLE: name_of(i % 4)} for i in range(len(frame))]
        frame["original"] = [json.dumps(row) for row in kept]
    if "variance" in frame:
        frame[name_of(2)] = frame["variance"]
    frame.to_parquet(file, index=False)


_KEPT = {"mode", "rank_by", "text", "state", "created", "finished", "format", "stratify",
         "length_control", "scorer", "scorers", "dtype", "time", "temperature", "duplicates",
         "token_field", "budget", "ablation", "loss_tokens"}  # fmt: skip


def _turn_json(file: Path) -> None:
    record = _turned(json.loads(file.read_text(encoding="utf-8")), "")
    if file.name == "settings.json":
        record["scorers"] = [*record["scorers"], name_of(2)]
    if file.name == "selection.json":
        record["name"] = record["settings"]["name"] = FILE
        record["scores"] = record["settings"]["scores"] = FILE
    if file.name == "run.json":
        record["detect"]["probe_left_out"] = {WHOLE: 3}
        record["commands"] = [{"stage": WHOLE, "command": WHOLE}]
    file.write_text(json.dumps(record), encoding="utf-8")


def _turned(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {k: _turned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_turned(v, key) for v in value]
    return WHOLE if isinstance(value, str) and key not in _KEPT else value


def _more_files(path: Path, job: str) -> None:
    steps = [[WHOLE, "--run", str(path), "--data", WHOLE], ["select", "--name", WHOLE]]
    record = {"steps": steps, "state": job, "error": WHOLE, "started": WHOLE, "started_s": 1.0}
    (path / "job.json").write_text(json.dumps(record), encoding="utf-8")
    progress = {"stage": WHOLE, "state": "running", "unit": WHOLE, "message": WHOLE,
                "phase": WHOLE, "total": 3}  # fmt: skip
    (path / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
    (path / "log.txt").write_text(WHOLE.replace("\ud800", ""), encoding="utf-8")
    ids = pd.read_parquet(path / "scores" / FILE / "part-00000.parquet")["id"].tolist()
    lines = [
        {"kind": kind, "id": ids[at], "tag": WHOLE, "time": WHOLE}
        for at, kind in ((0, "pin"), (1, "drop"), (0, "tag"), (2, "tag"))
    ]
    pair = {"kind": "verdict", "left": ids[0], "right": ids[1], "choice": "left"}
    lines.append(pair | {"scorer": "variance", "scores": [1, 2], "time": WHOLE})
    text = "\n".join(json.dumps(line) for line in lines)
    (path / "review.jsonl").write_text(text + "\n", encoding="utf-8")
    (path / "experiments").mkdir(exist_ok=True)
    saved = {"name": "length", "title": WHOLE, "verdict": WHOLE, "numbers": {WHOLE: WHOLE}}
    (path / "experiments" / "length.json").write_text(json.dumps(saved), encoding="utf-8")
