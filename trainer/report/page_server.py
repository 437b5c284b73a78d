"""Serves the page over all runs on this machine's loopback address: the page, its data, and a report of each run.

It reads run folders and sends no file of them: each page is made by trainer, so nothing that a folder holds runs in it.
A page of another site cannot read the answers: they carry no CORS header, and a request whose Host is a name that an
attacker may point at this machine (DNS rebinding) is refused.
"""

import hashlib
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import unquote_to_bytes

from trainer.disk import layout
from trainer.errors import TrainerError, complain, described
from trainer.report import html, run_page
from trainer.report.overview import Overview

ADDRESS = "127.0.0.1"
HOSTS = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)  # any port: a tunnel has its own
IDLE = 10.0  # seconds that a connection may say nothing
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page's own <meta> says the rest; this it cannot say
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer(ThreadingHTTPServer):
    """overview: what is served. Several connections are answered at once; one at a time reads the folders."""

    daemon_threads = True

    def __init__(self, overview: Overview, port: int = 0) -> None:
        """port: 0 takes a free one. Raises OSError if the port is taken."""
        self.overview, self.reading = overview, Lock()
        super().__init__((ADDRESS, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what failed in one line; of a browser that has gone away, nothing."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            complain(f"warning: a page could not be sent: {described(error)}")

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def content(self, path: str) -> tuple[str, bytes] | None:
        """(type, content) of a path; None if there is nothing."""
        if path == "/":
            with self.reading:
                return "text/html", self.overview.page(live=True).encode()
        if path == "/data.json":
            with self.reading:
                return "application/json", html.json_text(self.overview.data()).encode()
        name = os.fsdecode(unquote_to_bytes(path)).strip("/").removesuffix(f"/{layout.REPORT}")
        folder = next((known for known in list(self.overview.entries) if self.overview.name(known) == name), None)
        return None if folder is None else ("text/html", run_page.page(folder).encode())


class Handler(BaseHTTPRequestHandler):
    """Answers GET, and nothing else."""

    server: PageServer
    timeout = IDLE

    def do_GET(self) -> None:
        """Send a page, or the data; 403 for another Host, 404 for an unknown path, 304 if the asker has the data."""
        if not HOSTS.fullmatch(self.headers.get("Host", "")):
            self._send(403, "text/plain", b"open this page as http://localhost or http://127.0.0.1\n")
            return
        try:
            found = self.server.content(self.path.partition("?")[0])
        except TrainerError as error:
            self._send(500, "text/plain", error.message.encode(errors="replace"))
            return
        if found is None:
            self._send(404, "text/plain", b"there is no such page\n")
            return
        tag = f'"{hashlib.sha256(found[1]).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            self._send(304, found[0], b"", tag)
        else:
            self._send(200, *found, tag)

    def _send(self, status: int, kind: str, content: bytes, tag: str = "") -> None:
        self.send_response(status)
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        for name, value in {**headers, **HEADERS, **({"ETag": tag} if tag else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no GET, or not HTTP, in plain text."""
        self.close_connection = True
        self._send(code, "text/plain", b"this server answers GET only\n")

    def version_string(self) -> str:
        """The name of the server, without the versions that the standard library tells."""
        return "trainer"

    def log_message(self, *words: Any) -> None:
        """Say nothing on the terminal."""
