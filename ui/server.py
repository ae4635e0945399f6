"""What the server does before anyone looks: imports, and a first reading of the newest run.

Streamlit alone would do both while the first visitor waits. Beside that, every page's address
answers with the names of the scripts that its figures and tables need, so that the browser fetches
them while it still starts Streamlit's own (``Link: rel=modulepreload``).
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ui

LONGEST_WAIT = 5.0
"""Seconds for which the newest run may delay the start: enough for about a million samples."""

_SCRIPTS = {
    "": ("DataFrame", "arrowFormatUtils"),
    "overview": ("DataFrame", "arrowFormatUtils"),
    "runs": ("DataFrame", "arrowFormatUtils"),
    "sources": ("PlotlyChart", "DataFrame", "arrowFormatUtils"),
    "export": ("PlotlyChart", "DataFrame", "arrowFormatUtils"),
}
"""Streamlit's scripts by page; a name that a later Streamlit lacks is left out."""


@asynccontextmanager
async def ready(_app: Any) -> AsyncIterator[None]:
    """Lifespan of the server: it answers once this is done, or reads on beside its answers."""
    for module in pkgutil.iter_modules(ui.__path__):
        importlib.import_module(f"ui.{module.name}")
    reader = threading.Thread(target=_read_ahead, name="read-ahead", daemon=True)
    reader.start()
    reader.join(LONGEST_WAIT)
    yield


def _read_ahead() -> None:
    from ui.read_ahead import read_ahead  # here, so that a page's run of app.py does not need it

    try:
        read_ahead()
    except Exception:
        # The pages compute the same and say what is wrong with it; nobody waits for this thread.
        logging.getLogger(__name__).warning("the newest run could not be read ahead", exc_info=True)


class ScriptHints:
    """ASGI middleware that adds the ``Link`` headers to every page of HTML."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers where the answer is a page."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root, _, page = str(scope["path"]).rpartition("/")

        async def send_hinted(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_html(message):
                message["headers"] = [*message["headers"], *_links(root, page)]
            await send(message)

        await self.app(scope, receive, send_hinted)


MIDDLEWARE = [Middleware(ScriptHints)]


def _is_html(message: Message) -> bool:
    kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
    return any(kind.startswith(b"text/html") for kind in kinds)


def _links(root: str, page: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"link", f"<{root}/static/js/{name}>; rel=modulepreload; crossorigin".encode("ascii"))
        for name in _files(page)
    ]


@cache
def _files(page: str) -> tuple[str, ...]:
    """File names, which carry a digest, of a page's scripts."""
    scripts = Path(st.__file__).parent / "static" / "static" / "js"
    return tuple(p.name for name in _SCRIPTS.get(page, ()) for p in scripts.glob(f"{name}.*.js"))
