"""One stage at work in a run folder: exclusive, recorded, and valid however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.files import sweep
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.records import CommandRecord

_LOCK = ".stage"
_PACKAGES = ("circuitseer", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow")


@contextmanager
def holding(path: Path, *, create: bool = True) -> Iterator[int]:
    """Hold the run folder ``path`` against every stage, of a job or a terminal; gives the lock.

    Without ``create`` nothing is written where no stage was ever at work; the lock is -1 then.
    Raises UserError, which names the pid, where another process has it, or where the lock is a
    link: it may lead anywhere.
    """
    if not create and not os.path.lexists(path / _LOCK):
        yield -1
        return
    try:
        handle = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0))
    except OSError as error:
        if (path / _LOCK).is_symlink():
            raise UserError(f"{path / _LOCK} is a link: remove it first") from error
        raise
    try:
        if not _locked(handle):
            raise UserError(f"another process{_holder(handle)} is at work in {path}")
        yield handle
    finally:
        os.close(handle)


@contextmanager
def occupied(run: Run) -> Iterator[int]:
    """Hold the run, sign with this process's id and clear away what killed writers left in it,
    nothing on record: for what adds to a run and is no stage of it (experiments, arms). Gives the
    lock; raises UserError as :func:`holding`, and where the run is of another machine and was not
    adopted."""
    ownership.require_writable(run.path)
    with holding(run.path) as handle:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        sweep(run.path, inside=True)
        yield handle


def is_at_work(path: Path) -> bool:
    """Whether a stage is at work in the run folder ``path``; one that was killed is not."""
    try:
        handle = os.open(path / _LOCK, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _locked(handle, tries=1)
    finally:
        os.close(handle)


def _locked(handle: int, tries: int = 5) -> bool:
    """Take the lock; ``tries``: whoever looks whether a stage is at work has it for a moment."""
    for attempt in range(tries):
        if attempt:
            time.sleep(0.02)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


@contextmanager
def working(
    run: Run, stage: str, command: str | None = None, *, discard_empty: bool = False
) -> Iterator[None]:
    """Hold the run for one stage and keep ``state`` in run.json true.

    A second process that wants the same run gets a UserError that names the holder's pid. SIGTERM
    (how a job is cancelled) and Ctrl-C end the stage as ``cancelled``; what is on disk by then
    stays valid. A ``Cancelled`` with a text of its own says what was kept. A run that was ``done``
    stays so where a stage refuses its options or its input. ``discard_empty`` removes a run that
    holds nothing when the stage ends. Raises UserError as :func:`occupied`.
    """
    with occupied(run):
        try:
            run.reload()
            with _on_record(run, stage, command):
                yield
        finally:
            if discard_empty:  # while it is held: nobody else can have begun in it
                run.discard_if_empty()


@contextmanager
def _on_record(run: Run, stage: str, command: str | None) -> Iterator[None]:
    """Keep state, commands and seconds in run.json true while a stage works."""
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


def versions_with(before: Mapping[str, str]) -> dict[str, str]:
    """The same, with those that had a part before: ``2.13.0, 2.14.0`` where they differ."""
    both = {}
    for package, present in versions().items():
        known = [one for one in before.get(package, "").split(", ") if one]
        both[package] = ", ".join(dict.fromkeys([*known, present]))
    return both
