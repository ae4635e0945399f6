"""Benchmark questions in a pool: planted ones are found, with the words that gave them away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs.texts import scored_texts
from circuitseer_core.selection import decontaminate
from circuitseer_core.selection.decontaminate import (
    contamination_in,
    find_contamination,
    read_benchmarks,
)
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run

WORDS = [f"w{i}" for i in range(3000)]


def sentence(rng: np.random.Generator, words: int = 30) -> str:
    return " ".join(rng.choice(WORDS, words))


def test_planted_questions_are_found_whatever_stands_around_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    questions = [sentence(rng) for _ in range(50)]
    bench = tmp_path / "bench.jsonl"
    bench.write_text("".join(json.dumps({"problem": q, "answer": "1"}) + "\n" for q in questions))
    texts: list[tuple[str | None, str | None]] = [
        (sentence(rng), sentence(rng)) for _ in range(500)
    ]
    for at, question in enumerate(questions):
        words = question.upper().split()
        part = " ".join(words[7:20]) if at % 2 else f"{question}!"
        around = f"Please: {part}, thank you."
        texts[at] = (around, None) if at % 3 else (sentence(rng), around)
    rows = [(f"s/{i}", *pair) for i, pair in enumerate(texts)]
    contamination = find_contamination(rows, read_benchmarks([str(bench)], 13))
    assert contamination.ids == {f"s/{i}" for i in range(50)}, "all fifty, and nothing else"
    first = contamination.matches.set_index("id").loc["s/1"]
    assert first["matched"].endswith("2") and "bench.jsonl" in first["matched"]
    assert (
        first["evidence"] == " ".join(questions[1].split()[7:20]) and first["found_in"] == "prompt"
    )
    assert set(contamination.matches["found_in"]) == {"prompt", "response"}
    assert (
        contamination.files[0].questions == 50
        and contamination.files[0].short == 0
        and contamination.files[0].sha256
    )
    longer = find_contamination(rows, read_benchmarks([str(bench)], 14))
    assert longer.ids == {f"s/{i}" for i in range(0, 50, 2)}, "parts of 13 words share no run of 14"


def test_short_questions_are_compared_whole(tmp_path: Path) -> None:
    bench = tmp_path / "bench.txt"
    bench.write_text("What is 3 + 4?\n\nWhat is 7 - 2?\n")
    benchmarks = read_benchmarks([str(bench)], 13)
    assert benchmarks.files[0].questions == benchmarks.files[0].short == 2
    texts = [
        ("what is 3 + 4", None),
        ("What is 3 - 4?", None),
        ("Tell me. What is 3 + 4?", None),
        ("Say it.", "What is 7 - 2?"),
        (None, None),
        ("What is 7 - 2", "5"),
    ]
    rows = [(str(i), *pair) for i, pair in enumerate(texts)]
    contamination = find_contamination(rows, benchmarks)
    assert contamination.ids == {"0", "5"}
    assert contamination.matches["matched"].tolist() == ["bench.txt:1", "bench.txt:3"]
    assert contamination.matches["similarity"].tolist() == [1.0, 1.0]


def test_a_benchmark_that_cannot_serve_is_named(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.txt", tmp_path / "other.jsonl"
    empty.write_text("\n")
    other.write_text('{"title": "x"}\n')
    with pytest.raises(UserError, match=r"empty.txt holds no question"):
        read_benchmarks([str(empty)], 13)
    with pytest.raises(UserError, match="no column that is a question; found: title"):
        read_benchmarks([str(other)], 13)
    with pytest.raises(UserError, match="missing.jsonl"):
        read_benchmarks([str(tmp_path / "missing.jsonl")], 13)


def test_a_runs_texts_are_read_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row is looked at before the next one is read: no pool's texts are held together."""
    run = make_run(tmp_path / "run")
    bench = tmp_path / "bench.txt"
    bench.write_text("Question 3: what is 3 + 3?\n")
    read: list[str] = []
    seen: list[int] = []

    def streamed(*args: Any) -> Iterator[tuple[str, str | None, str | None]]:
        for row in scored_texts(*args):
            read.append(row[0])
            yield row

    def looked_at(*args: Any) -> Any:
        seen.append(len(read))
        return match(*args)

    match = decontaminate._match
    monkeypatch.setattr(decontaminate, "scored_texts", streamed)
    monkeypatch.setattr(decontaminate, "_match", looked_at)
    contamination = contamination_in(run, SelectionSettings.of(decontaminate=(str(bench),)))
    assert contamination is not None and len(contamination.ids) == 1
    assert seen == list(range(1, 201))
