"""The Hub's interface as far as a dataset repository of small files needs it, on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"the only commit").hexdigest()


class FakeHub:
    """What repositories hold, and what was asked; ``sizes`` overrides what is said of a file."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: dict[str, str | None] = {}
        self.sizes: dict[str, int] = {}
        self.revisions = {"main", "v1", COMMIT}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, value: Any = None, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _parts(self) -> list[str]:
        self.hub.tokens[f"{self.command} {self.path}"] = self.headers.get("Authorization")
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def do_POST(self) -> None:
        parts = self._parts()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.hub.repos.setdefault(repo, {})
            self.hub.private[repo] = asked.get("visibility") == "private" or bool(
                asked.get("private")
            )
            self._answer(200, {"url": f"{self.hub.address}/datasets/{repo}"})
            return
        if parts == ["api", "validate-yaml"]:
            self._answer(200, {"errors": [], "warnings": []})
            return
        repo = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]
            ]
            self._answer(200, {"files": [file | {"shouldIgnore": False} for file in files]})
            return
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                content = base64.b64decode(entry["value"]["content"])
                self.hub.repos[repo][entry["value"]["path"]] = content
        url = f"{self.hub.address}/datasets/{repo}/commit/{COMMIT}"
        self._answer(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})

    def do_GET(self) -> None:
        parts = self._parts()
        if parts[0] == "api":
            repo = "/".join(parts[2:4])
            revision = parts[5] if len(parts) > 5 else "main"
            if repo not in self.hub.repos:
                self._answer(404, {"error": "no repository"}, X_Error_Code="RepoNotFound")
            elif revision not in self.hub.revisions:
                self._answer(404, {"error": "no revision"}, X_Error_Code="RevisionNotFound")
            else:
                files = self.hub.repos[repo].items()
                siblings = [
                    {"rfilename": name, "size": self.hub.sizes.get(name, len(content))}
                    for name, content in files
                ]
                self._answer(200, {"id": repo, "sha": COMMIT, "siblings": siblings})
            return
        content = self.hub.repos["/".join(parts[1:3])]["/".join(parts[5:])]
        tag = hashlib.sha1(content).hexdigest()
        self._answer(200, content, ETag=f'"{tag}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub for the length of a block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}")
    _Handler.hub = hub
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
