"""Sessions without a tab hold open files: few are kept, the others end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from streamlit import config, runtime

from ui.server import sessions
from ui.server.sessions import KEPT, FewSessions, install

VISITS = 1_000


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


def test_a_thousand_visits_leave_few_files_open() -> None:
    before = open_files()
    storage = FewSessions(ttl_s=120)
    for visit in range(VISITS):
        storage.save(Info(visit))  # type: ignore[arg-type]
    kept = storage.list()
    assert open_files() - before <= 20
    assert [info.session.id for info in kept] == [str(n) for n in range(VISITS - KEPT, VISITS)]
    for info in kept:
        info.session.shutdown()
    print(f"{VISITS} visits, {len(kept)} sessions kept")


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
    """The name that Streamlit gives it is not promised: this fails where an upgrade changes it."""
    from streamlit.runtime.memory_session_storage import MemorySessionStorage
    from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

    manager: Any = WebsocketSessionManager(MemorySessionStorage(), None, None, None)  # type: ignore[arg-type]
    server = type("Server", (), {"_session_mgr": manager})()
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: server)
    storage = FewSessions(config.get_option("server.disconnectedSessionTTL"))
    assert install(storage) and manager._session_storage is storage
    monkeypatch.setattr(runtime, "get_instance", object)
    assert not install(storage)
