"""A real server on a free loopback port, and a real Chromium that may talk to nobody else."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, ViewportSize, expect, sync_playwright

from tests.support.slow_machine import slow_page, slowed
from tests.support.synthetic import Shape, make_run
from tests.support.tiny_models import save_tiny

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

WINDOW: ViewportSize = {"width": 1440, "height": 1000}

# Generous, because CI machines are small and busy; speed is benchmarks/app.py's business.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser, and is skipped where there is none."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.browser)
            if not Path(CHROMIUM).exists():
                item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not installed"))


@dataclass(frozen=True)
class Server:
    """A running app: its address and its folder of runs."""

    url: str
    runs: Path


def free_port() -> int:
    """A loopback port that nobody listens on, nor will before the server does.

    Below those that systems give to outgoing connections, and for each of several workers from a
    range of its own: else another's server could answer in the place of the one just started.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + 1_000 * (worker % 12)
    ports = list(range(first, first + 1_000))
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free from {first} on")


def wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    """Return once the app at ``url`` answers; an app that ends or stays silent is a failure."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    process.kill()
    raise AssertionError("the app did not come up")


def start_server(
    runs: Path, checkout: Path = ROOT, **environment: str
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a checkout's app on a free loopback port; returns once it answers."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=checkout,
        env=os.environ | {"CIRCUITSEER_RUNS": str(runs), "OMP_NUM_THREADS": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    wait_until_up(process, url)
    return process, url


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama in a folder, with its tokenizer."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One app for all browser tests, with three runs: ``large`` (80 x 64), ``small``, ``other``."""
    runs = tmp_path_factory.mktemp("runs")
    make_run(runs / "other", Shape(contrast=True), seed=5)
    make_run(runs / "large", Shape(rows=300, layers=80, heads=64, probe=12), seed=1)
    make_run(runs / "small", Shape(contrast=True), seed=2)
    process, url = start_server(runs)
    with slowed(process.pid):
        yield Server(url, runs)
    process.terminate()
    process.wait(timeout=60)
    shutil.rmtree(runs, ignore_errors=True)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; Playwright never fetches a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    """A fresh tab; the test fails if it asked anybody but the server for anything."""
    context = chromium.new_context(viewport=WINDOW, accept_downloads=True, base_url=server.url)
    foreign: list[str] = []

    def note(request: Request) -> None:
        own = (server.url, server.url.replace("http", "ws"), "data:", "blob:", "about:")
        if not request.url.startswith(own):
            foreign.append(request.url)

    context.on("request", note)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    slow_page(page)
    yield page
    context.close()
    assert not foreign, f"requests left localhost: {foreign[:3]}"
