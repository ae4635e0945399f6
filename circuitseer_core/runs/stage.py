"""One stage at work in a run folder: exclusive, recorded, and valid however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.files import sweep
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.records import CommandRecord

_PACKAGES = ("circuitseer", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow")


@contextmanager
def working(run: Run, stage: str, command: str | None = None) -> Iterator[None]:
    """Hold the run for one stage and keep ``state`` in run.json true.

    A second process that wants the same run gets a UserError that names the holder's pid. SIGTERM
    (how a job is cancelled) and Ctrl-C end the stage as ``cancelled``; what is on disk by then
    stays valid. A ``Cancelled`` with a text of its own says what was kept. A run that was ``done``
    stays so where a stage refuses its options or its input.
    """
    handle = os.open(run.path / ".stage", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another process{_holder(handle)} is at work in {run.path}") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        sweep(run.path, inside=True)
        run.reload()
        before = run.record.state
        with run.editing() as record:
            record.state, record.versions = "running", versions()
            entry = CommandRecord(stage=stage, command=command, at=now())
            record.commands = [*record.commands, entry]
        began = time.monotonic()
        state = "failed"
        try:
            with _sigterm_cancels():
                yield
            state = "done"
        except (KeyboardInterrupt, Cancelled) as stop:
            state = "cancelled"
            advice = str(stop) or "run it again to go on"
            raise Cancelled(f"{stage} was cancelled; {advice}") from stop
        except UserError:  # a refused option takes nothing from a finished run
            state = before if before == "done" else "failed"
            raise
        finally:
            with run.editing() as record:
                spent = record.seconds.get(stage, 0.0) + time.monotonic() - began
                record.state, record.seconds = state, record.seconds | {stage: round(spent, 2)}
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    """`` (pid 123)`` of whoever holds the lock; nothing where the file does not say."""
    written = os.pread(handle, 20, 0).strip()
    return f" (pid {int(written)})" if written.isdigit() else ""


@contextmanager
def _sigterm_cancels() -> Iterator[None]:
    def stop(signum: int, frame: Any) -> None:
        raise Cancelled

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread (a notebook's executor): leave signals alone
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def versions() -> dict[str, str]:
    """Versions of the packages whose arithmetic or formats a run depends on."""
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
