"""Tell the browser with a page's address which scripts its main content will need.

Streamlit's front end asks for the script of a widget or a figure when the first one arrives. Named
in ``Link: rel=modulepreload`` headers, what the eye waits for is fetched while Streamlit itself
still starts. Naming all of a page's seventy scripts gains nothing: they only stand in each other's
way (docs/decisions.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COMPONENT = ("BidiComponent", "serialization", "recordbatch", "_arrayReduce")
_PAGES = {
    "heads": (*_COMPONENT, "Slider", "ButtonGroup", "Metric"),
    "try_it": (*_COMPONENT, "TextInput", "TextArea", "Button"),
    "samples": (*_COMPONENT, "TextInput", "ButtonGroup", "Button"),
    "sources": ("PlotlyChart",),
    "export": ("PlotlyChart",),
}
"""Names of Streamlit's scripts. One that a later Streamlit lacks is left out: nothing breaks."""


class ScriptHints:
    """ASGI middleware that adds the headers to these pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers where the answer is such a page."""
        root, _, page = str(scope.get("path", "")).rpartition("/")
        if scope["type"] != "http" or page not in _PAGES:
            await self.app(scope, receive, send)
            return

        async def send_hinted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_links(root, page)]
            await send(message)

        await self.app(scope, receive, send_hinted)


def _links(root: str, page: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"link", f"<{root}/static/js/{name}>; rel=modulepreload; crossorigin".encode("ascii"))
        for name in scripts(page)
    ]


@cache
def scripts(page: str) -> tuple[str, ...]:
    """The files, whose names carry a digest, of a page's scripts."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return tuple(file.name for name in _PAGES[page] for file in folder.glob(f"{name}.*.js"))
