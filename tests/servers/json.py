"""A server on loopback that answers JSON by functions: ``json_server({"POST /v1/rerank": lambda body: …})``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Route = Callable[[Any], Any]


@contextmanager
def json_server(routes: Mapping[str, Route], seen: list[tuple[str, Any]] | None = None) -> Iterator[str]:
    """Run it; gives the address without a path. A route may return ``(status, body)``; requests go into ``seen``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if seen is not None:
                seen.append((f"{self.command} {self.path}", body))
            route = routes.get(f"{self.command} {self.path}")
            sent: Any = (404, {"error": {"message": "no such route"}}) if route is None else route(body)
            status, sent = sent if isinstance(sent, tuple) else (200, sent)
            data = json.dumps(sent).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
