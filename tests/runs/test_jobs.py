"""Jobs: separate processes, one at a time, watched and stopped through the run folder alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs import job_steps, jobs, ownership, processes
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import holding

FAKE = """
import sys, time
# detect --run RUN [KIND] SECONDS
words = [sys.argv[1], *sys.argv[4:]]
kind, seconds = words[-2], float(words[-1])
print("fake", kind, flush=True)
if kind == "deaf":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("no signal ends this", flush=True)
time.sleep(seconds)
if kind == "fail":
    sys.exit("the dataset is empty")
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    script = tmp_path / "fake.py"
    script.write_text(FAKE, encoding="utf-8")
    return [sys.executable, str(script)]


def wait_for(check: Callable[[], bool], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def state(path: Path) -> str:
    return jobs.status(path).state


def test_steps_run_in_order_and_the_log_shows_them(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "0"], ["score", "0"]], program=program)
    wait_for(lambda: state(path) == "done")
    log = jobs.log_tail(path)
    assert log.index("fake detect") < log.index("fake score")
    wait_for(lambda: not (path / "lock").exists())  # the runner's last act, after its record
    assert Run.open(path).name == "run"


def test_cancel_reaches_a_runner_that_is_still_starting(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    jobs.cancel(path)
    wait_for(lambda: not jobs.status(path).live)
    assert state(path) == "cancelled"
    assert "fake detect" not in jobs.log_tail(path)


def test_a_failing_step_stops_the_job_and_says_why(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["select", "fail", "0"], ["score", "0"]], program=program)
    wait_for(lambda: state(path) == "failed")
    status = jobs.status(path)
    assert status.error == "select: the dataset is empty"
    assert status.step == 0 and status.resumable
    assert "fake score" not in jobs.log_tail(path)


def test_the_job_is_in_a_session_of_its_own(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    pid = json.loads((path / "lock").read_text())["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")


def test_cancel_ends_the_step_and_resume_runs_the_same_job(
    tmp_path: Path, program: list[str]
) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    wait_for(lambda: "fake detect" in jobs.log_tail(path))
    child = json.loads((path / "job.json").read_text())["child"]["pid"]
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")
    assert not psutil.pid_exists(child)
    assert jobs.status(path).resumable
    jobs.resume(path, program=program)
    assert state(path) == "running"
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")


def test_a_deaf_step_is_killed_after_the_grace_period(
    tmp_path: Path, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    Run.create(path)
    job = {"steps": [["select", "deaf", "60"]], "started_s": time.time()}
    (path / "job.json").write_text(json.dumps(job))
    code = "import circuitseer_core.runs.jobs as j, sys, pathlib; j.GRACE_S = 0.5\n"
    code += "sys.exit(j.main(pathlib.Path(sys.argv[1]), sys.argv[2:]))"
    with (path / "log.txt").open("wb") as log:
        runner = subprocess.Popen(
            [sys.executable, "-c", code, str(path), *program], stdout=log, stderr=log
        )
    wait_for(lambda: "no signal ends this" in jobs.log_tail(path))
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) == 130
    assert state(path) == "cancelled"


def test_two_tabs_cannot_start_twice(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    Run.create(path)
    outcomes: list[str] = []
    gate = threading.Barrier(6)

    def tab() -> None:
        gate.wait()
        try:
            jobs.start(path, [["detect", "30"]], program=program)
            outcomes.append("started")
        except UserError:
            outcomes.append("refused")

    tabs = [threading.Thread(target=tab) for _ in range(6)]
    for thread in tabs:
        thread.start()
    for thread in tabs:
        thread.join()
    jobs.cancel(path)
    assert sorted(outcomes) == ["refused"] * 5 + ["started"]
    wait_for(lambda: state(path) == "cancelled")


def test_a_killed_job_reads_as_interrupted_and_can_be_resumed(
    tmp_path: Path, program: list[str]
) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    wait_for(lambda: "fake detect" in jobs.log_tail(path))
    pid = json.loads((path / "lock").read_text())["pid"]
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: state(path) == "interrupted")
    jobs.resume(path, program=program)
    assert state(path) == "running"
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")


def test_an_orphaned_step_counts_as_running_and_can_be_cancelled(
    tmp_path: Path, program: list[str]
) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    wait_for(lambda: "fake detect" in jobs.log_tail(path))
    runner = processes.identity(json.loads((path / "lock").read_text())["pid"])
    os.kill(runner.pid, signal.SIGKILL)
    wait_for(lambda: not processes.is_live(runner))
    assert state(path) == "running"
    with pytest.raises(UserError, match="at work"):
        jobs.start(path, [["detect", "30"]], program=program)
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")


def test_a_recycled_pid_is_not_taken_for_the_job(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    Run.create(path)
    (path / "lock").write_text(json.dumps({"pid": os.getpid(), "start_time": 12345.0}))
    (path / "job.json").write_text(json.dumps({"steps": [["detect"]], "state": "running"}))
    assert state(path) == "interrupted"
    jobs.start(path, [["detect", "0"]], program=program)
    wait_for(lambda: state(path) == "done")


def test_finished_runners_are_reaped(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "0"]], program=program)
    pid = json.loads((path / "lock").read_text())["pid"]
    wait_for(lambda: state(path) == "done")
    wait_for(lambda: jobs.reap() is None and not psutil.pid_exists(pid))
    assert not psutil.pid_exists(pid)


