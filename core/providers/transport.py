"""HTTP/1.1 for many long streams in one event loop: a transport for ``httpx2.AsyncClient``.

The stock transport of httpx2 spends about 0.15 ms of CPU on each piece of a stream (measured: one thousand
streams of ten pieces a second need more than a whole core) and looks through all connections on each request.
This one parses in the socket's callback, wakes the reader once, and finds a free connection in constant time.
Reads take a deadline and need no timer per piece. Memory is bounded: a reader that does not read stops the socket.

A response carries its :class:`Body` in ``response.extensions["body"]``. Where a proxy is configured, the stock
transport is used behind the same face (:class:`ProxyTransport`). Why: docs/decisions/0005-own-http-transport.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import lru_cache
from math import inf
from typing import Any, Protocol, cast

import httpx2

from core.i18n import Phrase
from core.providers.http1 import (
    MAX_HEAD_BYTES,
    Chunked,
    ConnectionEnded,
    ConnectionLost,
    Counted,
    Framing,
    MalformedResponse,
    ShortBody,
    UntilClose,
    content_length,
    parse_head,
    request_bytes,
    shown,
)

MAX_ERROR_BYTES = 64 * 1024  # of the body of a response with status 400 and up; the rest is not read
HIGH_WATER_BYTES = 256 * 1024  # unread bytes at which the socket is paused
KEEPALIVE_S = 20.0
DRAIN_S = 1.0  # how long the end of a finished stream may take to come before the connection is given up


class Readable(Protocol):
    """The body of a response, read piece by piece."""

    async def read(self, until: float) -> bytes:
        """The next bytes, ``b""`` at the end. ``until`` is a time of the event loop.

        Raises:
            TimeoutError: nothing came until then.
            httpx2.TransportError: the connection broke, or the body is shorter than announced.
        """
        ...

    def close(self, *, ended: bool = False) -> None:
        """Give the connection up. ``ended``: all that matters has come; it may be kept if the rest follows at once."""
        ...


class Body(httpx2.AsyncByteStream):
    """A body that a :class:`Connection` fills."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, limit: int | None) -> None:
        self._connection = connection
        self._loop = loop
        self._limit = limit
        self._parts: list[bytes] = []
        self._unread = 0
        self._received = 0
        self._complete = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    # --- filled by the connection

    def put(self, data: bytes) -> None:
        self._received += len(data)
        if self._limit is not None and self._received > self._limit:
            self._complete = True
            self._connection.abort()
        self._parts.append(data)
        self._unread += len(data)
        if self._unread > HIGH_WATER_BYTES:
            self._connection.pause()
        self._wake()

    def finish(self, error: Exception | None = None) -> None:
        if not self._complete and self._error is None:
            self._complete, self._error = error is None, error
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- read by the engine

    async def read(self, until: float) -> bytes:
        parts = self._parts
        while not parts:
            if self._complete:
                return b""
            if self._error is not None:
                raise self._error
            self._until = until
            timer = self._timer
            if until != inf and (timer is None or timer.when() > until):
                if timer is not None:
                    timer.cancel()
                self._timer = self._loop.call_at(until, self._tick)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._unread > HIGH_WATER_BYTES:
            self._connection.resume()
        self._unread = 0
        return data

    def _tick(self) -> None:
        """Fire if a reader waits past its deadline; else look again then. One timer serves many reads."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() >= self._until:
            waiter.set_exception(TimeoutError())
        elif self._until != inf:
            self._timer = self._loop.call_at(self._until, self._tick)

    def close(self, *, ended: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parts.clear()
        if not self._complete and self._error is None:
            self._error = httpx2.StreamClosed()
            self._connection.drop(drain=ended)

    # --- the face httpx2 and the SDK know

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read(inf):
            yield data

    async def aclose(self) -> None:
        self.close()


class Connection(asyncio.Protocol):
    """One connection: sends a request, parses its response, returns to the pool when that is complete."""

    def __init__(self, release: Callable[[Connection], None], forget: Callable[[Connection], None]) -> None:
        self._release = release
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport  # from connection_made on
        self._head: asyncio.Future[httpx2.Response] | None = None
        self._body: Body | None = None
        self._buffer = bytearray()
        self._framing: Framing | None = None
        self._until_close = False
        self._reusable = True
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0
        self.open = False

    async def send(self, data: bytes) -> httpx2.Response:
        """Send a whole request; return once the head of the response is there."""
        head = self._head = self._loop.create_future()
        self._until_close = False
        try:
            self._transport.write(data)
            return await head
        except BaseException:
            if self._head is head:
                self.abort()
            raise
        finally:
            # A response that comes whole frees the connection before its caller wakes: by now it may be another's.
            if self._head is head:
                self._head = None

    @property
    def in_use(self) -> bool:
        """Whether somebody waits for a response or reads one."""
        return self._head is not None or self._body is not None

    # --- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._framing is not None:
            self._eat(self._framing, data)
            return
        head = self._head
        if head is None or head.done():  # bytes nobody asked for
            self.abort()
            return
        self._buffer += data
        try:
            self._read_head(head)
        except MalformedResponse as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._forget(self)
        if self._timer is not None:
            self._timer.cancel()
        how = Phrase("wire.lost", why=exc) if exc else Phrase("wire.before_answer")
        if self._head is not None and not self._head.done():
            kind = ConnectionLost if self._buffer else ConnectionEnded
            self._head.set_exception(kind(how.key, **how.params))
        elif self._body is not None:
            body, self._body = self._body, None
            if self._until_close and exc is None:
                body.finish()
            elif exc is None:
                body.finish(ShortBody("wire.short_body"))
            else:
                body.finish(ConnectionLost(how.key, **how.params))

    # --- parsing

    def _read_head(self, waiting: asyncio.Future[httpx2.Response]) -> None:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                start = bytes(self._buffer[:5])
                if not b"HTTP/".startswith(start):
                    raise MalformedResponse("wire.not_http", begins=shown(self._buffer))
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise MalformedResponse("wire.long_head", limit=MAX_HEAD_BYTES)
                return
            head, rest = bytes(self._buffer[:end]), bytes(self._buffer[end + 4 :])
            self._buffer.clear()
            version, status, reason, headers = parse_head(head)
            if status >= 200:
                break
            self._buffer += rest  # an interim response
        fields = {name.lower(): value for name, value in headers}
        connection = fields.get(b"connection", b"").lower()
        self._reusable = b"close" not in connection and (version == b"HTTP/1.1" or b"keep-alive" in connection)
        body = Body(self, self._loop, MAX_ERROR_BYTES if status >= 400 else None)
        response = httpx2.Response(
            status,
            headers=headers,
            stream=body,
            extensions={"http_version": version, "reason_phrase": reason, "body": body},
        )
        framing: Framing
        if status in (204, 304):
            framing = Counted(0, body)
        elif b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            framing = Chunked(body)
        elif b"content-length" in fields:
            framing = Counted(content_length(fields[b"content-length"]), body)
        else:
            self._until_close, self._reusable = True, False
            framing = UntilClose(body)
        waiting.set_result(response)
        self._body, self._framing = body, framing
        self._eat(framing, rest)

    def _eat(self, framing: Framing, data: bytes) -> None:
        try:
            rest = framing.eat(data)
        except MalformedResponse as error:
            self._fail(error)
            return
        if rest is None:
            return
        body, self._body, self._framing = self._body, None, None
        if rest:  # more than was announced: the next response could not be told from it
            self._reusable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.resume()
        if self._reusable and self.open:
            self._release(self)
        else:
            self.abort()
        if body is not None:
            body.finish()

    def _fail(self, error: Exception) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        elif self._body is not None:
            self._body.finish(error)
        self._body = None
        self.abort()

    # --- flow

    def pause(self) -> None:
        if self.open:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.open:
            self._transport.resume_reading()

    def drop(self, *, drain: bool) -> None:
        """The reader has gone. ``drain``: wait ``DRAIN_S`` for the end of the body, to keep the connection."""
        self._body = None
        if drain and self._reusable and self._framing is not None:
            self._framing.body = None
            self.resume()
            self._timer = self._loop.call_later(DRAIN_S, self.abort)
        else:
            self.abort()

    def abort(self) -> None:
        self._reusable = False
        self.open = False
        self._transport.abort()


class Transport(httpx2.AsyncBaseTransport):
    """Connections to any host, kept and reused, without a limit on their number."""

    def __init__(self) -> None:
        self._idle: dict[tuple[bytes, bytes, int], list[Connection]] = {}
        self._all: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        data = request_bytes(request, await request.aread())
        url = request.url
        origin = (url.raw_scheme, url.raw_host, url.port or (443 if url.raw_scheme == b"https" else 80))
        kept = self._free(origin)
        if kept is not None:
            try:
                return await kept.send(data)
            except ConnectionEnded:
                pass  # it was being closed while we sent: some servers (llama.cpp) close unannounced after a stream
        timeout_s = request.extensions.get("timeout", {}).get("connect")
        return await (await self._connect(origin, timeout_s)).send(data)

    def _free(self, origin: tuple[bytes, bytes, int]) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return None

    async def _connect(self, origin: tuple[bytes, bytes, int], timeout_s: float | None) -> Connection:
        scheme, raw_host, port = origin
        if scheme not in (b"http", b"https"):
            raise httpx2.UnsupportedProtocol(f"the URL must begin with http:// or https://, not {scheme.decode()}://")
        loop = asyncio.get_running_loop()
        host = raw_host.decode("ascii")
        more: dict[str, Any] = {"ssl": tls_context(), "server_hostname": host} if scheme == b"https" else {}
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):
            more["happy_eyeballs_delay"] = 0.25
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(lambda c: self._keep(origin, c), self._all.discard), host, port, **more
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("the deadline to connect passed") from error
        except (OSError, UnicodeError, ssl.SSLError, asyncio.InvalidStateError) as error:
            raise httpx2.ConnectError(str(error) or type(error).__name__) from error
        self._all.add(connection)
        return connection

    def _keep(self, origin: tuple[bytes, bytes, int], connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._reaper is None:
            self._reaper = loop.call_later(KEEPALIVE_S, self._reap)

    def _reap(self) -> None:
        """Close what was not used for ``KEEPALIVE_S``; the oldest stand first in each list."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEPALIVE_S
        for origin, idle in list(self._idle.items()):
            for connection in idle:
                if connection.idle_since <= oldest:
                    connection.abort()
            self._idle[origin] = [c for c in idle if c.open]
            if not self._idle[origin]:
                del self._idle[origin]
        self._reaper = loop.call_later(KEEPALIVE_S / 2, self._reap) if self._idle else None

    async def aclose(self) -> None:
        """Close what is idle now and what is in use as soon as its response ends."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        for connection in list(self._all):
            if not connection.in_use:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # let the loop close the sockets


class ProxyTransport(httpx2.AsyncBaseTransport):
    """httpx2's own transport through a proxy, with bodies of the same face."""

    def __init__(self, proxy: str) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_S)
        self._inner = httpx2.AsyncHTTPTransport(proxy=proxy, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        body = _PulledBody(
            cast(httpx2.AsyncByteStream, response.stream), MAX_ERROR_BYTES if response.status_code >= 400 else None
        )
        response.stream = body
        response.extensions["body"] = body
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


_closing: set[asyncio.Task[None]] = set()


class _PulledBody(httpx2.AsyncByteStream):
    """A stream of httpx2 with the face of :class:`Body`."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int | None) -> None:
        self._stream = stream
        self._pieces = stream.__aiter__()
        self._left = limit
        self._closing: asyncio.Task[None] | None = None

    async def read(self, until: float) -> bytes:
        if self._left is not None and self._left <= 0:
            return b""
        async with asyncio.timeout_at(None if until == inf else until):
            data = await anext(self._pieces, b"")
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self, *, ended: bool = False) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._stream.aclose())
            _closing.add(self._closing)  # a loop keeps no strong reference to its tasks
            self._closing.add_done_callback(_closing.discard)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read(inf):
            yield data

    async def aclose(self) -> None:
        self.close()
        if self._closing is not None:
            with suppress(httpx2.TransportError):
                await self._closing


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The system's trust store, as httpx2 reads it; loading it takes about 20 ms."""
    return httpx2.create_ssl_context()
