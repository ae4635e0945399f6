"""One worker process of device_pool.py: does tasks on one device until its parent is done or gone.

A thread reads the parent's socket, so that nothing is ever stuck between two full sockets, and so
that a worker whose parent dies ends at once, in the middle of a forward pass, or while it imports
what its service needs. It writes no files.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from circuitseer_core.errors import UserError, one_line

Service = Callable[[str, Iterator[Any], Callable[[int], None]], Iterator[Any]]
"""What a worker does: ``service(device, tasks, tell)`` yields one answer a task, in their order;
``tell(n)`` says that ``n`` more units of the task in work are done (negative: to be done again)."""

ANSWER, TOLD, REFUSED, FAILED, GONE = "answer", "told", "refused", "failed", "gone"
"""Kinds of messages: a task's answer, units done, a line for a person, what a programmer has to
mend (its traceback goes to stderr), and the end of a worker that had no time to say anything."""


def main(descriptor: int) -> int:
    """Serve the parent at the other end of the socket ``descriptor``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    connection = Connection(descriptor)

    def send(kind: str, value: Any) -> None:
        try:
            connection.send_bytes(pickle.dumps((kind, value)))
        except OSError:
            os._exit(1)  # nobody is there to hear it

    try:
        messages: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=_receive, args=(connection, messages), daemon=True).start()
        service, device = _next(messages)
        tasks = (_next(messages) for _ in count())
        for answer in service(device, tasks, lambda n: send(TOLD, n)):
            send(ANSWER, answer)
    except UserError as error:
        send(REFUSED, str(error))
    except Exception as error:
        traceback.print_exc()  # before the parent hears of it, which then ends this process
        send(FAILED, f"{type(error).__name__}: {one_line(error)}")
        raise SystemExit(1) from error
    return 0


def _next(messages: SimpleQueue[bytes]) -> Any:
    """The next message; what it names is imported here and not in the thread that reads."""
    return pickle.loads(messages.get())  # noqa: S301 (from our own parent)


def _receive(connection: Connection, messages: SimpleQueue[bytes]) -> None:
    """Read until there will be no more; then the process ends."""
    while True:
        try:
            messages.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
