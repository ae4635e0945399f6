"""What a stage tells of itself from its first second to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from circuitseer_core import stages
from circuitseer_core.cli.main import app
from circuitseer_core.runs import progress
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.import_scores import IMPORT_STEPS, ImportSettings
from circuitseer_core.selection.select_run import SELECT_STEPS
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All that progress.json was made to say, in order."""
    seen: list[dict[str, Any]] = []
    real = progress.ProgressRecord

    def note(**fields: Any) -> Any:
        seen.append(fields)
        return real(**fields)

    monkeypatch.setattr(progress, "ProgressRecord", note)
    return seen


def phases(written: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(fields["phase"] for fields in written))


def test_a_draw_tells_its_steps(run: Run, written: list[dict[str, Any]]) -> None:
    stages.run_selection(run.path, SelectionSettings.of(fraction=0.5))
    assert phases(written) == [
        "Reading the scores", "Reading lists and benchmarks", "Drawing", "Drawing with other seeds",
        "Weighing the draw up",
    ]  # fmt: skip
    assert len(phases(written)) == SELECT_STEPS == written[0]["total"]
    assert [fields["done"] for fields in written if fields["state"] == "running"] == [0, 1, 2, 3, 4]
    assert written[-1]["state"] == "done"


def test_a_join_tells_its_steps(run: Run, tmp_path: Path, written: list[dict[str, Any]]) -> None:
    ids = run.scores("default", ["id"])["id"]
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps({"id": i, "reward": 0.5}) + "\n" for i in ids))
    stages.run_import(run.path, [str(file)], ImportSettings())
    assert phases(written) == ["Reading the scoring", "Joining rows", "Writing the columns"]
    assert len(phases(written)) == IMPORT_STEPS


def test_an_experiment_has_a_name_before_it_counts(run: Run, written: list[dict[str, Any]]) -> None:
    done = CliRunner().invoke(app, ["validate", "length", "--run", str(run.path)])
    assert done.exit_code == 0, done.output
    assert phases(written) == ["Reading and computing"]
    assert [(fields["state"], fields["total"]) for fields in written] == [
        ("running", 0),
        ("done", 0),
    ]
