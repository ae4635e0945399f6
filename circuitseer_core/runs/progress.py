"""One progress report, two readers: a bar in the terminal and ``progress.json`` in the run folder.

The app starts stages as separate processes and watches them only through this file
(docs/files.md), so it is written atomically and at most twice a second.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from circuitseer_core.errors import printable
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.job_records import ProgressRecord

_WRITE_EVERY_S = 0.5
_NAMED = 5
"""Damaged files that are named; the others are counted."""


def announce(run: Run | None, stage: str, phase: str, *, state: str = "running") -> None:
    """Say what a stage is at, for a phase whose amount of work is not known."""
    if run is not None:
        ProgressRecord(
            stage=stage, phase=phase, state=state, done=0, total=0, rate=0.0, eta_s=None,
            message="", pid=os.getpid(), updated=now(),
        ).write(run.progress_path)  # fmt: skip


@contextmanager
def announced(run: Run, stage: str, phase: str) -> Iterator[None]:
    """A stage with a name from its first second; what it does inside may tell more of itself."""
    announce(run, stage, phase)
    state = "stopped"
    try:
        yield
        state = "done"
    finally:
        announce(run, stage, phase, state=state)


class Progress:
    """Progress of one phase of a stage, in units the stage names (samples, sample x heads).

    Use as a context manager. ``total`` may be changed while running (racing narrows the field).
    The rate leaves out what an earlier attempt had finished, so that a resumed run's ETA is honest.
    ``phase`` is its name for people, which ``begin`` changes; ``ahead`` turns the rate of this
    phase into the seconds that later phases of the stage will take.
    """

    def __init__(
        self,
        run: Run | None,
        stage: str,
        total: int,
        *,
        unit: str,
        phase: str,
        done: int = 0,
        show: bool = True,
        ahead: Callable[[float], float] | None = None,
    ) -> None:
        self.phase, self._ahead = phase, ahead
        self.run, self.stage, self.total, self.unit = run, stage, total, unit
        self.done = self._resumed = done
        self.message = ""
        self._started = self._written = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=stage,
            unit=" " + unit,
            disable=not show,
            dynamic_ncols=True,
            smoothing=0.1,
        )

    def __enter__(self) -> Progress:
        self._write("running")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._write("done" if kind is None else "stopped")

    def advance(self, n: int = 1, message: str | None = None) -> None:
        """Record ``n`` more units done."""
        self.done += n
        self._bar.update(n)
        if message is not None:
            self.say(message)
        if time.monotonic() - self._written >= _WRITE_EVERY_S:
            self._write("running")

    def begin(self, phase: str) -> None:
        """Go on to another phase of the same work: the time so far says nothing of its rate."""
        self.phase, self._resumed, self._started = phase, self.done, time.monotonic()
        self._write("running")

    def skip(self, n: int) -> None:
        """Count ``n`` units that an earlier attempt finished; they do not enter the rate."""
        self.done += n
        self._resumed += n
        if not self._bar.disable:  # a disabled bar has no such state
            self._bar.initial += n
            self._bar.update(n)

    def resize(self, total: int) -> None:
        """Change the total, for work whose amount becomes known on the way."""
        self.total = total
        self._bar.total = total
        self._bar.refresh()

    def say(self, message: str) -> None:
        """Set the short text beside the bar."""
        self.message = message
        self._bar.set_postfix_str(message, refresh=False)

    @property
    def rate(self) -> float:
        """Units a second in this process."""
        elapsed = time.monotonic() - self._started
        return (self.done - self._resumed) / elapsed if elapsed > 0 else 0.0

    def _write(self, state: str) -> None:
        self._written = time.monotonic()
        if self.run is None:
            return
        rate = self.rate
        eta = (self.total - self.done) / rate if rate > 0 else None
        if eta is not None and self._ahead is not None:
            eta += self._ahead(rate)
        ProgressRecord(
            stage=self.stage,
            phase=self.phase,
            state=state,
            done=self.done,
            total=self.total,
            unit=self.unit,
            rate=round(rate, 3),
            eta_s=None if eta is None else round(eta, 1),
            message=self.message,
            pid=os.getpid(),
            updated=now(),
        ).write(self.run.progress_path)


def begin_step(progress: Progress | None, phase: str) -> None:
    """Go on to the next of a stage's steps, where somebody watches it."""
    if progress is not None:
        progress.advance()
        progress.begin(phase)


def print_above_bars(line: str) -> None:
    """One line on stderr for something that has to be seen; a bar at work stays below it."""
    tqdm.write(printable(line), file=sys.stderr)


def say_redone(damaged: Sequence[Path]) -> None:
    """Name damaged files that are made again now, on stderr (a job's log)."""
    if damaged:
        names = ", ".join(path.name for path in damaged[:_NAMED])
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        print_above_bars(f"damaged, made again: {names}{more}")
