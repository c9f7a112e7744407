"""A web server of a test's own that serves files in parts, and hangs up when it is told to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Downloads:
    """``files`` by their paths. Each connection ends after ``hang_up_after`` bytes; ``asked`` has the ranges.

    ``to_hosts`` has what ESXi hosts of the lab get instead, empty for the answer 404; ``by_hosts`` counts them.
    """

    files: Mapping[str, bytes]
    hang_up_after: int = 0
    ranges: bool = True
    origin: str = ""
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    to_hosts: Mapping[str, bytes] = field(default_factory=dict)
    by_hosts: int = 0


@contextmanager
def serving(downloads: Downloads, *, certificate: Path | None = None) -> Iterator[Downloads]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = downloads.files.get(self.path)
            asked = self.headers.get("Range", "")
            downloads.asked.append(asked)
            if self.headers.get("User-Agent", "").startswith("Go-http-client"):
                downloads.by_hosts += 1
                content = downloads.to_hosts.get(self.path, content)
            if not content:
                self.send_error(404)
                return
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and downloads.ranges else 0
            self.send_response(206 if begin else 200)
            self.send_header("ETag", f'"{hash(content)}"')
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            end = min(len(content), begin + downloads.hang_up_after) if downloads.hang_up_after else len(content)
            downloads.sent += end - begin
            self.wfile.write(content[begin:end])

        def log_message(self, *_unused: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    downloads.origin = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield downloads
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
