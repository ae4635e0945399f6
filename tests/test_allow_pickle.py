"""--allow-pickle reaches whatever loads the run's model, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from circuitseer_core import stages
from circuitseer_core.cli.main import app
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import load_run_model, pickle_allowed
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.every_view import problem
from tests.support.tiny_models import save_tiny


def test_every_command_takes_it(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    weights = model / "model.safetensors"
    torch.save(load_file(weights), model / "pytorch_model.bin")
    weights.unlink()
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps(problem(i)) for i in range(12)), encoding="utf-8")
    path, specs = tmp_path / "run", [str(data)]

    detect = {"model": str(model), "probe": specs, "probe_size": 4, "device": "cpu"}
    with pytest.raises(UserError, match="--allow-pickle"):
        stages.run_detection(path, DetectSettings(**detect), show=False)
    stages.run_detection(path, DetectSettings(**detect, allow_pickle=True), show=False)
    score = {"data": specs, "device": "cpu"}
    with pytest.raises(UserError, match="--allow-pickle"):
        stages.run_scoring(path, ScoreSettings(**score), show=False)
    stages.run_scoring(path, ScoreSettings(**score, allow_pickle=True), show=False)

    run = Run.open(path)
    sample = run.scores(columns=["id"])["id"].iloc[0]
    for words in (
        ["ablate", "--heads", "0.0", "--data", str(data), "--device", "cpu"],
        ["inspect", "--id", sample],
    ):
        words = [words[0], "--run", str(path), *words[1:]]
        refused = CliRunner().invoke(app, words)
        assert refused.exit_code == 1 and "--allow-pickle" in str(refused.exception)
        assert CliRunner().invoke(app, [*words, "--allow-pickle"]).exit_code == 0
    with pytest.raises(UserError, match="--allow-pickle"):  # none of them left it on
        load_run_model(run.model, "fp32", "cpu")


def test_workers_that_are_started_inside_know_it() -> None:
    ask = [sys.executable, "-c", "import os; print(os.environ.get('CIRCUITSEER_ALLOW_PICKLE'))"]
    with pickle_allowed(True):
        assert subprocess.check_output(ask, text=True).strip() == "1"
        with pickle_allowed(False):  # takes nothing back
            assert os.environ["CIRCUITSEER_ALLOW_PICKLE"] == "1"
    assert "CIRCUITSEER_ALLOW_PICKLE" not in os.environ
