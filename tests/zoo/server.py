"""A web server on the loopback that speaks the hub's protocol and serves plain files, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Site:
    """``files``: content by path; ``models``: files by repository. ``drops``: shares of a file after which the connection breaks,
    one for each request; ``errors``: codes that requests are answered with first. ``asked``: (method, path, Range)."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    drops: list[float] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    linked: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def gets(self, ending: str) -> list[str]:
        """Ranges of the GET requests for a file."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(ending)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        site, path = self.site, unquote(self.path.partition("?")[0])
        with site.lock:
            site.asked.append((self.command, path, self.headers.get("Range", "")))
            site.tokens.append(self.headers.get("Authorization", ""))
            error = site.errors.pop(0) if site.errors else 0
        if error:
            self._send(error, {}, b"{}")
        elif path.startswith("/api/models/"):
            self._model(path.removeprefix("/api/models/"), body)
        elif "/resolve/" in path:
            name, _, rest = path.strip("/").partition("/resolve/")
            files = site.models.get(name)
            if files is None:
                self._send(401, {"X-Error-Code": "RepoNotFound"}, b"{}")
            else:
                self._file(files.get(rest.partition("/")[2]), body, {"X-Repo-Commit": COMMIT})
        else:
            self._file(site.files.get(path), body, {})

    def _model(self, name: str, body: bool) -> None:
        name = name.partition("/revision/")[0]
        files = self.site.models.get(name)
        if files is None:
            self._send(401, {"X-Error-Code": "RepoNotFound"}, b"{}")
            return
        listed = {"id": name, "modelId": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(listed).encode(), body)

    def _file(self, content: bytes | None, body: bool, headers: dict[str, str]) -> None:
        if content is None:
            self._send(404, {**headers, "X-Error-Code": "EntryNotFound"}, b"{}")
            return
        sum_ = self.site.linked.get(self.path) or hashlib.sha256(content).hexdigest()
        headers = {**headers, "ETag": f'"{sum_}"', "Accept-Ranges": "bytes"}
        start, status = 0, 200
        span, condition = self.headers.get("Range", ""), self.headers.get("If-Range", headers["ETag"])
        if span.startswith("bytes=") and span.endswith("-") and condition == headers["ETag"]:
            start, status = int(span[6:-1]), 206
            if start >= len(content):
                self._send(416, {**headers, "Content-Range": f"bytes */{len(content)}"}, b"")
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(status, headers, content[start:], body, of=len(content), start=start)

    def _send(self, code: int, headers: dict[str, str], content: bytes, body: bool = True, of: int = 0, start: int = 0) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or not body:
            return
        with self.site.lock:
            drop = self.site.drops.pop(0) if of > 10_000 and self.site.drops else None
        if drop is not None:
            content = content[: max(0, int(of * drop) - start)]
            self.close_connection = True
        self.wfile.write(content)
        self.wfile.flush()
        if drop is not None:
            self.connection.close()


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """The site at a free port, until the end of the block."""
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
