"""What the server does by itself: it reads the newest run ahead, and names Plotly in a header."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.testing.v1 import AppTest

from circuitseer_core import distributions
from circuitseer_core.detection import head_stability
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from tests.support.opened import APP, broken_shard, open_page, settled, synthetic
from tests.support.synthetic import Shape
from ui import cached_scores, shell
from ui.export import draw
from ui.server import file_checks, read_ahead
from ui.server import lifespan as server
from ui.server.script_hints import ScriptHints, scripts

T = TypeVar("T")


def _in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to, in a thread: a browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _never(*_args: Any, **_kwargs: Any) -> Any:
    raise AssertionError("computed again")


def test_what_was_read_ahead_is_what_the_pages_ask_for(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = synthetic(runs_home, "older")
    synthetic(runs_home, "newer", Shape(rows=300, sources=3))
    os.utime(older.path, (1, 1))
    for file in older.path.rglob("*"):
        os.utime(file, (1, 1))
    read_ahead.newest_run()

    monkeypatch.setattr(draw, "effect", _never)
    monkeypatch.setattr(distributions, "by_group", _never)
    monkeypatch.setattr(head_stability, "bootstrap_membership_of", _never)
    monkeypatch.setattr("ui.overview.findings.signatures_of", _never)
    for page in ("overview", "heads", "sources", "export"):
        open_page(page, "newer")
    with pytest.raises(
        AssertionError
    ):  # what was not read ahead is computed, so this test can fail
        open_page("export", "older")


def test_a_damaged_file_is_named_from_the_next_drawing_on(runs_home: Path) -> None:
    run = synthetic(runs_home)
    write_parquet(run.pool_path, run.pool())
    assert file_checks.check(run.path).result(60).ok

    def visited() -> AppTest:  # a first visit: only that runs app.py in the test runner
        app = AppTest.from_file(str(APP), default_timeout=240)
        app.query_params["run"] = run.name
        return settled(app.run())

    assert not visited().sidebar.error
    raw = bytearray(run.pool_path.read_bytes())
    raw[len(raw) // 2] ^= 1
    run.pool_path.write_bytes(raw)
    assert not file_checks.check(run.path).result(60).ok
    alert = visited().sidebar.error[0].value
    assert alert.startswith("1 file is damaged") and "pool.parquet" in alert


@pytest.mark.parametrize("state", ["broken", "scoreless"])
def test_of_a_run_that_cannot_be_read_the_rest_is_read_ahead(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The scores are left to the page that says what is wrong; the heads are read all the same."""
    run = synthetic(runs_home)
    if state == "broken":
        broken_shard(run)
    else:
        for part in run.score_parts():
            part.unlink()
    read_ahead.newest_run()
    monkeypatch.setattr(head_stability, "bootstrap_membership_of", _never)
    open_page("heads", run.name)
    if state == "broken":
        with pytest.raises(UserError, match="part-00000"):
            cached_scores.open_store(run)
    else:
        assert cached_scores.open_store(run) is None


def test_without_any_run_nothing_is_read_ahead(
    runs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "DEMO_RUN", runs_home / "gone")
    assert read_ahead._tasks() == []
    synthetic(runs_home)
    assert len(read_ahead._tasks()) == 4


def test_the_server_answers_although_reading_ahead_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a fault of ours")

    async def start() -> int:
        async with server.ready(None):
            return gc.get_freeze_count()

    monkeypatch.setattr(read_ahead, "newest_run", fail)
    assert _in_a_loop(start()) > 50_000, "what is imported is no garbage to look through"
    assert gc.get_freeze_count() == 0
    assert "reading ahead failed" in caplog.text and "a fault of ours" in caplog.text


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/sources", ["PlotlyChart"]),
        ("/base/export", ["PlotlyChart"]),
        ("/heads", ["BidiComponent", "Slider"]),
        ("/", []),
        ("/static/js/sources.js", []),
    ],
)
def test_scripts_are_named_where_the_eye_waits_for_them(path: str, names: list[str]) -> None:
    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"page"})

    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    _in_a_loop(ScriptHints(page)({"type": "http", "path": path}, receive, keep))
    links = [value.decode() for name, value in sent[0]["headers"] if name == b"link"]
    assert sent[1]["body"] == b"page"
    root, _, page_name = path.rpartition("/")
    files = scripts(page_name) if names else ()
    assert links == [f"<{root}/static/js/{f}>; rel=modulepreload; crossorigin" for f in files]
    assert all(any(file.startswith(f"{name}.") for file in files) for name in names)
