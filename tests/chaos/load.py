"""The app under load: sessions at once on a large run with a job at work, polls, and visits.

    python -m tests.chaos.load [--rows 1000000] [--sessions 20] [--polls 10000] [--visits 1000]

The real server, and clients that speak its protocol over websockets as a browser does. A run of
random numbers with a job at work (a process that writes its progress twice a second) is

1. opened by all sessions at once, each going over every page in an order of its own;
2. polled: the strip of the job, as its fragment asks for itself;
3. visited: a session comes, opens a page and goes.

Counted are pages with an exception box (none may be), the time from asking for a page to its end,
and the server's open files, memory and children before and after. Exit code 1 where a page raised,
polls or visits left more than 20 files or 50 MB, or a zombie stayed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from circuitseer_core.json_io import read_json
from circuitseer_core.runs.processes import identity
from tests.browser.conftest import start_server
from tests.support.synthetic import Shape, make_run

PAGES = (
    "", "runs", "heads", "try_it", "samples", "sources", "calibrate", "export", "evidence",
)  # fmt: skip
RUN, MB = "large", 2**20
MORE_FILES, MORE_MB = 20, 50
JOB = """
import json, os, sys, time
folder, number = sys.argv[1], 0
while os.getppid() == int(sys.argv[2]):
    number += 1
    progress = {"stage": "score", "phase": "Scoring samples", "state": "running", "unit": "samples",
                "done": number, "total": 100000, "rate": 2.0, "pid": os.getpid()}
    with open(f"{folder}/.p", "w") as file:
        json.dump(progress, file)
    os.replace(f"{folder}/.p", f"{folder}/progress.json")
    time.sleep(0.5)
"""


@dataclass
class Seen:
    """What the clients saw: seconds a page, pages with an exception box."""

    seconds: list[float] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        times = np.array(self.seconds or [np.nan])
        p50, p95 = np.percentile(times, [50, 95])
        return (
            f"{len(self.seconds):,} pages, {len(self.raised)} with an exception box; "
            f"median {p50:.2f} s, p95 {p95:.2f} s, longest {times.max():.2f} s"
        )


class Visitor:
    """One session of the app."""

    def __init__(self, socket: ClientConnection, seen: Seen) -> None:
        self.socket, self.seen = socket, seen
        self.fragments: dict[str, float] = {}

    async def ask(self, page: str, fragment: str = "") -> None:
        """Ask for a page (or a fragment of it) and read until the script has ended."""
        message = BackMsg()
        message.rerun_script.query_string = f"run={RUN}"
        message.rerun_script.page_name = page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        began = time.monotonic()
        await self.socket.send(message.SerializeToString())
        while True:
            raw = await asyncio.wait_for(self.socket.recv(), 300)
            forward = ForwardMsg()
            forward.ParseFromString(raw if isinstance(raw, bytes) else raw.encode())
            kind = forward.WhichOneof("type")
            if kind == "auto_rerun":
                self.fragments[forward.auto_rerun.fragment_id] = forward.auto_rerun.interval
            elif kind == "delta" and forward.delta.new_element.HasField("exception"):
                self.seen.raised.append(f"{page}: {forward.delta.new_element.exception.message}")
            elif kind == "script_finished" and forward.script_finished != (
                ForwardMsg.FINISHED_EARLY_FOR_RERUN
            ):
                break
        self.seen.seconds.append(time.monotonic() - began)


def socket_of(url: str) -> connect:
    """A websocket to the server, as the page opens one."""
    address = url.replace("http", "ws") + "/_stcore/stream"
    return connect(address, origin=url, subprotocols=["streamlit"], max_size=None)  # type: ignore[list-item,arg-type]


async def tour(url: str, number: int, seen: Seen) -> None:
    """One session goes over every page."""
    pages = list(PAGES)
    random.Random(number).shuffle(pages)
    async with socket_of(url) as socket:
        visitor = Visitor(socket, seen)
        for page in pages:
            await visitor.ask(page)


async def poll(url: str, count: int, seen: Seen) -> None:
    """One session on a page with the job's strip, which asks anew ``count`` times."""
    async with socket_of(url) as socket:
        visitor = Visitor(socket, Seen())
        await visitor.ask("export")
        assert visitor.fragments, "the page has nothing that polls"
        fragment, visitor.seen = next(iter(visitor.fragments)), seen
        for _ in range(count):
            await visitor.ask("export", fragment)


async def visits(url: str, count: int, seen: Seen) -> None:
    """Sessions come and go, one after the other."""
    for number in range(count):
        async with socket_of(url) as socket:
            await Visitor(socket, seen).ask(PAGES[number % 3])


async def together(work: list[Any]) -> None:
    """All of them at once."""
    await asyncio.gather(*work)


def state(server: psutil.Process) -> tuple[int, float, int]:
    """Open files, megabytes of memory, zombies among the children."""
    zombies = sum(c.status() == psutil.STATUS_ZOMBIE for c in server.children(recursive=True))
    return server.num_fds(), server.memory_info().rss / MB, zombies


def with_job(run: Path) -> subprocess.Popen[bytes]:
    """A process at work in the run, as far as the run's files tell."""
    process = subprocess.Popen([sys.executable, "-c", JOB, str(run), str(os.getpid())])
    holder = identity(process.pid)
    holder.write(run / "lock")
    job = {
        "steps": [["score", "--run", str(run)]], "state": "running", "step": 0,
        "started_s": time.time(), "child": read_json(run / "lock"),
    }  # fmt: skip
    (run / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return process


def main() -> None:
    """Make the run, start the server, put load on it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--polls", type=int, default=10_000)
    parser.add_argument("--visits", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        shape = Shape(rows=options.rows, sources=20, layers=24, heads=16, profiles=2_000)
        began = time.monotonic()
        make_run(runs / RUN, shape)
        print(f"run of {options.rows:,} rows in {time.monotonic() - began:.0f} s", flush=True)
        job = with_job(runs / RUN)
        process, url = start_server(runs, CIRCUITSEER_KEY=str(Path(folder) / "job.key"))
        try:
            wrong = loaded(url, psutil.Process(process.pid), options)
        finally:
            process.terminate()
            job.terminate()
            process.wait(timeout=30)
            job.wait(timeout=30)
    sys.exit(1 if wrong else 0)


def loaded(url: str, server: psutil.Process, options: argparse.Namespace) -> int:
    """All three kinds of load; returns how many of the promises did not hold."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} threads, load average {load}", flush=True)
    share = options.polls // options.sessions
    many = range(options.sessions)
    loads: dict[str, Callable[[Seen], list[Any]]] = {
        "first tour": lambda seen: [tour(url, 0, seen)],
        f"{options.sessions} sessions at once": lambda seen: [tour(url, n, seen) for n in many],
        f"{share * options.sessions:,} polls": lambda seen: [poll(url, share, seen) for _ in many],
        f"{options.visits:,} visits": lambda seen: [visits(url, options.visits, seen)],
    }
    wrong = 0
    for name, work in loads.items():
        seen, before = Seen(), state(server)
        asyncio.run(together(work(seen)))
        files, memory, zombies = state(server)
        print(
            f"{name}: {seen}; open files {before[0]} to {files}, memory {before[1]:,.0f} to "
            f"{memory:,.0f} MB, zombies {zombies}",
            flush=True,
        )
        for line in sorted(set(seen.raised)):
            print(f"  {line}", flush=True)
        grew = files - before[0] > MORE_FILES or memory - before[1] > MORE_MB
        wrong += bool(seen.raised) + bool(zombies) + (grew and name.endswith(("polls", "visits")))
    return wrong


if __name__ == "__main__":
    main()
