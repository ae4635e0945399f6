"""Scoring on several devices of one machine: a worker process each, a window at a time.

Windows are read here and handed to whoever is free; a worker tokenises the next one while its
device is at the one before, and shards come back to be written here. Windows, token budget and
scorer are those of the local engine, so the numbers are the same; a worker that is killed loses
the windows it had in hand to the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from circuitseer_core.model.device_pool import DevicePool, Stream
from circuitseer_core.model.memory import freed_memory_kept
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.machine import device_names
from circuitseer_core.runs.progress import Progress, print_above_bars
from circuitseer_core.runs.records import ModelRecord
from circuitseer_core.scoring.encoded_window import EncodedWindow
from circuitseer_core.scoring.engine import ModelFacts, ShardWorker, shard_plan
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.shard_book import ShardBook
from circuitseer_core.scoring.shard_plan import ShardPlan
from circuitseer_core.scoring.shard_writer import ShardWriter, ready
from circuitseer_core.scoring.sizing import Speed
from circuitseer_core.scoring.window_scorer import WindowScorer
from circuitseer_core.scoring.windows import Cut, Window, ahead


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the loaded model says, for scored texts of at most ``max_length`` tokens."""

    max_length: int | None


@dataclass(frozen=True, slots=True)
class _Budget:
    """A token budget for texts like this window's; None where it has none."""

    window: Window
    plan: ShardPlan


@dataclass(frozen=True, slots=True)
class _Shard:
    """A window's table and note."""

    window: Window
    plan: ShardPlan


@dataclass(frozen=True, slots=True)
class _Speed:
    """What the model does with these rows."""

    window: Window
    plan: ShardPlan
    cut: Cut


_Task = _Facts | _Budget | _Speed | _Shard


class DeviceEngine:
    """The engine behind ``--devices``."""

    def __init__(self, run: Run, settings: ScoreSettings) -> None:
        self.settings = settings
        service = partial(_serve, run.model, run.detection.template, settings.dtype)
        self._pool = DevicePool(device_names(settings), service, print_above_bars)

    def facts(self) -> ModelFacts:
        """What the loaded model says, on a worker."""
        facts: ModelFacts = self._pool.ask(_Facts(self.settings.max_length))
        return facts

    def speed(self, window: Window, plan: ShardPlan, cut: Cut) -> Speed | None:
        """What the model does with these rows, on a worker; CPU workers share their threads."""
        speed: Speed | None = self._pool.ask(_Speed(window, plan, cut))
        devices = len({name for name in device_names(self.settings) if name != "cpu"})
        return speed and replace(speed, devices=max(1, devices))

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do, on all devices at once."""
        windows = ahead(book.to_do(progress.skip))
        begun: list[Window] = []
        while book.token_budget is None and (window := next(windows, None)) is not None:
            progress.say("finding the batch size")
            begun.append(window)
            if (budget := self._pool.ask(_Budget(window, shard_plan(book)))) is not None:
                book.pin_budget(budget)
        plan = shard_plan(book)
        began, tokens = time.monotonic(), 0
        tasks = Stream(_Shard(window, plan) for window in chain(begun, windows))
        with ShardWriter(book) as writer:
            for _, (table, note) in self._pool.run(tasks, progress.advance):
                writer.add(ready(table, note))
                book.lower_budget(note.token_budget)
                tokens += note.tokens
                progress.say(f"{tokens / (time.monotonic() - began):,.0f} tokens/s")

    def close(self) -> None:
        """End the workers."""
        self._pool.close()


def _serve(
    model: ModelRecord,
    template: str | None,
    dtype: str,
    device: str,
    tasks: Iterator[_Task],
    tell: Callable[[int], None],
) -> Iterator[object]:
    """What a worker does: see device_worker."""
    worker = ShardWorker(model, template, dtype, device)
    scorer: WindowScorer | None = None

    def prepared(task: _Task) -> tuple[_Task, EncodedWindow | None]:
        """Tokenised, in a thread, while the task before is at work."""
        if isinstance(task, _Shard):
            return task, worker.encode(task.window, task.plan)
        return task, None

    with freed_memory_kept(worker.reference.device.type):
        for task, encoded in ahead(map(prepared, tasks)):
            if isinstance(task, _Facts):
                yield worker.facts(task.max_length)
            elif isinstance(task, _Speed):
                yield worker.speed(task.window, task.plan, task.cut)
            elif encoded is None:
                yield worker.budget(task.window, task.plan)
            else:
                if scorer is None:
                    scorer = worker.scorer(task.plan)
                yield _scored(scorer, encoded, tell)


def _scored(scorer: WindowScorer, encoded: EncodedWindow, tell: Callable[[int], None]) -> object:
    """A shard; all rows of the window are told of by then, rejects included."""
    left = encoded.size

    def count(n: int) -> None:
        nonlocal left
        left -= n
        tell(n)

    shard = scorer.score(encoded, count)
    tell(left)
    return shard
