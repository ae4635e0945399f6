"""Kill every stage at random moments, many times, and compare the end with an undisturbed run.

    python -m tests.chaos.rounds [--rounds 50] [--seed 0] [--stages detect score select export]

A round starts a stage in a process of its own, kills it (SIGKILL, SIGTERM or SIGINT) after a random
part of the time that an undisturbed one takes, at a chosen rename, at a full disk or with its
memory limited, and goes on until it ends by itself. Then its files must hold the same numbers, no
leftover may stay, and ``verify --run`` must find every table whole. Counts are printed; the exit
code is 1 where a round differed.
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
from pathlib import Path

import pandas as pd

from circuitseer_core.runs.integrity import check_run, tables
from tests.support.tiny_models import save_tiny

ROWS = 64
CODE = """
import os, sys
place = int(os.environ.get("CHAOS_RENAME", "0"))
full = int(os.environ.get("CHAOS_FULL", "0"))
memory = int(os.environ.get("CHAOS_MEMORY", "0"))
real, calls, opened = os.replace, 0, 0
def replace(*args, **kwargs):
    global calls
    calls += 1
    if calls == place:
        os.kill(os.getpid(), 9)
    if calls == full:
        raise OSError(28, "No space left on device")
    if calls == memory:
        raise MemoryError
    return real(*args, **kwargs)
os.replace = replace
from circuitseer_core.cli.main import main
sys.argv = ["circuitseer", *sys.argv[1:]]
main()
"""


def main() -> None:
    """Run the rounds of every stage and say how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=["detect", "score", "select", "export"])
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        failures = sum(_stage(home, stage, options.rounds, rng) for stage in options.stages)
    sys.exit(1 if failures else 0)


def _stage(home: Path, stage: str, rounds: int, rng: random.Random) -> int:
    """All rounds of one stage; returns how many differed."""
    before, wanted, seconds = _undisturbed(home, stage)
    seen: Counter[str] = Counter()
    differed = 0
    for number in range(rounds):
        run = home / "round"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(before, run)
        seen.update(_disturbed(run, home, stage, seconds, rng))
        if problem := _difference(wanted, run):
            differed += 1
            print(f"{stage}, round {number}: {problem}")
    print(
        f"{stage}: {rounds} rounds, {differed} differed; {dict(sorted(seen.items()))}", flush=True
    )
    return differed


def _undisturbed(home: Path, stage: str) -> tuple[Path, Path, float]:
    """A run as it is before the stage, one after it, and the seconds that the stage took."""
    data, model, base = home / "data.jsonl", home / "model", home / "base"
    if not base.exists():
        lines = [{"id": f"{i}", "question": f"Tom has {i} pears and {2 * i} figs. How many?",
                  "answer": f"He has {3 * i}."} for i in range(ROWS)]  # fmt: skip
        data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        save_tiny(model)
        base.mkdir()
    before, after = home / f"before-{stage}", home / f"after-{stage}"
    shutil.copytree(base, before)
    shutil.copytree(before, after)
    began = time.monotonic()
    assert _start(after, home, stage).wait() == 0, stage
    shutil.rmtree(base)
    shutil.copytree(after, base)
    return before, after, time.monotonic() - began


def _start(run: Path, home: Path, stage: str, **more: str) -> subprocess.Popen[bytes]:
    words = {
        "detect": ["--model", str(home / "model"), "--probe", str(home / "data.jsonl"),
                   "--probe-size", "8", "--device", "cpu"],
        "score": ["--data", str(home / "data.jsonl"), "--device", "cpu"],
        "select": ["--fraction", "0.25", "--replace"],
        "export": ["--out", str(run / "out.parquet"), "--format", "parquet"],
    }[stage]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", CODE, stage, "--run", str(run), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | more,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _disturbed(
    run: Path, home: Path, stage: str, seconds: float, rng: random.Random
) -> Counter[str]:
    """Disturb the stage once to three times, then let it end."""
    seen: Counter[str] = Counter()
    for _ in range(rng.choice((1, 1, 2, 3))):
        how = rng.choice(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "RENAME", "FULL", "MEMORY"))
        seen[how] += 1
        if how.startswith("SIG"):
            process = _start(run, home, stage)
            time.sleep(rng.uniform(0.2, 1.05) * seconds)
            process.send_signal(signal.Signals[how])
        else:
            process = _start(run, home, stage, **{f"CHAOS_{how}": str(rng.randrange(1, 12))})
        process.wait()
    code = _start(run, home, stage).wait()
    seen["ended" if code == 0 else f"exit {code}"] += 1
    return seen


def _difference(wanted: Path, run: Path) -> str | None:
    """What differs between two runs in their tables; None for nothing."""
    names = {file.relative_to(wanted): file for file, _ in tables(wanted)}
    mine = {file.relative_to(run) for file, _ in tables(run)}
    if set(names) != mine:
        return f"other files: {sorted(map(str, set(names) ^ mine))}"
    for name, file in names.items():
        try:
            pd.testing.assert_frame_equal(pd.read_parquet(file), pd.read_parquet(run / name))
        except AssertionError as error:
            return f"{name}: {str(error).splitlines()[0]}"
    left = [path.name for path in run.rglob(".*") if path.suffix in (".tmp", ".old")]
    if left:
        return f"left behind: {left}"
    damaged = check_run(run).damaged
    return f"damaged: {damaged}" if damaged else None


if __name__ == "__main__":
    main()
