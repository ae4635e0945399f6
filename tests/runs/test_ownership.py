"""A run from another machine is read until it is adopted, and its job asks for nothing harmful."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import circuitseer_core as cs
from circuitseer_core import stages
from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.cli.main import app
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs import commands, jobs, ownership
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import holding, is_at_work, working
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.synthetic import Shape, make_run


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was made on another machine."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("CIRCUITSEER_KEY", str(tmp_path / "their.key"))
        return make_run(tmp_path / "foreign", Shape(rows=60, layers=2, heads=3))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _stage(path: Path) -> object:
    with working(Run.open(path), "select"):
        return None


WRITERS: dict[str, Callable[[Path], object]] = {
    "a stage": lambda path: stages.run_selection(
        path, SelectionSettings.of(fraction=0.3, name="n")
    ),
    "arms": lambda path: build_arms(Run.open(path), path.parent / "out", ArmsSettings()),
    "job": lambda path: jobs.start(path, [["select"]]),
    "rename": lambda path: jobs.rename(path, "other"),
}


@pytest.mark.parametrize("way", WRITERS)
def test_nothing_is_written_into_a_run_of_another_machine(foreign: Path, way: str) -> None:
    before = contents(foreign)
    with pytest.raises(UserError, match="was not made on this machine.*adopt"):
        WRITERS[way](foreign)
    assert contents(foreign) == before


def test_one_step_takes_it_over_in_a_terminal(foreign: Path) -> None:
    words = ["validate", "--run", str(foreign), "length"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1 and f"adopt {foreign}" in str(refused.exception)
    assert CliRunner().invoke(app, ["adopt", str(foreign)]).exit_code == 0
    assert CliRunner().invoke(app, words).exit_code == 0 and ownership.is_own(foreign)
    assert "yours already" in CliRunner().invoke(app, ["adopt", str(foreign)]).output


def test_one_call_takes_it_over_in_a_notebook(foreign: Path) -> None:
    cs.adopt(cs.load_run(foreign))
    assert ownership.is_own(foreign) and cs.validate(foreign, "length")


def test_a_copy_of_an_own_run_and_one_of_before_go_on(foreign: Path, tmp_path: Path) -> None:
    made = make_run(tmp_path / "made", Shape(rows=60, layers=2, heads=3))
    copied = Path(shutil.copytree(made, tmp_path / "copied"))
    assert not ownership.is_own(copied) and not ownership.is_foreign(copied)
    _stage(copied)
    assert ownership.is_foreign(Path(shutil.copytree(foreign, tmp_path / "further")))
    (copied / ownership.MARK).unlink()
    (copied / ".stage").unlink()
    _stage(copied)
    (copied / ".stage").unlink()
    before = contents(copied)
    renamed = jobs.rename(copied, "renamed")
    assert contents(renamed) == before, "renamed, and nothing written into it"
    _stage(renamed)


@pytest.mark.parametrize("mark", ["", "\n", "x\ny z\n", "é", "\0"])
def test_a_mark_that_is_none_is_foreign(foreign: Path, mark: str) -> None:
    (foreign / ownership.MARK).write_text(mark, encoding="utf-8")
    assert ownership.is_foreign(foreign) and not ownership.is_own(foreign)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path = Run.create(tmp_path / "run").path
    (path / ".stage").symlink_to(tmp_path / "elsewhere")
    for enter in (holding(path), working(Run.open(path), "score")):
        with pytest.raises(UserError, match=r"\.stage is a link"), enter:
            pass
    (tmp_path / "elsewhere").touch()
    assert not is_at_work(path) and (tmp_path / "elsewhere").read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detect", "--model", "./x", "--probe", "a", "--allow-pickle"], "--allow-pickle"),
        (["score", "--data", "a", "--allow-pickle=1"], "--allow-pickle"),
        (["score", "--data", "a", "--engine", "ray", "--ray-address=ray://b"], "--ray-address"),
        (["score", "--data", "a", "--out", "/etc/passwd"], "'--out' is no option"),
        (["detect", "--model", "x", "--probe", "a", "--no-model"], "'--no-model' is no option"),
        (["detect", "--model", "x", "--probe", "a", "--probe-size", "many"], "--probe-size"),
        (["select", "--fraction"], "--fraction needs a value"),
        (["select", "stray"], "'stray' is no option"),
        (["import-scores", "--rank=no", "--", "a.csv"], "'--rank' is no option"),
        (["arms", "--out", "a", "--seeds", "2", "--quiet"], "'--quiet' is no option"),
    ],
)
def test_a_foreign_job_is_adopted_only_where_it_is_harmless(
    foreign: Path, words: list[str], message: str
) -> None:
    job = {"steps": [["select"], words], "state": "failed", "started_s": 1.0}
    (foreign / "job.json").write_text(json.dumps(job))
    before = contents(foreign)
    with pytest.raises(UserError, match=message) as refused:
        stages.adopt_job(foreign)
    assert "\n" not in str(refused.value) and contents(foreign) == before


def test_no_model_of_a_foreign_job_is_unpickled_whoever_resumes_it(foreign: Path) -> None:
    job = {"steps": [["detect", "--model", "./x", "--allow-pickle"]], "state": "failed"}
    (foreign / "job.json").write_text(json.dumps(job | {"started_s": 1.0}))
    with pytest.raises(UserError, match="may run code"):
        jobs.resume(foreign, adopt=True)
    assert not ownership.is_own(foreign) and not os.path.lexists(foreign / "lock")


@pytest.mark.parametrize(
    "settings",
    [
        DetectSettings(model="m", probe=["a", "b"], mode="racing", epsilon=0.5, ablation="scaled"),
        ScoreSettings(data=["a=1", "--odd"], heads="0.1", baselines=True),
        CalibrateSettings(),
        SelectionSettings.of(tokens=10, exclude=("x", "y"), review=False),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_what_the_app_writes_is_read_back(settings: BaseModel) -> None:
    words = commands.arguments(settings)
    assert commands.read_back(type(settings), words) == settings


def test_a_hard_link_is_a_way_out_of_the_run_too(foreign: Path, tmp_path: Path) -> None:
    """The log is appended to: what has its place would be written into."""
    (tmp_path / "profile").write_text("mine")
    (foreign / "log.txt").unlink(missing_ok=True)
    (foreign / "log.txt").hardlink_to(tmp_path / "profile")
    with pytest.raises(UserError, match=r"log\.txt has another name elsewhere"):
        ownership.adopt(foreign)
    ownership.adopt(copied := Path(shutil.copytree(foreign, tmp_path / "copied")))
    assert ownership.is_own(copied) and not ownership.is_own(foreign)


def test_whatever_the_app_starts_can_be_adopted(foreign: Path) -> None:
    steps = [["arms", "--out", "a", "--seeds", "2"], ["cluster", "--clusters", "3", "--replace"]]
    bound = stages.check_foreign(steps, foreign)
    assert bound[0][-2:] == ["--out", str(foreign / "arms" / "a")]
