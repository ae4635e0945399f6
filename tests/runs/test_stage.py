"""One stage at work in a run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import working


def test_a_stage_holds_its_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    with working(run, "detect"):
        assert Run.open(run.path).record.state == "running"
        message = rf"another process \(pid {os.getpid()}\) is at work in"
        with pytest.raises(UserError, match=message), working(run, "score"):
            pass
    (run.path / ".stage").write_text("what a foreign run may hold")
    with working(run, "detect"):
        assert (run.path / ".stage").read_text() == f"{os.getpid()}\n"
    assert Run.open(run.path).record.state == "done"
    with pytest.raises(Cancelled), working(run, "detect"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert Run.open(run.path).record.state == "cancelled"
    with pytest.raises(UserError), working(run, "detect"):
        raise UserError("bad")
    assert Run.open(run.path).record.state == "failed"


def test_a_refusal_takes_nothing_from_a_finished_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    with working(run, "detect"):
        pass
    with pytest.raises(UserError), working(run, "score"):
        raise UserError("no such file")
    assert Run.open(run.path).record.state == "done"
    with pytest.raises(ZeroDivisionError), working(run, "score"):
        raise ZeroDivisionError
    assert Run.open(run.path).record.state == "failed"
