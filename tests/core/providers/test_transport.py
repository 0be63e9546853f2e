"""The HTTP transport: any split of a response's bytes gives the same body; connections are kept, closed, bounded."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from core.providers import transport as under_test
from core.providers.http1 import MalformedResponse, decoder, parse_head
from core.providers.transport import ProxyTransport, Transport
from tests.servers.misbehaving import (
    CERTIFICATE,
    END,
    Close,
    Endless,
    Hang,
    Misbehaving,
    Pause,
    Reset,
    Script,
    Slowly,
    framed,
    head,
    response,
    server_tls,
)

FOREVER = float("inf")
CHUNKED = head(200, "transfer-encoding: chunked")


async def fetch(transport: httpx2.AsyncBaseTransport, url: str) -> tuple[httpx2.Response, bytes]:
    request = httpx2.Request("POST", f"{url}/x", content=b"body", extensions={"timeout": {"connect": 2.0}})
    answer = await transport.handle_async_request(request)
    return answer, b"".join([part async for part in answer.stream])  # type: ignore[union-attr]


def with_transport(work: Callable[[Transport], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        transport = Transport()
        try:
            return await work(transport)
        finally:
            await transport.aclose()

    return asyncio.run(asyncio.wait_for(run(), 10))


FRAMINGS = [
    (head(200, "content-length: 11") + b"hello world", b"hello world"),
    (head(200, "content-length: 0"), b""),
    (head(204), b""),
    (CHUNKED + framed(b"hello ") + framed(b"world") + END, b"hello world"),
    (CHUNKED + b"6;name=value\r\nhello \r\n005\r\nworld\r\n0\r\nTrailer: x\r\n\r\n", b"hello world"),
    (CHUNKED + framed(b"\r\n0\r\n\r\n") + END, b"\r\n0\r\n\r\n"),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + head(200, "content-length: 2") + b"ok",
        b"ok",
    ),
]


@pytest.mark.parametrize(("data", "body"), FRAMINGS)
def test_any_split_gives_the_same_body(data: bytes, body: bytes) -> None:
    """One byte per packet, and whole, on one connection that is used again each time."""

    async def work(transport: Transport) -> None:
        for _ in range(3):
            answer, got = await fetch(transport, server.url)
            assert got == body
            assert answer.status_code in (200, 204)

    with Misbehaving(
        [(data,), (Slowly(data, 0.0),), (data[: len(data) // 2], Pause(0.02), data[len(data) // 2 :])]
    ) as server:
        with_transport(work)
        assert server.opened == 1
        assert server.wait_until_closed()


def test_a_body_until_the_connection_closes() -> None:
    async def work(transport: Transport) -> None:
        for _ in range(2):
            assert (await fetch(transport, server.url))[1] == b"hello"

    with Misbehaving([(head(200), b"hel", Pause(0.02), b"lo", Close())]) as server:
        with_transport(work)
        assert server.opened == 2


@pytest.mark.parametrize(
    "data",
    [
        head(200, "content-length: 2", "connection: close") + b"ok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        head(200, "content-length: 2") + b"ok and more",
    ],
)
def test_a_connection_that_cannot_be_told_apart_is_not_used_again(data: bytes) -> None:
    async def work(transport: Transport) -> None:
        for _ in range(2):
            assert (await fetch(transport, server.url))[1] == b"ok"

    with Misbehaving([(data,)]) as server:
        with_transport(work)
        assert server.opened == 2
        assert server.wait_until_closed()


def test_a_connection_the_server_closed_while_idle_is_not_used() -> None:
    async def work(transport: Transport) -> None:
        await fetch(transport, server.url)
        await asyncio.sleep(0.1)
        await fetch(transport, server.url)

    with Misbehaving([(response(200, "a"), Close()), (response(200, "b"),)]) as server:
        with_transport(work)
        assert server.opened == 2


def test_a_connection_that_is_closed_while_it_is_used_again_is_replaced() -> None:
    """A request that met the server's closing is sent again on a new connection; each arrives once."""

    async def work(transport: Transport) -> None:
        for _ in range(30):
            assert (await fetch(transport, server.url))[1] == b"a"

    with Misbehaving([(response(200, "a"), Close())]) as server:
        with_transport(work)
        assert len(server.requests) == 30


