"""What the server does before anyone looks: imports, and a first reading of the newest run.

Streamlit alone would do both while the first visitor waits.
"""

from __future__ import annotations

import gc
import importlib
import logging
import pkgutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from streamlit import config

import ui
from ui.server.safe_headers import SafeHeaders
from ui.server.script_hints import ScriptHints
from ui.server.sessions import few_sessions

LONGEST_WAIT = 5.0
"""Seconds for which the newest run may delay the start: enough for about a million samples."""

LOOPBACK = ("localhost", "127.0.0.1")


def _hosts() -> list[str]:
    """Names under which the app may be asked for: a page elsewhere cannot reach it by its own."""
    return list(config.get_option("server.allowedHosts") or LOOPBACK)


MIDDLEWARE = [
    Middleware(SafeHeaders),
    Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(), www_redirect=False),
    Middleware(ScriptHints),
]


@asynccontextmanager
async def ready(_app: Any) -> AsyncIterator[None]:
    """Lifespan of the server: it answers once this is done, or reads on beside its answers."""
    for module in pkgutil.walk_packages(ui.__path__, "ui."):
        importlib.import_module(module.name)
    run_read = threading.Event()
    threading.Thread(target=_read_ahead, args=[run_read], name="read-ahead", daemon=True).start()
    run_read.wait(LONGEST_WAIT)
    # Streamlit collects garbage after every run of a script. Modules are none, and looking through
    # them was most of what a poll of the job's strip cost.
    gc.collect()
    gc.freeze()
    try:
        async with few_sessions():
            yield
    finally:
        gc.unfreeze()


def _read_ahead(run_read: threading.Event) -> None:
    from ui.server import read_ahead  # here, so that a page's run of app.py does not need it

    try:
        read_ahead.newest_run()
    except Exception:
        # The pages compute the same and say what is wrong with it; nobody waits for this thread.
        logging.getLogger(__name__).warning("reading ahead failed", exc_info=True)
    run_read.set()
