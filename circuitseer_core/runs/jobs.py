"""Background jobs: stages run in processes of their own, and the run folder is the only channel.

A job is a list of steps, each one command line of this package (detect, then score, …). The app
starts one runner process per job, in its own session, so that closing the browser or the app kills
nothing:

1. :func:`start` takes the folder's guard, refuses if a live process holds ``RUN/lock``, starts
   ``python -m circuitseer_core.runs.jobs RUN`` and writes its pid *and* start time into the lock
   (a pid alone may have been given to another process since).
2. The runner works through the steps of ``RUN/job.json``, output appended to ``RUN/log.txt``, and
   stops at the first step that fails. It writes every change of state into job.json, atomically.
3. :func:`cancel` signals the runner, which passes the signal on and kills after a grace period;
   stages write atomically, so the folder stays valid and :func:`resume` is the same job again.

A run folder is data: what is run is this package, with the stages and options of job_steps.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from circuitseer_core.errors import UserError
from circuitseer_core.installation import HOME, IS_CHECKOUT
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.job_records import JobRecord, JobState, ProcessRecord, ProgressRecord
from circuitseer_core.runs.job_steps import is_ours, rebuilt, require_harmless, sealed
from circuitseer_core.runs.processes import RUNNER, identity, is_live, works_in
from circuitseer_core.runs.progress import announce
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.runs.stage import holding

PROGRAM = (sys.executable, "-m", "circuitseer_core")
STARTING = "Starting the process"
"""The phase before a stage's own first word."""
GRACE_S = 20.0
"""Seconds between asking a step to stop and killing it."""

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class JobStatus:
    """What is known of a run's job.

    ``state``: none, running, stopping, done, failed, cancelled, or interrupted (its process is
    gone without having said why: killed, or the machine went down). ``step`` is the 0-based index
    of the step in work or last worked on; ``seconds`` the time since the start, or the total.
    ``ours``: whether the steps were given, and the run made, on this machine.
    """

    state: str = "none"
    steps: tuple[tuple[str, ...], ...] = ()
    step: int = 0
    error: str | None = None
    started: str | None = None
    seconds: float = 0.0
    ours: bool = True
    progress: ProgressRecord | None = field(default=None, compare=False)

    @property
    def live(self) -> bool:
        """Whether a process is at work."""
        return self.state in {"running", "stopping"}

    @property
    def resumable(self) -> bool:
        """Whether running the same steps again would go on from what is there."""
        return bool(self.steps) and self.state in {"failed", "cancelled", "interrupted"}


def start(
    run_path: Path, steps: Sequence[Sequence[str]], *, program: Sequence[str] = PROGRAM
) -> None:
    """Start ``steps`` (arguments after ``python -m circuitseer_core``) for the run at ``run_path``.

    Raises UserError where a job of this run is at work, the run was not made here, ``run_path`` is
    a folder of another kind, or a step is no stage. ``program`` is what the arguments are given
    to; the folder never says it.
    """
    words = rebuilt(steps, run_path)
    run = Run.create(run_path)
    ownership.require_own(run.path)
    with _guard(run.path):
        if is_live(_holder(run.path)) or status(run.path).live:
            raise UserError(f"{run.name} has a job at work already")
        job = JobRecord(
            steps=words,
            seal=sealed(words),
            state="running",
            step=0,
            started=now(),
            started_s=time.time(),
        )
        (run.path / "cancel").unlink(missing_ok=True)
        announce(run, words[0][0] if words else "", STARTING)
        job.write(run.path / "job.json")
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        if IS_CHECKOUT:  # an installed package is found without help
            search = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment["PYTHONPATH"] = os.pathsep.join(search)
        with run.log_path.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", RUNNER, str(run.path), *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
        _children[child.pid] = child
        identity(child.pid).write(run.lock_path)


def resume(run_path: Path, *, adopt: bool = False, program: Sequence[str] = PROGRAM) -> None:
    """Start the last job's steps again; finished work is kept, so it goes on where it stopped.

    Raises UserError where the steps were not given on this machine, unless ``adopt`` says that
    someone has read them, and where one of them is no stage or may run code.
    """
    job = _job(run_path)
    if job is None or not job.steps:
        raise UserError(f"{run_path.name} has no job to resume")
    if not adopt and not is_ours(job.steps, job.seal):
        raise UserError(
            f"the job of {run_path.name} was not started on this machine: read its commands, "
            "then adopt it"
        )
    if adopt:
        require_harmless(rebuilt(job.steps, run_path))
        ownership.adopt(run_path)
    start(run_path, job.steps, program=program)


def cancel(run_path: Path) -> None:
    """Ask the job to stop; does nothing where none is at work. Returns at once.

    The wish is also left in ``RUN/cancel``, for a runner that was still starting up and had no
    signal handler yet. A pid that the folder names is signalled only if it works in this folder.
    """
    job = _job(run_path)
    for process in (_holder(run_path), job.child if job else None):
        if process and process.pid and is_live(process) and works_in(process, run_path):
            (run_path / "cancel").touch()
            with contextlib.suppress(ProcessLookupError):  # it may have ended since
                os.kill(process.pid, signal.SIGTERM)


