"""Workers, one a device: every task done once, whoever dies; bad news in one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model.device_pool import DevicePool, Stream
from tests.support import device_service as service

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240
"""For a process that is to end by itself."""


class Heard(list[str]):
    """What the pool said."""

    def __call__(self, line: str) -> None:
        self.append(line)


def test_every_task_is_done_once_by_workers_of_their_own() -> None:
    progress: list[int] = []
    with DevicePool(["cpu", "cpu"], service.squares, Heard()) as pool:
        done = list(pool.run(Stream(iter(range(9))), progress.append))
    assert sorted(task for task, _ in done) == list(range(9))
    assert all(answer[0] == task**2 for task, answer in done)
    workers = {answer[2] for _, answer in done}
    assert len(workers) == 2 and os.getpid() not in workers
    assert sum(progress) == 18
    threads = str(max(1, torch.get_num_threads() // 2))
    assert {answer[3] for _, answer in done} == {threads}, "they share the cores"
    assert not any(psutil.pid_exists(pid) for pid in workers), "and they end with the pool"


def test_a_killed_workers_tasks_are_done_by_the_others(tmp_path: Path) -> None:
    heard, progress = Heard(), list[int]()
    with DevicePool(["cpu"] * 2, partial(service.dies_at, 3, tmp_path), heard) as pool:
        done = list(pool.run(Stream(iter(range(8))), progress.append))
    assert sorted(done) == [(task, task**2) for task in range(8)]
    assert heard == ["the worker on cpu was killed (SIGKILL); the others do its part"]
    begun = [int(path.name.split("-")[0]) for path in tmp_path.iterdir()]
    assert sorted(begun) == sorted([*range(8), 3]), "only the task it died at is done again"
    assert sum(progress) == 16, "what the dead worker had told is taken back"


def test_a_worker_whose_parent_dies_while_it_imports_ends(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "endless.py").write_text(
        "import pathlib, time\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        "while True:\n    time.sleep(0.05)\n"
    )
    ours, worker_end = socket.socketpair()
    worker = subprocess.Popen(
        [sys.executable, "-m", "circuitseer_core.model.device_worker", str(worker_end.fileno())],
        pass_fds=[worker_end.fileno()],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    )
    worker_end.close()
    try:
        with Connection(ours.detach()) as connection:
            connection.send_bytes(b"cendless\nservice\n.")  # a pickle: the module's attribute
            while not begun.exists():
                assert worker.poll() is None
                time.sleep(0.05)
        assert worker.wait(PATIENCE_S) == 1
    finally:
        worker.kill()
        worker.wait()


def test_with_the_last_worker_the_run_ends_in_one_line() -> None:
    heard = Heard()
    with (
        DevicePool(["cpu"] * 2, service.always_dies, heard) as pool,
        pytest.raises(UserError, match=r"cpu was killed \(SIGKILL\) and no other is left: run ag"),
    ):
        list(pool.run(Stream(iter(range(8)))))
    assert len(heard) == 1


def test_a_refusal_is_one_line_and_a_bug_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        DevicePool(["cpu"], service.refuses, Heard()) as pool,
        pytest.raises(UserError, match="^cpu is no device$"),
    ):
        pool.ask(1)
    with (
        DevicePool(["cpu"], service.fails, Heard()) as pool,
        pytest.raises(RuntimeError, match="the worker on cpu failed: KeyError: 'a bug'"),
    ):
        pool.ask(1)
    assert "Traceback" in capfd.readouterr().err


def test_a_refusal_is_heard_while_the_worker_waits_for_its_next_task() -> None:
    heard: list[str] = []

    def ask(pool: DevicePool) -> None:
        try:
            pool.ask(1)
        except UserError as error:
            heard.append(str(error))

    with DevicePool(["cpu"], service.refuses_looking_ahead, Heard()) as pool:
        asking = threading.Thread(target=ask, args=(pool,), daemon=True)
        asking.start()
        asking.join(PATIENCE_S)
        assert heard == ["cpu is no device"]


def test_messages_larger_than_a_socket_pass_in_both_directions() -> None:
    size = 4 * 2**20
    tasks = [bytes([i]) * size for i in range(5)]
    with DevicePool(["cpu"], partial(service.bounces, size), Heard()) as pool:
        done = dict(pool.run(Stream(iter(tasks))))
    assert done == {task: task for task in tasks}


SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
from circuitseer_core.model.device_pool import DevicePool, Stream
from tests.support import device_service as service
def said(n):
    print("at it", flush=True)
with DevicePool(["cpu"], service.sleeps, print) as pool:
    print(pool._live[0].process.pid, flush=True)
    list(pool.run(Stream(iter([1])), said))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent_in_the_middle_of_a_task(how: signal.Signals) -> None:
    """Without a main guard, as in a notebook; Ctrl-C reaches the worker too and is not its end."""
    parent: Any = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline() == "at it\n"
    worker = psutil.Process(pid)
    if how == signal.SIGINT:
        os.kill(pid, how)
        time.sleep(0.2)
        assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
    os.kill(parent.pid, how)
    parent.communicate()
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running()
