"""What a stage says of itself while it works: a phase with a name, and time left in all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.runs import progress as progress_module
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.job_records import ProgressRecord
from circuitseer_core.runs.progress import Progress, announce


def record(run: Run) -> ProgressRecord:
    return ProgressRecord.read(run.progress_path)


def test_a_phase_of_unknown_size_has_a_name_and_no_total(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    announce(run, "detect", "Loading the model")
    written = record(run)
    assert (written.stage, written.phase, written.state) == (
        "detect",
        "Loading the model",
        "running",
    )
    assert (written.done, written.total, written.eta_s) == (0, 0, None)
    keys = json.loads(run.progress_path.read_text())
    assert {"stage", "done", "total", "rate", "eta_s", "message"} <= set(keys)  # outside scripts
    announce(None, "detect", "nobody watches")


def test_time_left_counts_the_phases_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path / "run")
    clock = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    with Progress(
        run, "probe pool", 100, unit="samples", show=False, phase="Clean loss",
        ahead=lambda rate: 60 / rate,
    ) as progress:  # fmt: skip
        assert record(run).phase == "Clean loss"
        clock[0] = 10.0
        progress.advance(20)  # two a second: 40 s for the rest, 30 s for what comes after
        assert record(run).eta_s == pytest.approx(70.0)
