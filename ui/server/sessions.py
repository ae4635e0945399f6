"""Sessions whose tab is gone: a few are kept for a while in case it comes back, all others end.

Streamlit keeps up to 128 of them and never ends one that it drops. Each holds an event loop, which
is three open files, so that some 330 visits reached a process's usual limit of 1,024 (measured: 9
open files at the start, 345 after 107 visits, 330 still when idle).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from streamlit import config, runtime
from streamlit.runtime.session_manager import SessionInfo, SessionStorage

KEPT = 5
"""Most sessions without a tab."""
_LOOK_S = 10.0


class FewSessions(SessionStorage):
    """The newest sessions without a tab, each for ``ttl_s`` seconds; the others are shut down."""

    def __init__(self, ttl_s: float, kept: int = KEPT) -> None:
        self.ttl_s, self.kept = ttl_s, kept
        self._stored: dict[str, tuple[float, SessionInfo]] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """A session that may still be taken up again."""
        since, info = self._stored.get(session_id, (0.0, None))
        return info if time.monotonic() - since <= self.ttl_s else None

    def save(self, session_info: SessionInfo) -> None:
        """Keep a session whose tab just went."""
        self._stored[session_info.session.id] = (time.monotonic(), session_info)
        self.expire()

    def delete(self, session_id: str) -> None:
        """Forget a session that was taken up again."""
        del self._stored[session_id]

    def list(self) -> list[SessionInfo]:
        """All that are kept, the oldest first."""
        return [info for _, info in self._stored.values()]

    def expire(self) -> None:
        """Shut down what is too old or one too many."""
        ordered = list(self._stored.items())
        for place, (session_id, (since, info)) in enumerate(ordered):
            if place < len(ordered) - self.kept or time.monotonic() - since > self.ttl_s:
                del self._stored[session_id]
                info.session.shutdown()


@asynccontextmanager
async def few_sessions() -> AsyncIterator[None]:
    """Put the storage in place of Streamlit's own, for as long as the server runs."""
    storage = FewSessions(config.get_option("server.disconnectedSessionTTL"))
    if not install(storage):
        yield
        return

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            storage.expire()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def install(storage: SessionStorage) -> bool:
    """Whether the running server takes the storage; it goes on with its own where it does not."""
    manager = getattr(runtime.get_instance(), "_session_mgr", None) if runtime.exists() else None
    if manager is None or not hasattr(manager, "_session_storage"):
        logging.getLogger(__name__).warning("Streamlit keeps its sessions elsewhere by now")
        return False
    manager._session_storage = storage
    return True
