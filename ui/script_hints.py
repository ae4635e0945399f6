"""Tell the browser with a page's address that the page will need Plotly.

Streamlit's front end asks for the 4.7 MB of it when the first figure arrives. Named in a
``Link: rel=modulepreload`` header they are fetched while Streamlit itself still starts. All other
scripts of a page, some seventy small ones, gain nothing by it (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAGES = {"sources", "export"}
"""Pages that open with a figure; on Heads the map, which needs no Plotly, comes first."""


class ScriptHints:
    """ASGI middleware that adds the header to these pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with one more header where the answer is such a page."""
        root, _, page = str(scope.get("path", "")).rpartition("/")
        if scope["type"] != "http" or page not in _PAGES:
            await self.app(scope, receive, send)
            return

        async def send_hinted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_links(root)]
            await send(message)

        await self.app(scope, receive, send_hinted)


def _links(root: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"link", f"<{root}/static/js/{name}>; rel=modulepreload; crossorigin".encode("ascii"))
        for name in scripts()
    ]


@cache
def scripts() -> tuple[str, ...]:
    """The file that Plotly is in; none where a later Streamlit names it otherwise."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return tuple(file.name for file in folder.glob("PlotlyChart.*.js"))
