"""A web server of a test's own that serves files in parts, and hangs up when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Downloads:
    """``files`` by their paths. Each connection ends after ``hang_up_after`` bytes; ``asked`` has the ranges."""

    files: Mapping[str, bytes]
    hang_up_after: int = 0
    ranges: bool = True
    origin: str = ""
    asked: list[str] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serving(downloads: Downloads) -> Iterator[Downloads]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = downloads.files.get(self.path)
            asked = self.headers.get("Range", "")
            downloads.asked.append(asked)
            if content is None:
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
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    downloads.origin = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield downloads
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