def test_log_tail_shows_the_last_state_of_a_bar(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"start\n 10%|#\r 50%|#####\r100%|##########\ndone\n")
    assert jobs.log_tail(tmp_path) == "start\n100%|##########\ndone"


def test_rename_and_delete_mind_a_live_job(tmp_path: Path, program: list[str]) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["detect", "30"]], program=program)
    with pytest.raises(UserError, match="cancel it first"):
        jobs.delete(path)
    with pytest.raises(UserError, match="cancel it first"):
        jobs.rename(path, "other")
    jobs.cancel(path)
    wait_for(lambda: state(path) == "cancelled")
    renamed = jobs.rename(path, "other")
    assert Run.open(renamed).record.name == "other"
    jobs.delete(renamed)
    assert not renamed.exists()


def test_rename_and_delete_mind_a_stage_of_a_terminal(tmp_path: Path) -> None:
    path = Run.create(tmp_path / "run").path
    with holding(path):
        for change in (jobs.delete, lambda place: jobs.rename(place, "other")):
            with pytest.raises(UserError, match="is at work in"):
                change(path)
        assert (path / "run.json").is_file()
    jobs.delete(jobs.rename(path, "other"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", " x", "a:b", "x" * 101])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UserError):
        jobs.check_name(name)


def test_delete_refuses_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError):
        jobs.delete(tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def _foreign(path: Path, steps: list[list[str]], **more: object) -> None:
    Run.create(path)
    job = {"steps": steps, "state": "failed", "started_s": 1.0, **more}
    (path / "job.json").write_text(json.dumps(job))


def test_a_program_named_in_a_run_folder_is_never_run(tmp_path: Path, program: list[str]) -> None:
    path, witness = tmp_path / "run", tmp_path / "witness"
    evil = [sys.executable, "-c", f"open({str(witness)!r}, 'w')"]
    _foreign(path, [["detect", "0"]], program=evil)
    assert jobs.status(path).resumable and not jobs.status(path).ours
    with pytest.raises(UserError, match="not started on this machine"):
        jobs.resume(path, program=program)
    jobs.resume(path, adopt=True, program=program)
    wait_for(lambda: state(path) == "done")
    assert "fake detect" in jobs.log_tail(path)
    assert not witness.exists()
    assert jobs.status(path).ours


@pytest.mark.parametrize("step", [["export", "--out", "x"], ["app"], [], ["--help"], ["score\0"]])
def test_what_is_no_stage_is_refused_even_when_adopted(tmp_path: Path, step: list[str]) -> None:
    path = tmp_path / "run"
    _foreign(path, [step])
    with pytest.raises(UserError, match="no stage|no job"):
        jobs.resume(path, adopt=True)
    assert state(path) == ("failed" if step else "none"), "not started"


@pytest.mark.parametrize("words", [["--run", "/elsewhere"], ["--run=/elsewhere"]])
def test_a_step_works_in_its_own_folder_only(
    tmp_path: Path, program: list[str], words: list[str]
) -> None:
    path = tmp_path / "run"
    _foreign(path, [["detect", *words, "0", *words, "0"]])
    jobs.resume(path, adopt=True, program=program)
    wait_for(lambda: state(path) == "done")
    assert jobs.status(path).steps == (("detect", "--run", str(path), "0", "0"),)


def test_a_renamed_run_resumes_where_it_now_lies_and_a_changed_step_is_foreign(
    tmp_path: Path, program: list[str]
) -> None:
    path = tmp_path / "run"
    jobs.start(path, [["select", "fail", "0"]], program=program)
    wait_for(lambda: state(path) == "failed")
    moved = jobs.rename(path, "other")
    assert jobs.status(moved).ours
    jobs.resume(moved, program=program)
    wait_for(lambda: state(moved) == "failed")
    assert jobs.status(moved).steps[0][2] == str(moved)
    job = json.loads((moved / "job.json").read_text())
    job["steps"][0].append("--model=evil/model")
    (moved / "job.json").write_text(json.dumps(job))
    assert not jobs.status(moved).ours


def test_the_key_is_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIRCUITSEER_KEY")
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "home"))
    seal = job_steps.sealed([["detect", "1"]])
    assert (tmp_path / "home" / "job.key").stat().st_mode & 0o777 == 0o600
    assert job_steps.is_ours([["detect", "--run", "x", "1"]], seal)
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "another machine"))
    assert not job_steps.is_ours([["detect", "1"]], seal)


