"""Worker processes, one a device: who is given what, and what follows when one of them dies.

1. Each worker is a process of its own (device_worker.py), joined to this one by a socket alone.
2. Tasks are handed out as workers get free, at most IN_FLIGHT to each; answers come back here, and
   only this process writes files. So a worker may be killed at any moment.
3. A worker that is gone is noticed by its closed socket; what it had in hand goes to the others.
   With the last worker the run ends in one line, and running again goes on from the files.

Plain subprocesses rather than ``multiprocessing``: nothing of the caller's script is imported in a
worker, so a notebook or a script without a main guard can use them.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import torch

from circuitseer_core.errors import UserError
from circuitseer_core.installation import HOME, IS_CHECKOUT
from circuitseer_core.model.device_worker import ANSWER, FAILED, GONE, REFUSED, TOLD, Service

IN_FLIGHT = 2
"""Tasks given to a worker at a time: one in work, one waiting."""
_PATIENCE_S = 10.0
"""How long a worker whose socket is closed may take to end before it is killed."""

Task = TypeVar("Task")


class Tasks(Protocol[Task]):
    """What is to be done, and in which order."""

    def take(self, worker: int) -> Task | None:
        """The next task for the worker of this number; None where none is left at the moment."""
        ...

    def put_back(self, task: Task) -> None:
        """A task whose worker died, to be taken again."""
        ...


class Stream(Generic[Task]):
    """Tasks in the order of an iterator; what was put back comes first."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks, self._again = tasks, list[Task]()

    def take(self, worker: int) -> Task | None:
        """The next task, whoever asks."""
        return self._again.pop(0) if self._again else next(self._tasks, None)

    def put_back(self, task: Task) -> None:
        """To be taken next."""
        self._again.append(task)


@dataclass(slots=True)
class _Worker:
    """One process; ``tasks``: its own, the one in work first; ``units_done``: of that."""

    number: int
    device: str
    process: subprocess.Popen[bytes]
    connection: Connection
    tasks: deque[Any] = field(default_factory=deque)
    units_done: int = 0


class DevicePool:
    """Workers for ``devices``, each doing ``service`` (see device_worker). A context manager.

    Args:
        devices: names as torch knows them; one worker each. CPU workers share this process's
            threads.
        service: picklable: a function of a module, or a ``partial`` of one.
        say: gets one line when a worker is gone.
    """

    def __init__(
        self, devices: Sequence[str], service: Service, say: Callable[[str], None]
    ) -> None:
        self._say = say
        threads = torch.get_num_threads()
        sharing = sum(device.startswith("cpu") for device in devices)
        self._live: list[_Worker] = []
        try:
            for number, device in enumerate(devices):
                share = max(1, threads // sharing) if device.startswith("cpu") else threads
                self._live.append(_start(number, device, share))
                _send(self._live[-1].connection, (service, device))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> DevicePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for worker in self._live:
            worker.connection.close()
        for worker in self._live:
            _ended(worker.process)
        self._live = []

    def ask(self, task: Any) -> Any:
        """The answer of some worker to one task."""
        return next(answer for _, answer in self.run(Stream(iter([task]))))

    def run(
        self, tasks: Tasks[Task], on_progress: Callable[[int], None] = lambda n: None
    ) -> Iterator[tuple[Task, Any]]:
        """Every task with its answer, in the order in which they are done.

        Args:
            on_progress: gets the units that a worker tells of while it is at a task (negative:
                to be done again); their sum for a task is whatever the service told.

        Raises:
            UserError: what a worker refused, or that no worker is left.
        """
        self._fill(tasks)
        while any(worker.tasks for worker in self._live):
            for worker, message in self._messages():
                kind, value = message
                if kind == TOLD:
                    worker.units_done += value
                    on_progress(value)
                elif kind == ANSWER:
                    task, worker.units_done = worker.tasks.popleft(), 0
                    self._fill(tasks)  # before the caller writes anything
                    yield task, value
                elif kind == REFUSED:
                    raise UserError(value)
                elif kind == FAILED:
                    raise RuntimeError(f"the worker on {worker.device} failed: {value}")
                elif kind == GONE:
                    on_progress(-worker.units_done)
                    self._bury(worker, tasks)
                    self._fill(tasks)

    def _messages(self) -> Iterator[tuple[_Worker, tuple[str, Any]]]:
        """What workers say, waiting for the first of them; GONE for one that will say no more."""
        ready = wait([worker.connection for worker in self._live])
        for worker in [worker for worker in self._live if worker.connection in ready]:
            try:
                yield worker, pickle.loads(worker.connection.recv_bytes())  # noqa: S301 (our own worker)
            except (EOFError, OSError):
                yield worker, (GONE, None)

    def _fill(self, tasks: Tasks[Task]) -> None:
        """Give every worker what it may hold, one task to each before a second to any."""
        for depth in range(1, IN_FLIGHT + 1):
            for worker in self._live:
                if len(worker.tasks) < depth and (task := tasks.take(worker.number)) is not None:
                    worker.tasks.append(task)
                    _send(worker.connection, task)

    def _bury(self, worker: _Worker, tasks: Tasks[Task]) -> None:
        self._live.remove(worker)
        worker.connection.close()
        how = _how(_ended(worker.process))
        if not self._live:
            raise UserError(
                f"the worker on {worker.device} {how} and no other is left: run again to go on"
            )
        for task in worker.tasks:
            tasks.put_back(task)
        self._say(f"the worker on {worker.device} {how}; the others do its part")


def _start(number: int, device: str, threads: int) -> _Worker:
    """A new process with one end of a socket; its libraries show no bars."""
    pool_end, worker_end = socket.socketpair()
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if IS_CHECKOUT:  # an installed package is found without help
        search = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(search)
    with worker_end:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.device_worker", str(worker_end.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[worker_end.fileno()],
            env=environment,
        )
    return _Worker(number, device, process, Connection(pool_end.detach()))


def _send(connection: Connection, message: Any) -> None:
    """Send; a worker that is gone is noticed by whoever reads from it."""
    try:
        connection.send_bytes(pickle.dumps(message))
    except OSError:
        return


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process whose socket is closed."""
    try:
        return process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _how(status: int) -> str:
    if status < 0:
        return f"was killed ({signal.Signals(-status).name})"
    return f"ended with status {status}"
