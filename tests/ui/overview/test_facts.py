"""What the Overview counts and offers while a scoring is under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run
from ui.overview.facts import Step, Way, scored_rows, way_on


def test_rows_of_an_unfinished_scoring_are_those_of_its_parts(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=40)))
    assert scored_rows(run, "default") == 40
    settings = run.scores_dir() / "settings.json"
    record = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(record | {"state": "running", "rows": 0}), encoding="utf-8")
    assert scored_rows(run, "default") == 40
    run.score_parts()[0].write_bytes(b"no parquet")
    assert scored_rows(run, "default") == 0


@pytest.mark.parametrize(
    ("state", "needs", "live", "words"),
    [
        ("done", None, True, "Open"),
        ("partial", None, False, "Run this step"),
        ("partial", None, True, "A job of this run is at work."),
        ("missing", 1, True, "Needs step 1."),
    ],
)
def test_a_step_at_work_is_not_offered_again(
    state: str, needs: int | None, live: bool, words: str
) -> None:
    way = way_on(Step("Score samples", "sources", state, ""), needs, live)
    assert (way.label if isinstance(way, Way) else way) == words
