"""Processes that a run folder names: whether they still run, and whether they work in it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import psutil

from circuitseer_core.runs.job_records import ProcessRecord

RUNNER = "circuitseer_core.runs.jobs"
"""The module that a job's runner is."""


def identity(pid: int) -> ProcessRecord:
    """A process by pid and start time."""
    return ProcessRecord(pid=pid, start_time=psutil.Process(pid).create_time())


def is_live(holder: ProcessRecord | None) -> bool:
    """Whether this very process still runs."""
    if holder is None or not holder.pid:
        return False
    try:
        process = psutil.Process(holder.pid)
        same = abs(process.create_time() - holder.start_time) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):  # the last two: no pid at all
        return False


def works_in(holder: ProcessRecord, run_path: Path) -> bool:
    """Whether a process is the runner of this folder or a step that was started in it."""
    try:
        process = psutil.Process(holder.pid)
        words, home = _words(process), Path(process.cwd())
    except (psutil.Error, ValueError, OverflowError):
        return False
    named = {after for word, after in pairwise(words) if word in (RUNNER, "--run")}
    return run_path.resolve() in {(home / name).resolve() for name in named}


def _words(process: psutil.Process) -> list[str]:
    """Its command line; that of a process which is just being started comes a moment later."""
    for _ in range(100):
        words: list[str] = process.cmdline()
        if words or process.status() == psutil.STATUS_ZOMBIE:
            return words
        time.sleep(0.01)
    return []
