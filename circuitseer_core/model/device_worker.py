"""One worker process of device_pool.py: does tasks on one device until its parent is done or gone.

A thread reads the parent's socket, so that nothing is ever stuck between two full sockets, and so
that a worker whose parent dies ends at once, in the middle of a forward pass. It writes no files.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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
        service, device = _read(connection)
        tasks: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
        for answer in service(device, iter(tasks.get, None), lambda n: send(TOLD, n)):
            send(ANSWER, answer)
    except UserError as error:
        send(REFUSED, str(error))
    except Exception as error:
        send(FAILED, f"{type(error).__name__}: {one_line(error)}")
        raise
    return 0


def _read(connection: Connection) -> Any:
    """The next message; the process ends where there will be none."""
    try:
        return pickle.loads(connection.recv_bytes())  # noqa: S301 (from our own parent)
    except (EOFError, OSError):
        os._exit(1)


def _receive(connection: Connection, tasks: SimpleQueue[Any]) -> None:
    while True:
        tasks.put(_read(connection))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
