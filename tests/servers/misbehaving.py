"""A raw TCP server that says exactly what a script tells it, and keeps a record of what was done to it.

There is one script per request, in the order requests come in; the last one is used again for every further
request. A script is a tuple of acts, or a function of the request that gives one or generates it. An act is bytes to send, or one of the records below. After its acts a connection stays open
and takes the next request, unless the acts closed it.

>>> with Misbehaving([(response(503), ), sse("Hello")]) as server:
...     server.url
'http://127.0.0.1:…/v1'
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Pause:
    """Say nothing for ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Slowly:
    """Send ``data`` in pieces of ``size`` bytes with ``gap_s`` between them."""

    data: bytes
    gap_s: float
    size: int = 1


@dataclass(frozen=True)
class Endless:
    """Send ``data`` again and again, as fast as it is taken or every ``gap_s`` seconds, until the client leaves."""

    data: bytes
    gap_s: float = 0.0


@dataclass(frozen=True)
class Close:
    """Close the connection in good order (FIN)."""


@dataclass(frozen=True)
class Reset:
    """Break the connection (RST)."""


@dataclass(frozen=True)
class Hang:
    """Say nothing until the client leaves."""


Act = bytes | Pause | Slowly | Endless | Close | Reset | Hang


@dataclass(frozen=True)
class Request:
    """What came. ``at`` is a monotonic time, ``connection`` counts from 0."""

    at: float
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Acts = Sequence[Act] | AsyncGenerator[Act, None]
Script = Sequence[Act] | Callable[[Request], Acts]


@dataclass
class Misbehaving:
    """The server, in a thread of its own so that the client's timing is not disturbed."""

    scripts: Sequence[Script]
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    left: dict[int, float] = field(default_factory=dict)  # connection -> when the client was seen to have left
    opened: int = 0
    sent: int = 0  # bytes
    _open: set[int] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def wait_until_closed(self, seconds: float = 2.0) -> bool:
        """Wait until no client is connected any more."""
        return self.wait_until(lambda: not self._open, seconds)

    def wait_until(self, condition: Any, seconds: float = 2.0) -> bool:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        return bool(condition())

    def gaps(self) -> list[float]:
        """Seconds between one request and the next."""
        return [b.at - a.at for a, b in pairwise(self.requests)]

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="misbehaving-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)
        self._loop.close()

    def _run(self) -> None:
        self._stop = asyncio.Event()
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, sock=self._listener, ssl=self.tls)
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.opened
        self.opened += 1
        self._open.add(number)
        try:
            while (request := await self._read(reader, number)) is not None:
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
                acts = script(request) if callable(script) else script
                gone = asyncio.ensure_future(self._gone(reader))
                acting = asyncio.ensure_future(self._play(acts, writer))
                try:
                    await asyncio.wait({gone, acting}, return_when=asyncio.FIRST_COMPLETED)
                    if not acting.done():
                        return
                    if acting.result():
                        return
                finally:
                    for task in (gone, acting):
                        task.cancel()
                    await asyncio.gather(gone, acting, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops
        finally:
            self.left.setdefault(number, time.monotonic())
            self._open.discard(number)
            writer.transport.abort()

    @staticmethod
    async def _gone(reader: asyncio.StreamReader) -> None:
        """Return when the client has left; its next request stays in the reader."""
        while not reader.at_eof() and reader.exception() is None:
            await asyncio.sleep(0.01)

    async def _play(self, acts: Acts, writer: asyncio.StreamWriter) -> bool:
        """Act; return whether the connection was closed."""
        async for act in _one_by_one(acts):
            if isinstance(act, bytes):
                await self._send(writer, act)
            elif isinstance(act, Pause):
                await asyncio.sleep(act.seconds)
            elif isinstance(act, Slowly):
                for at in range(0, len(act.data), act.size):
                    await self._send(writer, act.data[at : at + act.size])
                    await asyncio.sleep(act.gap_s)
            elif isinstance(act, Endless):
                while True:
                    await self._send(writer, act.data)
                    await asyncio.sleep(act.gap_s)
            elif isinstance(act, Hang):
                await asyncio.Event().wait()
            elif isinstance(act, Reset):
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return True
            else:
                writer.close()
                await writer.wait_closed()
                return True
        return False

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)

    @staticmethod
    async def _read(reader: asyncio.StreamReader, number: int) -> Request | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(time.monotonic(), number, method, path, headers, body)


async def _one_by_one(acts: Acts) -> AsyncGenerator[Act, None]:
    if isinstance(acts, Sequence):
        for act in acts:
            yield act
    else:
        async with aclosing(acts):
            async for act in acts:
                yield act


CERTIFICATE = Path(__file__).with_name("localhost.pem")  # self-signed, for 127.0.0.1 and localhost; with its key


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


# --- what a server says -----------------------------------------------------------------------


def head(status: int = 200, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} X", *headers, "", "")).encode()


def response(status: int = 200, body: bytes | str = b"", *headers: str, kind: str = "application/json") -> bytes:
    """A whole response with its length."""
    data = body.encode() if isinstance(body, str) else body
    return head(status, f"content-type: {kind}", f"content-length: {len(data)}", *headers) + data


def error(status: int, message: str, *headers: str, **more: Any) -> bytes:
    """A refusal as OpenAI words it."""
    return response(status, json.dumps({"error": {"message": message, **more}}), *headers)


def completion(text: str | None = "Hello.", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "served",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def whole(text: str | None = "Hello.", finish: str | None = "stop", **message: Any) -> bytes:
    return response(200, json.dumps(completion(text, finish, **message)), "x-request-id: req-1")


STREAM_HEAD = head(200, "content-type: text/event-stream", "transfer-encoding: chunked", "x-request-id: req-1")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    if text is not None:
        delta["content"] = text
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "served",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def event(payload: Any) -> bytes:
    """A server-sent event: an object as JSON, or bytes as they are."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return b"data: " + data + b"\n\n"


def framed(data: bytes) -> bytes:
    """One chunk of the chunked transfer encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


END = b"0\r\n\r\n"
DONE = framed(event(b"[DONE]")) + END


def pieces(*texts: str) -> bytes:
    return b"".join(framed(event(chunk(text))) for text in texts)


def sse(*texts: str, finish: str | None = "stop", gap_s: float = 0.0) -> tuple[Act, ...]:
    """A good stream: the texts, the finish reason, the usage, the end."""
    acts: list[Act] = [STREAM_HEAD]
    for text in texts:
        acts += [pieces(text), Pause(gap_s)] if gap_s else [pieces(text)]
    acts.append(framed(event(chunk(finish=finish))) + framed(event({"choices": [], "usage": USAGE})) + DONE)
    return tuple(acts)


def joined(acts: Iterable[Act]) -> bytes:
    """The bytes of a script that only sends bytes."""
    return b"".join(act for act in acts if isinstance(act, bytes))