def status(run_path: Path) -> JobStatus:
    """The state of the run's job, from its folder alone (any process may ask)."""
    reap()
    job = _job(run_path)
    if job is None:
        return JobStatus()
    live = is_live(_holder(run_path)) or is_live(job.child)
    if job.state in {"running", "stopping"} and not live:
        # The runner may have finished between the two reads: what it wrote last decides.
        job = _job(run_path) or job
        if job.state in {"running", "stopping"}:
            job.state = "cancelled" if (run_path / "cancel").exists() else "interrupted"
    ended = time.time() if job.ended_s is None else job.ended_s
    return JobStatus(
        state=job.state,
        steps=tuple(tuple(step) for step in job.steps),
        step=job.step,
        error=job.error,
        started=job.started,
        seconds=max(0.0, ended - job.started_s),
        ours=is_ours(job.steps, job.seal) and ownership.is_own(run_path),
        progress=read_or_none(ProgressRecord, run_path / "progress.json"),
    )


def log_tail(run_path: Path, lines: int = 200) -> str:
    """The last ``lines`` lines of log.txt, progress bars reduced to their last state."""
    path = run_path / "log.txt"
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 400 * lines))
        text = log.read().decode("utf-8", errors="replace")
    shown = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join(line.rstrip() for line in shown if line.strip())[-400 * lines :].lstrip("\n")


def rename(run_path: Path, name: str) -> Path:
    """Rename a run's folder; UserError for a bad or taken name, or while a stage is at work.

    Into a run that was not made here nothing is written; one of another machine has to be adopted.
    """
    ownership.require_writable(run_path)
    own = ownership.is_own(run_path)
    target = run_path.parent / check_name(name)
    _refuse_live(run_path)
    if target.exists():
        raise UserError(f"there is a run named {name} already")
    with holding(run_path, create=own):  # against a stage of a terminal
        run_path.rename(target)
    if not own:
        return target
    with Run.open(target).editing() as record:
        record.name = name
    return target


def delete(run_path: Path) -> None:
    """Delete a run folder with all that is in it; refused while a stage is at work."""
    if not (run_path / "run.json").is_file():
        raise UserError(f"{run_path} is not a run folder")
    _refuse_live(run_path)
    with holding(run_path, create=ownership.is_own(run_path)):  # against a stage of a terminal
        shutil.rmtree(run_path)


def check_name(name: str) -> str:
    """``name`` if it can be a run's folder name, else UserError."""
    bad = not name or name.startswith(".") or set(name) & set("/\\:\0") or len(name) > 100
    if bad or name != name.strip():
        raise UserError("a run's name needs 1 to 100 characters, no slash, colon or leading dot")
    return name


def reap() -> None:
    """Collect finished runners started by this process, so that none stays a zombie."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def _refuse_live(run_path: Path) -> None:
    if status(run_path).live:
        raise UserError(f"{run_path.name} has a job at work: cancel it first")


@contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """One starter at a time in ``folder``, across threads and processes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _job(run_path: Path) -> JobRecord | None:
    """job.json; None where there is none that can be read."""
    return read_or_none(JobRecord, run_path / "job.json")


def _holder(run_path: Path) -> ProcessRecord | None:
    """Who holds the lock of a run."""
    return read_or_none(ProcessRecord, run_path / "lock")


class _Runner:
    """Works through one job's steps; the only writer of job.json after the start."""

    def __init__(self, run_path: Path, program: Sequence[str] = PROGRAM) -> None:
        self.path, self.program = run_path, program
        self.job = JobRecord.read(run_path / "job.json")
        self.stopping = (run_path / "cancel").exists()
        self.child: subprocess.Popen[bytes] | None = None

    def stop(self, signum: int, frame: object) -> None:
        """Signal handler: pass the request on; the main loop does the rest."""
        self.stopping = True
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()

    def write(self) -> None:
        self.job.write(self.path / "job.json")

    def run(self) -> int:
        """Run the steps in order; returns the exit code of the job."""
        for index, step in enumerate(rebuilt(self.job.steps, self.path)):
            if self.stopping:
                break
            code = self.step(index, [*self.program, *step])
            if code != 0 and not self.stopping:
                last = log_tail(self.path, 5).splitlines() or ["no output"]
                self.finish("failed", error=f"{step[0]}: {last[-1]}")
                return 1
        self.finish("cancelled" if self.stopping else "done")
        return 130 if self.stopping else 0

    def step(self, index: int, command: list[str]) -> int:
        """Run one command, killing it when a stop takes longer than the grace period."""
        sys.stdout.write(f"\n$ {' '.join(command[1:])}\n")
        sys.stdout.flush()
        announce(Run.open(self.path), self.job.steps[index][0], STARTING)
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.job.state, self.job.step, self.job.error = "running", index, None
        self.job.child = identity(self.child.pid)
        self.write()
        deadline = None
        while (code := self.child.poll()) is None:
            if self.stopping and deadline is None:
                deadline = time.monotonic() + GRACE_S
                self.child.terminate()
                self.job.state = "stopping"
                self.write()
            if deadline is not None and time.monotonic() > deadline:
                self.child.kill()
            time.sleep(0.1)
        return code

    def finish(self, state: JobState, error: str | None = None) -> None:
        self.job.state, self.job.error = state, error
        self.job.child, self.job.ended_s = ProcessRecord(), time.time()
        self.write()
        (self.path / "lock").unlink(missing_ok=True)


def main(run_path: Path, program: Sequence[str] = ()) -> int:
    """The runner's entry point: ``python -m circuitseer_core.runs.jobs RUN [PROGRAM …]``."""
    runner = _Runner(run_path, program or PROGRAM)
    signal.signal(signal.SIGTERM, runner.stop)
    signal.signal(signal.SIGINT, runner.stop)
    with _guard(run_path):  # the starter still holds it while it writes the lock
        pass
    return runner.run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