@pytest.mark.parametrize("acts", [(Close(),), (Reset(),), (b"HTTP/1.1 2", Close())])
def test_a_new_connection_that_is_closed_is_an_error(acts: Script) -> None:
    async def work(transport: Transport) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            await fetch(transport, server.url)

    with Misbehaving([acts]) as server:
        with_transport(work)
        assert len(server.requests) == 1


def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "KEEPALIVE_S", 0.2)

    async def work(transport: Transport) -> None:
        await asyncio.gather(*(fetch(transport, server.url) for _ in range(5)))
        assert server.open_connections == 5
        await asyncio.sleep(0.5)
        assert server.open_connections == 0

    with Misbehaving([(response(200, "a"),)]) as server:
        with_transport(work)


def test_many_requests_at_once_take_as_many_connections_and_keep_them() -> None:
    async def work(transport: Transport) -> None:
        for _ in range(2):
            answers = await asyncio.gather(*(fetch(transport, server.url) for _ in range(50)))
            assert all(body == b"a" for _, body in answers)

    with Misbehaving([(Pause(0.2), response(200, "a"))]) as server:
        with_transport(work)
        assert server.opened == 50


def test_a_read_takes_a_deadline_and_may_be_repeated() -> None:
    async def work(transport: Transport) -> None:
        clock = asyncio.get_running_loop().time
        request = httpx2.Request("GET", server.url)
        body = (await transport.handle_async_request(request)).extensions["body"]
        for wait_s in (0.1, 0.05):
            started = clock()
            with pytest.raises(TimeoutError):
                await body.read(clock() + wait_s)
            assert wait_s - 0.01 <= clock() - started <= wait_s + 0.2
        assert await body.read(clock() + 5) == b"ok"
        assert await body.read(FOREVER) == b""

    with Misbehaving([(head(200, "content-length: 2"), Pause(0.4), b"ok")]) as server:
        with_transport(work)


def test_a_body_that_is_dropped_closes_the_connection_or_keeps_it_when_the_rest_follows() -> None:
    async def work(transport: Transport) -> None:
        for ended in (True, False):
            body = (await transport.handle_async_request(httpx2.Request("GET", server.url))).extensions["body"]
            await body.read(FOREVER)
            body.close(ended=ended)
            body.close()
            await asyncio.sleep(0.2)
        assert server.open_connections == 0

    with Misbehaving([(CHUNKED, framed(b"x"), Pause(0.05), END), (CHUNKED, framed(b"x"), Hang())]) as server:
        with_transport(work)
        assert server.opened == 1


def test_a_rest_that_does_not_follow_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "DRAIN_S", 0.1)

    async def work(transport: Transport) -> None:
        body = (await transport.handle_async_request(httpx2.Request("GET", server.url))).extensions["body"]
        await body.read(FOREVER)
        body.close(ended=True)
        await asyncio.sleep(0.3)
        assert server.open_connections == 0

    with Misbehaving([(CHUNKED, framed(b"x"), Hang())]) as server:
        with_transport(work)


def test_closing_does_not_wait_for_a_rest() -> None:
    """Nothing is left open when the loop ends right after (a warning would fail this test)."""

    async def work(transport: Transport) -> None:
        body = (await transport.handle_async_request(httpx2.Request("GET", server.url))).extensions["body"]
        await body.read(FOREVER)
        body.close(ended=True)

    with Misbehaving([(CHUNKED, framed(b"x"), Hang())]) as server:
        with_transport(work)
        assert server.wait_until_closed(0.5)
    gc.collect()


def test_an_endless_head_is_cut() -> None:
    async def work(transport: Transport) -> None:
        with pytest.raises(MalformedResponse):
            await fetch(transport, server.url)

    with Misbehaving([(b"HTTP/1.1 200 OK\r\n", Endless(b"x-name: value\r\n" * 100))]) as server:
        with_transport(work)
        assert server.sent < 16 * 1024 * 1024
        assert server.wait_until_closed()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 099 X",
        b"HTTP/3 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 2\xb00 X",
    ],
)
def test_heads_that_are_none(first: bytes) -> None:
    with pytest.raises(MalformedResponse):
        parse_head(first)


@pytest.mark.parametrize(
    "line", [b"name", b": value", b"na me: x", b"name : x", b"name: a\rb", b"name: a\nb", b"n\x00: x"]
)
def test_headers_that_are_none(line: bytes) -> None:
    with pytest.raises(MalformedResponse):
        parse_head(b"HTTP/1.1 200 OK\r\n" + line)


