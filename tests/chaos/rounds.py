"""Disturb every stage many times, and compare the end with an undisturbed run.

    python -m tests.chaos.rounds [--rounds 50] [--seed 0] [--stages detect score …]
        [--journal FILE] [--home FOLDER]

A round copies the run as it was before the stage, disturbs the stage, lets it run again until it
ends by itself, and compares: the same files with the same numbers, nothing left behind, no process
left over, every table whole. ``--rounds`` kills (SIGKILL) a stage, half of them at a random moment
and half before a rename or removal, each of them in turn, every fifth with two workers
(``--devices cpu,cpu``) where the stage has some; and a tenth as many rounds of every other
disturbance. A disturbed stage may fail, but in one line. Counts are printed; the exit code is 1
where a round went wrong. Full and read-only disks are real ones (tmpfs) where mounting is
permitted, else errors planted in the process. With a journal every round is written down when it
has ended, and a call that was cut off goes on after the last of them; each round's random numbers
are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from circuitseer_core.json_io import read_json
from tests.chaos.comparison import Wrong, difference
from tests.chaos.journal import Journal
from tests.chaos.stage_process import Fault, gone, start
from tests.support.every_view import problem
from tests.support.tiny_models import save_tiny

ROWS = 64
STAGES = (
    "detect", "score", "calibrate", "cluster", "import-scores", "select", "export",
    "arms", "validate", "training",
)  # fmt: skip
"""In the order in which a run has them; validate measures heads, training is that of validate."""
NEEDED = ("detect", "score", "select", "arms")
"""Those without which a later one cannot run."""
ON_DEVICES = ("detect", "score")
"""Stages that may have several devices."""
IN_MODEL = (*ON_DEVICES, "validate", "training")
NO_FAULT = Fault()
Act = Callable[[int], None]
"""What is done to a process by its pid while it is at work."""


@dataclass
class Chaos:
    """One stage under disturbance: the run before it and after it, and what was seen."""

    home: Path
    stage: str
    before: Path
    after: Path
    rng: random.Random = field(default_factory=random.Random)
    seconds: float = 0.0
    changes: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def log(self) -> Path:
        return self.home / "log.txt"

    def words(self, run: Path, *, two: bool = False) -> list[str]:
        """The command; ``two``: with two workers."""
        data, where = str(self.home / "data.jsonl"), ["--device", "cpu"]
        if two:
            where = ["--devices", "cpu,cpu"]
        own = {
            "detect": [
                "--model", str(self.home / "model"), "--probe", data, "--probe-size", "8", *where,
                "--quiet",
            ],
            "score": ["--data", data, "--head-features", "--quiet", *where],
            "calibrate": [
                "--target", "level", "--folds", "3", "--repeats", "1", "--permutations", "20",
                "--quiet",
            ],
            "cluster": ["--clusters", "4", "--device", "cpu", "--quiet"],
            "import-scores": [data, "--column", "outside=level", "--replace", "--quiet"],
            "select": ["--fraction", "0.25", "--replace"],
            "export": ["--out", str(run / "out.jsonl")],
            "arms": [
                "--out", str(run / "arms"), "--share", "0.3", "--seeds", "1", "--quiet",
                "--arms", "soft", "--arms", "uniform", "--arms", "top-k",
            ],
            "validate": [
                "heads", "--quiet", *_options(
                    shares="0.25,0.5", draws=2, limit=6, answers=3, max_new_tokens=4, device="cpu",
                ),
            ],
            "training": [
                "training", "--quiet", *_options(
                    arms=run / "arms", heldout=self.home / "held-out.jsonl", kinds="soft,top-k",
                    seeds=1, steps=3, tokens_a_step=120, learning_rates="1e-4,1e-3", device="cpu",
                    answers=2, max_new_tokens=4, template="plain",
                ),
            ],
        }  # fmt: skip
        command = "validate" if self.stage == "training" else self.stage
        return [command, "--run", str(run), *own[self.stage]]

    def attempt(
        self, run: Path, fault: Fault = NO_FAULT, *, two: bool = False, act: Act | None = None
    ) -> int:
        """Run the stage once with a fault; returns its exit code. Raises Wrong for a traceback."""
        self.log.unlink(missing_ok=True)
        process = start(self.words(run, two=two), self.log, fault)
        assert process.pid is not None
        if act is not None:
            while process.is_alive() and not self.log.exists():
                time.sleep(0.005)  # moments count from its first line, not from the fork
            act(process.pid)
        process.join()
        if not gone(process.pid):
            raise Wrong("processes were left over")
        code = process.exitcode
        text = self.printed()
        if "Traceback" in text and code != -signal.SIGINT:
            raise Wrong(f"exit {code} with a traceback: …{text[-400:]}")
        return code if code is not None else -1

    def printed(self) -> str:
        """What the last attempt printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def finish(self, run: Path, *, two: bool = False) -> None:
        """Run the stage until it ends by itself, and compare."""
        code = self.attempt(run, two=two)
        if code:
            raise Wrong(f"exit {code} when run again: {self.printed()[-400:]}")
        exact = difference(self.after, run)
        self.seen["equal to the bit" if exact else "equal to 1e-5"] += 1

    def prepared(self, home: Path) -> Path:
        """A fresh copy of the run as it was before the stage."""
        run = home / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.before, run)
        return run


