"""A job at work is seen on every page, with its phase, and can be stopped or gone on with there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.runs import jobs
from circuitseer_core.runs.job_steps import STAGES
from tests.support.opened import APP, settled, synthetic, texts
from ui.runs import job_strip
from ui.runs.job_bar import title_of
from ui.widgets.markdown import literal


def with_job(path: Path, state: str, *, live: bool, **progress: Any) -> None:
    process = psutil.Process()
    holder = {"pid": process.pid, "start_time": process.create_time()}
    steps = [["detect", "--run", str(path)], ["score", "--run", str(path), "--data", "demo"]]
    job = {
        "steps": steps, "seal": jobs.sealed(steps), "state": state, "step": 0,
        "started": "2026-01-05T09:00:00+00:00", "started_s": process.create_time(),
        "child": holder if live else {},
    }  # fmt: skip
    (path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    record = {"stage": "detect", "state": "running"} | progress
    (path / "progress.json").write_text(json.dumps(record), encoding="utf-8")
    if live:
        (path / "lock").write_text(json.dumps(holder), encoding="utf-8")


def overview(run: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"] = run
    for name, value in link.items():
        app.query_params[name] = value
    return settled(app.run())


def bars(app: AppTest) -> list[str]:
    return [bar.proto.text for bar in app.get("progress")]


def test_a_job_of_another_run_is_named_and_can_be_cancelled(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic(runs_home, "mine")
    with_job(synthetic(runs_home, "busy").path, "running", live=True, phase="Loading the model")
    app = overview("mine")
    assert "**busy**: Detect heads (1 of 2)" in texts(app)
    assert bars(app) == ["Loading the model …"]
    cancelled: list[Path] = []
    monkeypatch.setattr(jobs, "cancel", cancelled.append)
    app = overview("mine")
    settled(app.button(key="strip_cancel_busy").click().run())
    assert cancelled == [runs_home / "busy"]


def test_the_bar_has_a_name_before_the_stage_says_a_word(runs_home: Path) -> None:
    path = synthetic(runs_home, "busy").path
    with_job(path, "running", live=True, phase="")
    assert bars(overview("busy")) == ["Starting the process …"]
    with_job(
        path, "running", live=True, phase="Ablating heads", done=5, total=20, unit="sample x head",
        eta_s=90,
    )  # fmt: skip
    words = "Ablating heads: 5 of 20 sample × head, 1 min 30 s left in this step"
    assert bars(overview("busy")) == [literal(words)]
    with_job(path, "running", live=True, phase="Ablating sets", done=9, total=9)
    record = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    (path / "progress.json").write_text(json.dumps(record | {"state": "done"}), encoding="utf-8")
    assert bars(overview("busy")) == ["Ablating sets: done …"]


@pytest.mark.parametrize(
    ("link", "strips"),
    [({}, 0), ({"runs_view": "Watch"}, 0), ({"runs_view": "Clusters"}, 1), ({"stage": "Draw"}, 1)],
)
def test_on_the_runs_page_only_the_panel_takes_the_place_of_the_strip(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch, link: dict[str, str], strips: int
) -> None:
    with_job(synthetic(runs_home, "busy").path, "running", live=True, phase="Drawing")
    real = job_strip.show
    monkeypatch.setattr(job_strip, "show", lambda page: real("runs"))
    assert len(bars(overview("busy", **link))) == strips


def test_jobs_that_have_no_room_are_counted(runs_home: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        with_job(synthetic(runs_home, name).path, "running", live=True, phase="Drawing")
    page = overview("a")
    assert len(bars(page)) == job_strip.MOST
    assert "and 2 more" in [link.proto.label for link in page.get("page_link")]


def test_every_stage_has_a_title_and_an_experiment_its_name() -> None:
    assert {stage for stage in STAGES if title_of([stage]) == stage} == set()
    assert title_of(["validate", "--run", "r", "length", "--set", "a=1"]) == "Experiment length"
    assert title_of(["validate", "--run", "r", "all"]) == "Experiments that fit"
    assert "**" not in title_of(["**detect**"])


@pytest.mark.parametrize("total", [0, 20])
def test_a_bar_shows_what_a_file_says_as_text(runs_home: Path, total: int) -> None:
    path = synthetic(runs_home, "busy").path
    image = "![x](http://evil.example/a.png)"
    with_job(path, "running", live=True, phase=image, unit=image, done=5, total=total)
    [text] = bars(overview("busy"))
    assert literal(image) in text and image not in text


def test_a_stopped_job_of_the_run_in_view_can_be_resumed(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_job(synthetic(runs_home, "mine").path, "cancelled", live=False)
    synthetic(runs_home, "other")
    assert "strip_resume_mine" not in [b.key for b in overview("other").button]
    resumed: list[Path] = []
    monkeypatch.setattr(jobs, "resume", lambda path, adopt=False: resumed.append(path))
    settled(overview("mine").button(key="strip_resume_mine").click().run())
    assert resumed == [runs_home / "mine"]


def test_a_quiet_app_has_no_strip(runs_home: Path) -> None:
    synthetic(runs_home, "mine")
    assert "strip" not in " ".join(str(b.key) for b in overview("mine").button)


@pytest.mark.parametrize("step", [0, 1])
def test_export_tells_of_a_draw_that_failed_not_of_what_failed_before_it(
    runs_home: Path, step: int
) -> None:
    run = synthetic(runs_home)
    job = {"steps": [["score", "--data", "demo"], ["select"]], "state": "failed", "step": step,
           "error": "the disk is full", "started_s": 1.0}  # fmt: skip
    (run.path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    page = AppTest.from_file(str(APP), default_timeout=240)
    page.query_params["run"] = "made"
    page.run()
    settled(page.switch_page("pages/export.py").run())
    shown = [text.value for text in page.text]
    assert shown.count("the disk is full") == step
