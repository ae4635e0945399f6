"""One command in a process of its own, with a fault planted in it.

The processes are forked from a server that has imported the libraries (multiprocessing's
forkserver), so that a round takes a second instead of five.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from circuitseer_core import files
from circuitseer_core.calibration import calibrate as _calibrate  # noqa: F401 (preloaded)
from circuitseer_core.cli.main import main
from circuitseer_core.detection import detect as _detect
from circuitseer_core.export import write as _write  # noqa: F401 (preloaded)
from circuitseer_core.scoring import clusters as _clusters  # noqa: F401 (preloaded)
from circuitseer_core.scoring import engine as _engine  # noqa: F401 (preloaded)

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
STACK_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in a process, at the ``at``-th change of the disk (from 1; 0: never).

    kind: ``kill`` (SIGKILL to itself), ``SIGINT`` and ``SIGTERM`` (to itself), ``memory``
    (MemoryError), ``full`` (ENOSPC), ``wait`` (until the file ``until`` is there), ``count`` (write
    how many there were into ``until``), ``forward`` (the ``at``-th forward pass of the model is out
    of memory), ``clock`` (time jumps by up to a year at every look, seeded with ``at``), ``none``.
    """

    kind: str = "none"
    at: int = 0
    until: str = ""


def start(words: Sequence[str], log: Path, fault: Fault = Fault()) -> ForkServerProcess:
    """Start ``circuitseer WORDS…``, its output appended to ``log``."""
    process = CONTEXT.Process(target=_run, args=(list(words), str(log), fault))
    process.start()
    return process


def _run(words: list[str], log: str, fault: Fault) -> None:
    os.setsid()  # what it starts is found by its session
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    # Stacks are found by timing, and another stack rounds differently: here numbers are compared.
    vars(_detect)["find_stack_tokens"] = lambda *_, **__: STACK_TOKENS
    _plant(fault)
    sys.argv = ["circuitseer", *words]
    main()


def _plant(fault: Fault) -> None:
    if fault.kind == "forward":
        _plant_forward(fault.at)
    elif fault.kind == "clock":
        _plant_clock(fault.at)
    elif fault.kind != "none":
        _plant_changes(fault)


def _plant_changes(fault: Fault) -> None:
    """Do what the fault says before the ``at``-th rename or removal."""
    seen = 0

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if fault.kind == "count":
                Path(fault.until).write_text(str(seen))
            elif seen == fault.at:
                _fail(fault)
            return real(*args, **kwargs)

        return call

    for name in ("replace", "rename", "unlink", "rmdir"):
        setattr(os, name, before(getattr(os, name)))
    files._exchange = before(files._exchange)


def _fail(fault: Fault) -> None:
    if fault.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.kind in ("SIGINT", "SIGTERM"):
        signal.raise_signal(signal.Signals[fault.kind])
    if fault.kind == "memory":
        raise MemoryError
    if fault.kind == "full":
        raise OSError(28, "No space left on device")
    while fault.kind == "wait" and not Path(fault.until).exists():
        time.sleep(0.02)


def _plant_forward(at: int) -> None:
    real, seen = torch.nn.Embedding.forward, 0

    def forward(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen == at:
            raise torch.OutOfMemoryError("out of memory, planted")
        return real(self, ids)

    torch.nn.Embedding.forward = forward  # type: ignore[method-assign]


def _plant_clock(seed: int) -> None:
    rng, real = random.Random(seed), time.time
    time.time = lambda: real() + rng.uniform(-3e7, 3e7)


def gone(session: int, patience_s: float = 30.0) -> bool:
    """Whether every process of a session ends within the time given; what stays is killed."""
    deadline = time.monotonic() + patience_s
    while members := _members(session):
        if time.monotonic() > deadline:
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def _members(session: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if not entry.name.isdigit() or os.getsid(int(entry.name)) != session:
                continue
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                members.append(int(entry.name))
    return members
