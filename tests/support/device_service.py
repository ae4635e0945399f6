"""What workers do in tests of the pool (no model, only numbers), and finding workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from circuitseer_core.errors import UserError
from circuitseer_core.scoring.windows import ahead


def workers() -> list[psutil.Process]:
    """Worker processes of this one that are alive, oldest first."""
    return [child for child in psutil.Process().children() if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("device_worker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def squares(device: str, tasks: Iterator[int], tell: Callable[[int], None]) -> Iterator[object]:
    """A task's square, with who did it; two units are told of each."""
    for task in tasks:
        tell(2)
        yield task * task, device, os.getpid(), os.environ["OMP_NUM_THREADS"]


def dies_at(
    fatal: int, marks: Path, device: str, tasks: Iterator[int], tell: Callable[[int], None]
) -> Iterator[int]:
    """The same, but the first worker that gets the task ``fatal`` is killed at it; every task that
    is begun leaves a file in ``marks``."""
    for task in tasks:
        tell(2)
        (marks / f"{task}-{os.getpid()}").touch()
        if task == fatal and len(list(marks.glob(f"{task}-*"))) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield task * task


def always_dies(device: str, tasks: Iterator[int], tell: Callable[[int], None]) -> Iterator[int]:
    """Killed at the first task."""
    for _ in tasks:
        os.kill(os.getpid(), signal.SIGKILL)
        yield 0


def refuses(device: str, tasks: Iterator[int], tell: Callable[[int], None]) -> Iterator[int]:
    """A failure that a person can mend."""
    next(tasks)
    raise UserError(f"{device} is no device")
    yield 0


def fails(device: str, tasks: Iterator[int], tell: Callable[[int], None]) -> Iterator[int]:
    """A failure that a programmer can mend."""
    next(tasks)
    raise KeyError("a bug")
    yield 0


def refuses_looking_ahead(
    device: str, tasks: Iterator[int], tell: Callable[[int], None]
) -> Iterator[int]:
    """The failure that a person can mend, of a service whose thread waits for the next task."""
    for _ in ahead(tasks):
        raise UserError(f"{device} is no device")
        yield 0


def bounces(
    size: int, device: str, tasks: Iterator[bytes], tell: Callable[[int], None]
) -> Iterator[bytes]:
    """Answers far larger than what a socket holds."""
    for task in tasks:
        yield task[:1] * size


def sleeps(device: str, tasks: Iterator[int], tell: Callable[[int], None]) -> Iterator[int]:
    """Never done."""
    for _ in tasks:
        tell(1)
        time.sleep(3600)
        yield 0
