"""One stage at work in a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import holding, is_at_work, occupied, working


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


def test_one_that_is_refused_removes_nothing_of_who_is_at_work(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    with working(run, "detect", discard_empty=True):
        assert is_at_work(run.path)
        with (
            pytest.raises(UserError, match="is at work in"),
            working(Run.create(run.path), "detect", discard_empty=True),
        ):
            pass
        assert (run.path / "run.json").is_file()
        (run.path / "heads.parquet").touch()
    assert run.path.is_dir() and not is_at_work(run.path)
    (run.path / "heads.parquet").unlink()
    with pytest.raises(UserError), working(run, "detect", discard_empty=True):
        raise UserError("no such model")
    assert not run.path.exists()


def test_where_no_stage_ever_was_none_is_at_work(tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    with holding(tmp_path):
        assert is_at_work(tmp_path)


def test_whoever_holds_a_run_clears_what_killed_writers_left(tmp_path: Path) -> None:
    """Arms and experiments too, which are no stages: else it stays until the next one."""
    run = Run.create(tmp_path / "r")
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    draft = run.path / "experiments" / f".x.parquet.{killed.pid}.tmp"
    aside = run.path / "selections" / f".top.{killed.pid}.old"
    draft.parent.mkdir()
    draft.write_text("half")
    aside.mkdir(parents=True)
    with occupied(run):
        assert not draft.exists() and (run.path / "selections" / "top").is_dir()
