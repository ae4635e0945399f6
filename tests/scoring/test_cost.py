"""An estimate of a scoring comes from a scoring of the same kind on this machine, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.cost import score_cost
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.run_factory import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "run")
    ownership.mark(run.path)
    record = run.scoring("default")
    record.rows, record.seconds, record.state, record.model = 100, 20.0, "done", run.model
    record.command = "circuitseer score --run r --data d"
    record.write(run.scores_dir() / "settings.json")
    return run


def seconds(run: Run, **changes: object) -> float | None:
    settings = ScoreSettings(**{"data": ["d"], "text": "prompt"} | changes)
    estimate = score_cost(1000, settings, run.model.id, [run])
    return None if estimate is None else estimate.seconds


def test_the_pace_of_an_earlier_scoring(run: Run) -> None:
    assert seconds(run) == pytest.approx(200.0)
    estimate = score_cost(1, ScoreSettings(data=["d"]), run.model.id, [run])
    assert estimate is not None and "earlier run on this machine" in estimate.words


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "full"}, {"baselines": True}, {"device": "mps"}, {"devices": "cpu,cpu"},
        {"dtype": "fp16"}, {"head_influence": True}, {"head_features": True}, {"engine": "ray"},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_another_kind_of_scoring_tells_nothing(run: Run, changes: dict[str, object]) -> None:
    assert seconds(run, **changes) is None


def test_another_machine_model_or_device_tells_nothing(run: Run, tmp_path: Path) -> None:
    assert score_cost(9, ScoreSettings(data=["d"]), "another/model", [run]) is None
    record = run.scoring("default")
    for command in ("score --device cuda", "an 'unclosed quote --device cpu"):
        record.command = command
        record.write(run.scores_dir() / "settings.json")
        assert (seconds(run) is None) == ("cuda" in command)
    shutil.copytree(run.path, tmp_path / "copy")
    assert seconds(Run.open(tmp_path / "copy")) is None
