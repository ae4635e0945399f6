"""What a stopped experiment has measured is not measured again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.kept_parts import KeptParts
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from tests.support.crafted_run import add_scores
from tests.support.measured_run import measured_run

TRIES: dict[str, dict[str, Any]] = {
    "joint-ablation": {"set": "probe"},
    "sinks": {"rows": 9},
    "stability": {"rescore": 9, "sets": 3, "bootstraps": 50},
}


class Stopped(Exception):
    """As Ctrl-C or a kill would be."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Detected and scored; batches so small that there are several."""
    monkeypatch.setattr("circuitseer_core.experiments.sinks.BATCH_TOKENS", 40)
    monkeypatch.setattr("circuitseer_core.experiments.head_resampling.BATCH_TOKENS", 40)
    made = measured_run(tmp_path)
    prompts = [f"Tom has {i} apples and buys {2 * i} more" for i in range(9)]
    columns = {"variance": np.linspace(1, 2, 9), "prompt": prompts, "response": [None] * 9}
    columns["original"] = [json.dumps({"question": prompt}) for prompt in prompts]
    model = made.record.model.to_json()
    add_scores(made, columns, heads=[[0, 0], [1, 1]], max_length=64, model=model)
    return made


@pytest.mark.parametrize("name", TRIES)
def test_a_stopped_experiment_goes_on(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Run.open(shutil.copytree(run.path, run.path.with_name("fresh")))
    measured: list[str] = []
    stop_after = 2
    whole = KeptParts.part

    def part(
        self: KeptParts, at: str, measure: Callable[[], pd.DataFrame], *rest: Any
    ) -> pd.DataFrame:
        def counted() -> pd.DataFrame:
            if len(measured) == stop_after:
                raise Stopped
            measured.append(f"{self.folder.name}/{at}")
            return measure()

        return whole(self, at, counted, *rest)

    monkeypatch.setattr(KeptParts, "part", part)
    with pytest.raises(Stopped):
        EXPERIMENTS[name].run(run, **TRIES[name])
    before, stop_after = list(measured), -1
    result = EXPERIMENTS[name].run(run, **TRIES[name])
    assert len(set(measured)) == len(measured) > len(before) == 2, "nothing twice"
    undisturbed = EXPERIMENTS[name].run(fresh, **TRIES[name])
    assert undisturbed.verdict == result.verdict and undisturbed.table.equals(result.table)


def test_parts_of_other_work_are_not_read_and_damaged_ones_are_made_anew(run: Run) -> None:
    def numbers(value: int) -> pd.DataFrame:
        return pd.DataFrame({0: [value]})

    with Progress(None, "parts", 9, unit="parts", phase="Parts", show=False) as progress:
        kept = KeptParts(run, "try", "float32", [1, 2])
        assert kept.part("0", lambda: numbers(1), progress, 1).iloc[0, 0] == 1
        assert kept.part("0", lambda: numbers(2), progress, 1).iloc[0, 0] == 1
        other = KeptParts(run, "try", "float32", [1, 3])
        assert other.part("0", lambda: numbers(3), progress, 1).iloc[0, 0] == 3
        [path] = kept.folder.glob("part-*.parquet")
        path.write_bytes(path.read_bytes()[:-20])
        assert kept.part("0", lambda: numbers(4), progress, 1).iloc[0, 0] == 4
