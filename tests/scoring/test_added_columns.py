"""A shard that is lost after scores were imported: all of the scoring can be read, and mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.runs.records import AppliedCalibration
from circuitseer_core.runs.shard_columns import add_columns, drop_columns
from circuitseer_core.scoring.import_scores import ImportSettings, import_scores
from circuitseer_core.scoring.score import ScoreSettings, score


@pytest.fixture
def rewards(run: Run, data: str, tmp_path: Path) -> str:
    """A scoring of three shards and more, and a file of outside scores that it carries."""
    _score(run, data)
    ids = run.scores("default", ["id"])["id"]
    rows = [json.dumps({"id": name, "reward": i + 0.5}) for i, name in enumerate(ids)]
    path = tmp_path / "reward.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    _import(run, str(path))
    return str(path)


def _score(run: Run, data: str) -> None:
    score(run, ScoreSettings(data=[data], shard_rows=16, device="cpu"), progress=False)


def _import(run: Run, file: str, *, replace: bool = False) -> None:
    import_scores(run, [file], ImportSettings(replace=replace))


@pytest.mark.parametrize("lost", [0, 1], ids=["the first shard", "another shard"])
def test_imported_scores_go_with_a_shard_and_can_be_imported_again(
    run: Run, data: str, rewards: str, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run.scores("default", ["id", "variance", "reward"])
    run.score_parts("default")[lost].write_bytes(b"PAR1")
    _score(run, data)
    printed = capsys.readouterr().err
    assert "takes the added scores away (reward); then: " in printed
    assert f"import-scores {rewards} --run {run.path}" in printed
    again = Run.open(run.path)
    scoring = again.scoring("default")
    assert scoring.imported == [] and "reward" not in scoring.scorers
    assert "reward" not in again.scores("default").columns
    _import(again, rewards)
    assert again.scores("default", ["id", "variance", "reward"]).equals(before)
    assert check_run(run.path).ok


def test_a_column_that_only_some_shards_have_goes_from_all(
    run: Run, data: str, rewards: str
) -> None:
    """As it was left when shards were made again without this."""
    drop_columns(run.score_parts("default")[1:2], ["reward"])
    _score(run, data)
    assert "reward" not in Run.open(run.path).scores("default").columns
    _import(Run.open(run.path), rewards, replace=True)


def test_a_calibrated_column_goes_too_and_a_whole_scoring_keeps_all(
    run: Run, data: str, rewards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scoring = run.scoring("default").model_copy(deep=True)
    add_columns(run.score_parts("default"), {"calibrated": run.scores("default")["reward"]})
    scoring.calibration = AppliedCalibration(name="mine", sha256="0")
    scoring.scorers = [*scoring.scorers, "calibrated"]
    scoring.write(run.scores_dir("default") / "settings.json")
    _score(run, data)
    assert {"reward", "calibrated"} <= set(Run.open(run.path).scores("default").columns)
    run.score_parts("default")[1].unlink()
    _score(run, data)
    assert "--name mine --apply default" in capsys.readouterr().err
    again = Run.open(run.path)
    assert again.scoring("default").calibration is None
    assert not {"reward", "calibrated"} & set(again.scores("default").columns)
