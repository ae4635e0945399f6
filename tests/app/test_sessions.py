"""Sessions without a tab hold open files: few are kept, the others end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit import config, runtime
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from ui.server import sessions
from ui.server.sessions import KEPT, FewSessions, install

SESSIONS = 1_000


class Session:
    """As Streamlit's: an event loop of its own, which only a shutdown closes."""

    def __init__(self, number: int) -> None:
        self.id = str(number)
        self.loop = asyncio.new_event_loop()

    def shutdown(self) -> None:
        self.loop.close()


class Info:
    def __init__(self, number: int) -> None:
        self.session = Session(number)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_thousand_sessions_leave_few_files_open(count: Callable[[str], None]) -> None:
    before = open_files()
    storage = FewSessions(ttl_s=120)
    for number in range(SESSIONS):
        storage.save(Info(number))  # type: ignore[arg-type]
    kept = storage.list()
    assert open_files() - before <= 20
    assert [info.session.id for info in kept] == [str(n) for n in range(SESSIONS - KEPT, SESSIONS)]
    for info in kept:
        info.session.shutdown()
    count(f"{SESSIONS:,} sessions that end, without an app: {len(kept)} kept")


def test_a_session_is_taken_up_again_or_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FewSessions(ttl_s=120)
    first, second = Info(1), Info(2)
    storage.save(first)  # type: ignore[arg-type]
    storage.save(second)  # type: ignore[arg-type]
    assert storage.get("1") is first and storage.get("3") is None
    storage.delete("1")
    first.session.shutdown()
    clock = sessions.time.monotonic() + 200
    monkeypatch.setattr(sessions.time, "monotonic", lambda: clock)
    assert storage.get("2") is None
    storage.expire()
    assert second.session.loop.is_closed() and not storage.list()


def test_the_servers_own_storage_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that Streamlit gives them are not promised: an upgrade that changes them fails."""
    monkeypatch.setattr(Runtime, "_instance", None)
    asked = RuntimeConfig(
        script_path="app.py",
        media_file_storage=MemoryMediaFileStorage("/media"),
        uploaded_file_manager=MemoryUploadedFileManager("/uploads"),
    )
    server: Any = Runtime(asked)
    storage = FewSessions(config.get_option("server.disconnectedSessionTTL"))
    assert isinstance(server._session_mgr._session_storage, MemorySessionStorage)
    assert install(storage) and server._session_mgr._session_storage is storage
    monkeypatch.setattr(runtime, "get_instance", object)
    assert not install(storage)
