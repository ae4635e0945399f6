"""A slow machine on a fast one, so that races which only slow machines lose are seen here.

``CIRCUITSEER_SLOWER=8 python -m pytest tests/browser`` gives pages an eighth of the processor's
speed and the app's server every eighth moment. No test depends on it; all pass under it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Page

FACTOR = float(os.environ.get("CIRCUITSEER_SLOWER", "1"))
_AWAKE_S = 0.02


@contextmanager
def slowed(pid: int, factor: float = FACTOR) -> Iterator[None]:
    """Within it, the process runs ``1 / factor`` of the time: stopped and woken in turn."""
    over = threading.Event()

    def nap() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(_AWAKE_S * (factor - 1))
            os.kill(pid, signal.SIGCONT)
            over.wait(_AWAKE_S)

    if factor <= 1:
        yield
        return
    sleeper = threading.Thread(target=nap, daemon=True)
    sleeper.start()
    try:
        yield
    finally:
        over.set()
        sleeper.join()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def slow_page(page: Page, factor: float = FACTOR) -> None:
    """Divide the speed of the page's scripts and drawing by ``factor``."""
    if factor > 1:
        devtools = page.context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": factor})
