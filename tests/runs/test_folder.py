"""The run folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.listing import list_runs, unwritable_runs
from tests.support.records import edit_run
from tests.support.run_factory import make_rows, make_run


def test_runs(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    edit_run(run, model={"id": "m"})
    assert Run.open(tmp_path / "r").model.id == "m"
    assert list_runs(tmp_path) == [tmp_path / "r"]
    with pytest.raises(UserError, match="detect"):
        run.heads()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a run folder"):
        Run.create(other)
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Run.open(tmp_path / "r")


def test_names_that_are_not_utf8_are_told_apart(tmp_path: Path) -> None:
    run, name = Run.create(tmp_path / "r"), os.fsdecode(b"r\xff")
    try:
        Run.create(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes no such names")
    assert list_runs(tmp_path) == [run.path] and unwritable_runs(tmp_path) == [tmp_path / name]
    for folder in ("scores", "selections", "calibrations"):
        (run.path / folder / name).mkdir(parents=True)
        for file in ("settings.json", "selection.json", "calibration.json"):
            (run.path / folder / name / file).write_text("{}")
    assert not run.scorings() + run.selections() + run.calibrations()


def test_one_scoring_that_cannot_be_read_costs_the_others_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_rows(5))
    broken = run.scores_dir("broken")
    broken.mkdir()
    (broken / "settings.json").write_text("{", encoding="utf-8")
    assert run.stage_state()["score"] == "done"
    (run.scores_dir() / "settings.json").unlink()
    assert run.scorings() == ["broken"] and run.stage_state()["score"] == "partial"
    with pytest.raises(UserError, match="cannot be read"):
        run.scoring("broken")


@pytest.mark.parametrize("name", ["../b/scores/c", "/tmp", "a/b", "..", ".", "", "a/", "\0"])
def test_no_name_leads_out_of_the_run(tmp_path: Path, name: str) -> None:
    """A job that came with a run may name a scoring, and stages write into it."""
    run = make_run(tmp_path / "run", make_rows(5))
    for folder in (run.scores_dir, run.selection_dir, run.calibration_dir, run.scoring, run.scores):
        with pytest.raises(UserError, match="is no name of what lies in"):
            folder(name)


def test_folders_without_end_are_one_line(tmp_path: Path) -> None:
    """Whatever walks a thousand folders in one another would end in a traceback."""
    run = Run.create(tmp_path / "r")
    deep = run.path
    for _ in range(60):
        deep /= "a"
    deep.mkdir(parents=True)
    with pytest.raises(UserError, match="is nothing that a run holds: remove it"):
        Run.open(run.path)
    deep.rmdir()
    os.mkfifo(run.path / "a" / "pipe")
    with pytest.raises(UserError, match="pipe is nothing that a run holds"):
        Run.open(run.path)