def test_a_head() -> None:
    assert parse_head(b"HTTP/1.1 200\r\nA: 1\r\nb:\t2 ") == (b"HTTP/1.1", 200, b"", [(b"A", b"1"), (b"b", b"2")])


@pytest.mark.parametrize("headers", [{"a": "1\r\nb: 2"}, {"a": "1\x00"}, {"a b": "1"}])
def test_a_header_that_cannot_be_sent_is_refused(headers: dict[str, str]) -> None:
    async def work(transport: Transport) -> None:
        with pytest.raises(httpx2.LocalProtocolError):
            await transport.handle_async_request(httpx2.Request("GET", server.url, headers=headers))

    with Misbehaving([()]) as server:
        with_transport(work)
        assert not server.requests


def test_what_is_sent() -> None:
    async def work(transport: Transport) -> None:
        await fetch(transport, server.url)

    with Misbehaving([(response(200, "a"),)]) as server:
        with_transport(work)
        request = server.requests[0]
        assert (request.method, request.path, request.body) == ("POST", "/v1/x", b"body")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["content-length"] == "4"


def test_a_scheme_that_is_not_spoken() -> None:
    async def work(transport: Transport) -> None:
        with pytest.raises(httpx2.UnsupportedProtocol):
            await transport.handle_async_request(httpx2.Request("GET", "ftp://127.0.0.1/x"))

    with_transport(work)


def test_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams over TLS; a certificate nobody vouches for is a connect error."""
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))

    async def work(transport: Transport) -> None:
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            await fetch(transport, server.url)
        monkeypatch.setattr(under_test, "tls_context", lambda: trusting)
        for _ in range(2):
            _, body = await fetch(transport, server.url)
            assert body == b"hello world"
        stalled = (await transport.handle_async_request(httpx2.Request("GET", server.url))).extensions["body"]
        await stalled.read(FOREVER)
        stalled.close()
        await asyncio.sleep(0.2)
        assert server.open_connections == 0

    good = FRAMINGS[3][0]
    with Misbehaving([(good,), (good,), (CHUNKED, framed(b"x"), Hang())], tls=server_tls()) as server:
        with_transport(work)
        assert len(server.requests) == 3
        assert server.requests[0].connection == server.requests[2].connection


def test_tls_to_a_server_that_speaks_none_is_a_connect_error() -> None:
    async def work(transport: Transport) -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 No\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx2.ConnectError):
            await fetch(transport, f"https://127.0.0.1:{port}")
        server.close()

    with_transport(work)


def test_a_proxy_gives_bodies_with_the_same_face() -> None:
    """The request goes to the proxy with its whole address; the body takes deadlines and closes the connection."""

    async def work() -> None:
        transport = ProxyTransport(f"http://127.0.0.1:{server.port}")
        clock = asyncio.get_running_loop().time
        answer, body = await fetch(transport, "http://far.invalid/v1")
        assert body == b"ok"
        await answer.aclose()
        stalled = (await transport.handle_async_request(httpx2.Request("GET", "http://far.invalid/"))).extensions[
            "body"
        ]
        assert await stalled.read(clock() + 5) == b"x"
        started = clock()
        with pytest.raises(TimeoutError):
            await stalled.read(clock() + 0.1)
        assert clock() - started < 0.4
        stalled.close()
        left_at = time.monotonic()
        while server.open_connections:
            await asyncio.sleep(0.01)
        assert time.monotonic() - left_at < 1.0
        await transport.aclose()

    with Misbehaving([(response(200, "ok"),), (CHUNKED, framed(b"x"), Hang())]) as server:
        asyncio.run(asyncio.wait_for(work(), 10))
        assert server.requests[0].path == "http://far.invalid/v1/x"


def test_decoders() -> None:
    import gzip
    import zlib

    assert decoder("") is None
    assert decoder("identity") is None
    for encoding, packed in (("gzip", gzip.compress(b"hello")), ("deflate", zlib.compress(b"hello"))):
        decode = decoder(encoding)
        assert decode is not None
        assert b"".join(decode(packed[at : at + 1]) for at in range(len(packed))) == b"hello"
    with pytest.raises(MalformedResponse):
        decoder("br")
