"""What the Overview counts while a scoring is under way."""

from __future__ import annotations

import json
from pathlib import Path

from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run
from ui.overview.facts import scored_rows


def test_rows_of_an_unfinished_scoring_are_those_of_its_parts(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=40)))
    assert scored_rows(run, "default") == 40
    settings = run.scores_dir() / "settings.json"
    record = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(record | {"state": "running", "rows": 0}), encoding="utf-8")
    assert scored_rows(run, "default") == 40
    run.score_parts()[0].write_bytes(b"no parquet")
    assert scored_rows(run, "default") == 0
