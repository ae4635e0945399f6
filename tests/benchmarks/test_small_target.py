"""The small model that stands in for a second family: it learns what it is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.small_target import main

ROWS = [
    {"prompt": f"Tom has {n} apples and buys {n % 7} more.", "response": f"They are {n + n % 7}."}
    for n in range(60)
]


def small(folder: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = folder.parent / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    size = ["--layers", "1", "--width", "24", "--vocabulary", "300"]
    asked = ["small_target.py", str(folder), "--data", str(data), *size, "--steps", str(steps)]
    monkeypatch.setattr(sys, "argv", asked)
    main()
    return folder


def loss(folder: Path) -> float:
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    text = "\n".join(ROWS[7].values())
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return float(model(input_ids=ids, labels=ids).loss)


def test_steps_teach_it_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    untrained = loss(small(tmp_path / "untrained", 0, monkeypatch))
    trained = loss(small(tmp_path / "trained", 20, monkeypatch))
    again = loss(small(tmp_path / "again", 20, monkeypatch))
    assert trained < untrained - 0.5
    assert again == pytest.approx(trained, abs=1e-3)