def test_where_no_key_can_be_kept_every_job_has_to_be_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIRCUITSEER_KEY")
    (tmp_path / "home").write_text("a file where the folder should be")
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "home"))
    assert job_steps.sealed([["detect", "1"]]) is None
    assert not job_steps.is_ours([["detect", "1"]], "0" * 64)
    run = Run.create(tmp_path / "run")
    assert not ownership.is_own(run.path)
    with pytest.raises(UserError, match="no key can be kept"):
        ownership.adopt(run.path)


def test_no_job_starts_in_a_run_from_elsewhere_until_it_is_adopted(
    tmp_path: Path, program: list[str]
) -> None:
    made = Run.create(tmp_path / "made").path
    foreign = tmp_path / "foreign"
    shutil.copytree(made, foreign)
    with pytest.raises(UserError, match="not made on this machine"):
        jobs.start(foreign, [["detect", "0"]], program=program)
    assert not (foreign / "job.json").exists() and not (foreign / "log.txt").exists()
    (foreign / "log.txt").symlink_to(tmp_path / "profile")
    with pytest.raises(UserError, match="link out of the run"):
        ownership.adopt(foreign)
    (foreign / "log.txt").unlink()
    ownership.adopt(foreign)
    jobs.start(foreign, [["detect", "0"]], program=program)
    wait_for(lambda: state(foreign) == "done")
    assert ownership.is_own(jobs.rename(made, "renamed"))


def test_cancel_signals_nobody_but_the_job(tmp_path: Path) -> None:
    path = Run.create(tmp_path / "run").path
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        holder = processes.identity(bystander.pid).to_json()
        job = {"steps": [["detect"]], "state": "running", "child": holder}
        (path / "job.json").write_text(json.dumps(job))
        (path / "lock").write_text(json.dumps(holder))
        assert jobs.status(path).live
        jobs.cancel(path)
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(timeout=0.5)
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("pid", [-1, 0, 2**70])
def test_what_is_no_pid_is_nobody(tmp_path: Path, pid: int) -> None:
    path = Run.create(tmp_path / "run").path
    (path / "lock").write_text(json.dumps({"pid": pid, "start_time": 1.0}))
    (path / "job.json").write_text(json.dumps({"steps": [["detect"]], "state": "running"}))
    assert state(path) == "interrupted"
    jobs.cancel(path)
