"""A small server with the OpenAI wire format on loopback: a list of models and a fixed streamed answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class LocalService:
    """``prefix`` is where the API begins; ``key`` is demanded when it is set; ``has_list``: GET /models is there."""

    models: tuple[str, ...] = ("small", "large")
    prefix: str = "/v1"
    key: str | None = None
    has_list: bool = True
    page: str | None = None  # what other paths answer with status 200, as a web server in front would
    reply: tuple[str, ...] = ("Hello", " there")
    seen: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(service: LocalService) -> Iterator[LocalService]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def answer(self, status: int, body: str, kind: str = "application/json") -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def refused(self) -> bool:
            service.seen.append(f"{self.command} {self.path}")
            if service.key and self.headers.get("Authorization") != f"Bearer {service.key}":
                self.answer(401, json.dumps({"error": {"message": "Incorrect API key provided"}}))
            elif not self.path.startswith(f"{service.prefix}/"):
                if service.page is not None:
                    self.answer(200, service.page, "text/html")
                else:
                    self.answer(404, json.dumps({"error": {"message": f"no route {self.path}"}}))
            else:
                return False
            return True

        def do_GET(self) -> None:
            if self.refused():
                return
            if self.path == f"{service.prefix}/models" and service.has_list:
                rows = [{"id": name, "object": "model"} for name in service.models]
                self.answer(200, json.dumps({"object": "list", "data": rows}))
            else:
                self.answer(404, json.dumps({"error": {"message": "not found"}}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.refused():
                return
            if body["model"] not in service.models:
                self.answer(404, json.dumps({"error": {"message": f"model {body['model']} not found"}}))
                return
            chunks = [
                {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in service.reply
            ]
            chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            chunks.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
            common = {"id": "c-1", "object": "chat.completion.chunk", "model": body["model"]}
            events = "".join(f"data: {json.dumps({**common, **chunk})}\n\n" for chunk in chunks)
            self.answer(200, f"{events}data: [DONE]\n\n", "text/event-stream")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