def _options(**options: object) -> list[str]:
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


def main() -> None:
    """Run the rounds of every stage and say how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, journal = (options.home or Path(folder)).absolute(), Journal(options.journal)
        home.mkdir(parents=True, exist_ok=True)
        failures = rounds(home, options.rounds, options.stages, options.seed, journal)
    sys.exit(1 if failures else 0)


def rounds(
    home: Path, count: int, stages: list[str], seed: int = 0, journal: Journal | None = None
) -> int:
    """All rounds of some stages; prints counts, returns how many went wrong."""
    os.environ["CIRCUITSEER_KEY"] = str(home / "job.key")
    journal = journal or Journal(None)
    warm = start(["--version"], home / "log.txt")  # else the first stage's time has it in it
    warm.join()
    for stage in STAGES[: 1 + max(map(STAGES.index, stages))]:
        if stage in stages:
            _stage(undisturbed(home, stage), count, seed, journal)
        elif stage in NEEDED:
            undisturbed(home, stage)
    return sum(bool(done["wrong"]) for done in journal.done.values())


def _stage(chaos: Chaos, count: int, seed: int, journal: Journal) -> None:
    """The rounds of one stage that the journal lacks; prints what the stage's came to."""
    numbers: Counter[str] = Counter()
    names = []
    for kind, one in plan(chaos, count):
        numbers[kind] += 1
        name = f"{chaos.stage}, {kind}, round {numbers[kind]}, seed {seed}"
        names.append(name)
        if name in journal.done:
            continue
        chaos.rng, chaos.seen, began = random.Random(name), Counter(), time.monotonic()
        wrong = ""
        try:
            one(chaos.prepared(chaos.home))
        except Wrong as error:
            wrong = str(error)
            print(f"{name}: {wrong}", flush=True)
        journal.add(name, wrong=wrong, seen=chaos.seen, seconds=time.monotonic() - began)
    done = [journal.done[name] for name in names]
    ends = sum((Counter(one["seen"]) for one in done), Counter[str]())
    print(
        f"{chaos.stage}: {len(done)} rounds ({_counts(numbers)}), "
        f"{sum(bool(one['wrong']) for one in done)} went wrong; {_counts(ends)}; "
        f"{sum(one['seconds'] for one in done):.0f} s",
        flush=True,
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counter.items()))


