"""Headers that tell the browser what a page of the app may fetch and run: nothing from elsewhere.

Text of data is escaped where it is shown (circuitseer_core/markdown.py). This is the second lock:
were an image or a script of somebody else's to slip through, the browser would not ask for it.

What Streamlit needs beyond its own files, found by taking each away in Chromium: inline styles
(its styles are made at run time), ``blob:`` scripts and ``data:`` images (components and icons that
arrive as text). Inline scripts are named by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)

FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SafeHeaders:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = (b"content-security-policy", policy(host).encode("latin-1", "ignore"))
                message["headers"] = [*message["headers"], own, *FIXED]
            await send(message)

        await self.app(scope, receive, send_safe)


def policy(host: str) -> str:
    """The Content-Security-Policy of a page that was asked for at ``host``.

    The host is named for its web socket: not every browser counts it as ``'self'``.
    """
    sockets = f" ws://{host} wss://{host}" if re.fullmatch(r"[\w.:\[\]-]+", host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' blob: {' '.join(_inline_digests())}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self'{sockets}",
            "worker-src 'self' blob:",
            "media-src 'self'",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


@cache
def _inline_digests() -> tuple[str, ...]:
    """Digests of the scripts that stand in Streamlit's own page."""
    page = Path(st.__file__).parent / "static" / "index.html"
    scripts = _INLINE.findall(page.read_text(encoding="utf-8"))
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
