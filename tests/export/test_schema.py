"""One Arrow schema for rows that do not agree."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from tests.support.exported import GROUP, read_lines, run_of


def test_columns_that_clash_become_json_text(tmp_path: Path) -> None:
    originals = [
        {"question": "q0", "answer": "four", "meta": {"a": 1}, "only": None},
        {"question": "q1", "answer": 4, "meta": {"b": [1.5, None]}, "deep": [{"x": 1}], "e": {}},
        {"question": "q2", "answer": 4.5, "n": 1, "big": 2**70},
        {"question": "q3", "answer": True, "n": 2.5},
    ]
    done = export(run_of(tmp_path, originals), None, tmp_path / "a.parquet")
    manifest = json.loads(done.manifest.read_text())
    assert sorted(manifest["export"]["columns_as_json"]) == ["answer", "big", "e"]
    rows = {row["question"]: row for row in pq.read_table(done.path).to_pylist()}
    assert json.loads(rows["q0"]["answer"]) == "four" and json.loads(rows["q1"]["answer"]) == 4
    assert json.loads(rows["q2"]["big"]) == 2**70 and rows["q3"]["n"] == 2.5
    assert rows["q1"]["meta"]["b"] == [1.5, None] and rows["q0"]["only"] is None
    lines = read_lines(export(Run.open(tmp_path / "run"), None, tmp_path / "a.jsonl").path)
    assert {json.dumps({k: v for k, v in row.items() if k not in GROUP}) for row in lines} == {
        json.dumps(original) for original in originals
    }