def plan(chaos: Chaos, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """The rounds of a stage: their names, and what each does to a fresh run."""
    several = chaos.stage in ON_DEVICES
    for number in range(max(count - count // 2, min(count, chaos.changes))):
        two = several and number % 5 == 4
        name = "kills at a change of the disk" + (" (two workers)" if two else "")
        yield name, partial(kill_at, chaos, 1 + number % chaos.changes, two)
    for number in range(count // 2):
        two = several and number % 5 == 4
        yield "kills at a moment" + (" (two workers)" if two else ""), partial(kills, chaos, two)
    others: dict[str, Callable[[Path], None]] = {
        "SIGTERM": partial(signalled, chaos, signal.SIGTERM),
        "SIGINT": partial(signalled, chaos, signal.SIGINT),
        "planted disk full": partial(planted, chaos, "full"),
        "planted out of memory": partial(planted, chaos, "memory"),
        "clock jumps": partial(clock, chaos),
        "stale locks": partial(stale, chaos),
    }
    if chaos.stage != "export":  # which takes no lock: it only reads the run
        others["second process"] = partial(second, chaos)
    if chaos.stage in IN_MODEL:
        others["forward out of memory"] = partial(forward, chaos)
    if several:
        others["a worker killed"] = partial(worker_killed, chaos)
    if can_mount(chaos.home):
        others["full disk"] = partial(on_disk, chaos, full_disk)
        others["read-only disk"] = partial(on_disk, chaos, read_only_disk)
    for name, one in others.items():
        for _ in range(max(1, count // 10)):
            yield name, one


def kill_at(chaos: Chaos, change: int, two: bool, run: Path) -> None:
    chaos.attempt(run, Fault("kill", change), two=two)
    chaos.finish(run, two=two)


def kills(chaos: Chaos, two: bool, run: Path) -> None:
    """One to three kills at random moments."""
    seconds = chaos.seconds + (6.0 if two else 0.0)  # workers import the libraries anew
    for _ in range(chaos.rng.choice((1, 1, 2, 3))):
        act = partial(after, chaos.rng.uniform(0, 1.05) * seconds, signal.SIGKILL)
        chaos.attempt(run, two=two, act=act)
    chaos.finish(run, two=two)


def after(seconds: float, number: int, pid: int) -> None:
    """Signal a process that long from now, if it is still there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.01)
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def signalled(chaos: Chaos, number: signal.Signals, run: Path) -> None:
    """At a change of the disk, and so in the middle of its work."""
    code = chaos.attempt(run, Fault(number.name, chaos.rng.randint(1, chaos.changes)))
    chaos.seen[f"exit {code} after {number.name}"] += 1
    if code not in (0, 130, -number):
        raise Wrong(f"exit {code} after {number.name}")
    chaos.finish(run)


def planted(chaos: Chaos, kind: str, run: Path) -> None:
    code = chaos.attempt(run, Fault(kind, chaos.rng.randint(1, chaos.changes)))
    chaos.seen[f"exit {code} when {kind}"] += 1
    chaos.finish(run)


def clock(chaos: Chaos, run: Path) -> None:
    """Kill it, move every file's time by up to a year, and go on under a clock that jumps."""
    chaos.attempt(run, Fault("kill", chaos.rng.randint(1, chaos.changes)))
    for path in [run, *run.rglob("*")]:
        moved = time.time() + chaos.rng.uniform(-3e7, 3e7)
        os.utime(path, (moved, moved))
    if chaos.attempt(run, Fault("clock", chaos.rng.randint(1, 1_000))):
        raise Wrong("failed under a clock that jumps")
    chaos.finish(run)


def stale(chaos: Chaos, run: Path) -> None:
    """Locks and a job of a process that is gone, and of a living one that took its number."""
    gone_pid = subprocess.Popen([sys.executable, "-c", ""])
    gone_pid.wait()
    pid = chaos.rng.choice((gone_pid.pid, os.getpid()))
    holder = {"pid": pid, "start_time": 1.0}
    (run / "lock").write_text(json.dumps(holder))
    (run / ".stage").write_text(f"{pid}\n")
    if (run / "run.json").exists():
        job = {
            "steps": [chaos.words(run)[:1]],
            "state": "running",
            "child": holder,
            "started_s": 1.0,
        }
        (run / "job.json").write_text(json.dumps(job))
        # In the folder of an export only leftovers of the export itself are ours to clear.
        name = "out.jsonl" if chaos.stage == "export" else "left"
        left = run / f".{name}.{gone_pid.pid}.tmp"
        left.write_text("half")
        os.utime(left, (1, 1))
    else:
        (run / ".stage").unlink()
    chaos.finish(run)


def second(chaos: Chaos, run: Path) -> None:
    """While one process is at work another is refused, by the first one's pid."""
    go = chaos.home / "go"
    go.unlink(missing_ok=True)
    # A run that is yet to be made takes a few changes before it can be held.
    change = 4 if (run / "run.json").exists() else 10
    first = start(chaos.words(run), chaos.home / "first.txt", Fault("wait", change, str(go)))
    try:
        deadline = time.monotonic() + 60
        named = f"{first.pid}\n"
        while not (run / ".stage").exists() or (run / ".stage").read_text() != named:
            if time.monotonic() > deadline or not first.is_alive():
                raise Wrong("the first process did not take the lock")
            time.sleep(0.02)
        code = chaos.attempt(run)
        log = chaos.printed()
        if code != 1 or f"another process (pid {first.pid})" not in log:
            raise Wrong(f"a second process: exit {code}, {log[-300:]}")
    finally:
        go.touch()
        first.join()
    if first.exitcode:
        raise Wrong(f"the first process: exit {first.exitcode}")
    chaos.finish(run)


def forward(chaos: Chaos, run: Path) -> None:
    """A forward pass that is out of memory: the stage goes on with less, or ends in one line."""
    code = chaos.attempt(run, Fault("forward", chaos.rng.randint(1, 12)))
    chaos.seen[f"exit {code} when a forward pass was out of memory"] += 1
    chaos.finish(run)


def worker_killed(chaos: Chaos, run: Path) -> None:
    """One of two workers is killed; the other does its part."""
    killed: list[int] = []

    def act(pid: int) -> None:
        while not killed and Path(f"/proc/{pid}").exists():
            listed = subprocess.run(["pgrep", "-P", str(pid), "-f", "device_worker"],
                                  capture_output=True, text=True)  # fmt: skip
            workers = listed.stdout.split()
            if len(workers) == 2:
                time.sleep(chaos.rng.uniform(0, 8))
                after(0, signal.SIGKILL, int(chaos.rng.choice(workers)))
                killed.append(1)
            time.sleep(0.05)

    if chaos.attempt(run, two=True, act=act):
        raise Wrong("failed though a worker was left")
    chaos.finish(run, two=True)


def on_disk(chaos: Chaos, what: Callable[[Chaos, Path, Path], None], run: Path) -> None:
    """A round on a file system of its own."""
    with mounted(chaos.home / "disk") as disk:
        what(chaos, disk, chaos.prepared(disk))


def full_disk(chaos: Chaos, disk: Path, run: Path) -> None:
    """Only some kilobytes are free; then there is room again."""
    left = chaos.rng.choice((0, 4, 16, 64, 256)) * 1024
    free = shutil.disk_usage(disk).free
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, free - left)))
    code = chaos.attempt(run)
    chaos.seen[f"exit {code} with a full disk"] += 1
    ballast.unlink()
    chaos.finish(run)


def read_only_disk(chaos: Chaos, disk: Path, run: Path) -> None:
    """It may write nothing; then it may."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code = chaos.attempt(run)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    if code != 1:
        raise Wrong(f"exit {code} on a read-only disk")
    chaos.finish(run)


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A file system in memory, of 24 MB."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "chaos", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(home: Path) -> bool:
    """Whether this process may mount a file system."""
    try:
        with mounted(home / "disk"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def undisturbed(home: Path, stage: str) -> Chaos:
    """The run before and after a stage, how long it took and how often it changed the disk."""
    base, record = home / "base", home / f"{stage}.json"
    chaos = Chaos(home, stage, home / f"before-{stage}", home / f"after-{stage}")
    if record.exists():
        chaos.seconds, chaos.changes = read_json(record).values()
        return chaos
    if not base.exists():
        lines = [json.dumps(problem(i)) for i in range(ROWS)]
        (home / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
        others = [json.dumps(problem(ROWS + i)) for i in range(24)]
        (home / "held-out.jsonl").write_text("\n".join(others), encoding="utf-8")
        save_tiny(home / "model")
        base.mkdir()
    for kept in (chaos.before, chaos.after):
        shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(base, chaos.before)
    count = home / "count"
    run, began = chaos.prepared(home), time.monotonic()
    if code := chaos.attempt(run, Fault("count", until=str(count))):
        raise Wrong(f"{stage} undisturbed: exit {code}: {chaos.printed()}")
    chaos.seconds, chaos.changes = time.monotonic() - began, int(count.read_text())
    shutil.copytree(run, chaos.after)
    shutil.rmtree(base)
    shutil.copytree(chaos.after, base)
    record.write_text(json.dumps({"seconds": chaos.seconds, "changes": chaos.changes}))
    return chaos


if __name__ == "__main__":
    main()
