"""What the commands that study a run print for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from circuitseer_core.cli.main import app
from circuitseer_core.experiments import affordable
from circuitseer_core.experiments.experiment import ExperimentResult
from tests.support.run_factory import make_run


def test_all_that_was_run_and_left_out_is_in_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"scorer": ["variance"], "rho": [0.5]})
    result = ExperimentResult("length", "How far?", "Half.", {"rho": 0.5}, table)
    left = affordable.LeftOut("heads", "it needs the model", 40.0)

    def run_affordable(*_: Any, say: Any, **__: Any) -> Any:
        say("length: Half.")
        return [result], [left]

    monkeypatch.setattr(affordable, "run_affordable", run_affordable)
    path = str(make_run(tmp_path / "run").path)
    done = CliRunner().invoke(app, ["validate", "all", "--run", path, "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["done"][0]["experiment"] == "length" and facts["done"][0]["verdict"] == "Half."
    assert facts["done"][0]["table"] == [{"scorer": "variance", "rho": 0.5}]
    assert facts["left_out"] == [{"name": "heads", "why": "it needs the model", "seconds": 40.0}]


def test_an_experiment_that_there_is_not_is_named(tmp_path: Path) -> None:
    path = str(make_run(tmp_path / "run").path)
    done = CliRunner().invoke(app, ["validate", "lenght", "--run", path])
    assert str(done.exception).startswith("no experiment 'lenght': choose all, length, ")
