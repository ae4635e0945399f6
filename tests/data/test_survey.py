"""What would be read: counts that add up, rejects by reason, repeats, lengths, the probe."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.sample import Sample
from circuitseer_core.data.survey import Reason, survey

ROWS: list[Any] = [
    *({"question": "x" * n, "answer": "1"} for n in (1, 2, 3, 4, 7, 8, 20)),
    {"question": "XX ", "answer": "again"},
    {"question": "no response"},
    {"question": ""},
    {"question": 5},
    {"question": " "},
]


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "a.jsonl"
    lines = [*map(json.dumps, ROWS), "{worse", '{"a"', ""]
    path.write_text("\n".join(lines))
    (tmp_path / "b.csv").write_text("question;answer;source\nq;1;web\nq;1;web\n")
    return str(tmp_path)


def test_everything_is_accounted_for(data: str) -> None:
    surveyed = survey(Corpus([data]))
    assert (surveyed.rows, surveyed.read, surveyed.samples, surveyed.rejects) == (16, 16, 11, 5)
    assert surveyed.reasons[0] == Reason("empty prompt", 2, "a.jsonl:10")
    assert sum(reason.rows for reason in surveyed.reasons) == 5
    assert surveyed.sources == {"a": 9, "web": 2}
    assert surveyed.duplicates == 2, "xx and XX, and q twice"
    assert (surveyed.with_response, surveyed.probe) == (10, 10)
    assert [(r.reason, r.rows) for r in surveyed.not_probe] == [("no response", 1)]
    assert [(f.name, f.format, f.rows) for f in surveyed.files] == [
        ("a.jsonl", "JSON Lines", 14),
        ("b.csv", "CSV, semicolons", 2),
    ]
    assert json.loads(json.dumps(asdict(surveyed)))["response_items"] == "first"


def test_lengths_are_those_of_the_prompts(data: str) -> None:
    corpus = Corpus([data])
    surveyed = survey(corpus)
    lengths = np.array([len(entry.prompt) for entry in corpus if isinstance(entry, Sample)])
    assert surveyed.length_unit == "characters"
    assert sum(each.prompts for each in surveyed.lengths) == len(lengths) == surveyed.samples
    for each in surveyed.lengths:
        assert each.prompts == ((lengths >= each.low) & (lengths <= each.high)).sum()
    names = {"min": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
    expected = np.percentile(lengths, list(names.values()), method="inverted_cdf")
    assert surveyed.quantiles == dict(zip(names, expected.tolist(), strict=True))


def test_tokens_and_the_probe_are_asked_of_those_who_know(data: str) -> None:
    surveyed = survey(
        Corpus([data]),
        tokens=lambda texts: [2 for _ in texts],
        why_not=lambda sample: f"longer than {len(sample.prompt)}" if sample.response else None,
    )
    assert surveyed.length_unit == "tokens" and surveyed.quantiles["max"] == 2
    assert surveyed.probe == 1 and [r.reason for r in surveyed.not_probe] == ["longer than …"]


def test_a_limit_is_said(data: str) -> None:
    surveyed = survey(Corpus([data]), limit=3)
    assert (surveyed.rows, surveyed.read, surveyed.samples) == (16, 3, 3)


def test_no_sample_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": ""}\n')
    surveyed = survey(Corpus([str(tmp_path / "a.jsonl")]))
    assert (surveyed.samples, surveyed.rejects, surveyed.lengths, surveyed.quantiles) == (
        0,
        1,
        [],
        {},
    )


def test_the_item_that_is_taken_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": ["1", "2"]}\n')
    surveyed = survey(Corpus([str(tmp_path / "a.jsonl")], Fields(response_items="all")))
    assert surveyed.response_items == "all" and surveyed.with_response == 1
