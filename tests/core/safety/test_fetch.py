"""Only the public internet is fetched: refused before a byte is sent, checked at every hop, bounded in time and size."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from core.errors import InputError
from core.safety import fetch as module
from core.safety.fetch import Limits, fetch, is_public

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


class Listener:
    """A server on loopback that counts connections and answers what ``reply`` gives for a path."""

    def __init__(self, reply: Callable[[str], bytes | list[bytes]], pause_s: float = 0.0) -> None:
        self.reply, self.pause_s = reply, pause_s
        self.hits: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                head += piece
            path = head.split(b" ")[1].decode() if head else ""
            self.hits.append(path)
            answer = self.reply(path)
            try:
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(piece)
                    time.sleep(self.pause_s)
            except OSError:
                return  # the other side has had enough

    def close(self) -> None:
        self._server.close()


def ok(body: bytes, kind: str = "text/html", more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def moved(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(reply: Callable[[str], bytes | list[bytes]], pause_s: float = 0.0) -> Listener:
        made.append(Listener(reply, pause_s))
        return made[-1]

    yield start
    for server in made:
        server.close()


def reason(url: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        fetch(url, **options)  # type: ignore[arg-type]
    assert caught.value.text("zh") != caught.value.text("en")
    return str(caught.value.reason)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_this_machine_is_never_asked(host: str, listen: Callable[..., Listener]) -> None:
    server = listen(lambda _: ok(b"secret"))
    assert reason(f"http://{host}:{server.port}/") == "url_refused"
    time.sleep(0.05)
    assert server.hits == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("169.254.169.254", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("192.0.2.1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::", False),
        ("::ffff:169.254.169.254", False),
        ("::7f00:1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public
    if not public:
        assert reason("http://name.example/", resolver=lambda *_: [address]) == "url_refused"


def test_one_private_address_among_public_ones_is_enough() -> None:
    assert reason("http://name.example/", resolver=lambda *_: ["8.8.8.8", "10.0.0.1"]) == "url_refused"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x.example/", "gopher://x.example/", "http:///x", "http://user:pw@x.example/",
     "http://x.example:99999/", "http://x.example/a b", "http://x.example/\r\nHost: y", "//x.example/", "", "http://[::1"],
)  # fmt: skip
def test_forms_that_are_refused(url: str) -> None:
    assert reason(url, resolver=lambda *_: pytest.fail("nothing may be looked up")) == "bad_url"


def test_a_page(listen: Callable[..., Listener]) -> None:
    server = listen(lambda path: ok(b"<p>Hello</p>", "text/html; charset=utf-8") if path == "/a?b=1" else b"")
    found = fetch(f"http://127.0.0.1:{server.port}/a?b=1#part", limits=Limits(allowed=LOOPBACK))
    assert (found.data, found.media_type, found.suffix) == (b"<p>Hello</p>", "text/html", ".html")


def test_redirects_are_followed_and_each_is_checked(listen: Callable[..., Listener]) -> None:
    inner = listen(lambda _: ok(b"secret"))
    outer = listen(
        lambda path: {
            "/start": moved("/next"),
            "/next": ok(b"there", "text/plain"),
            "/evil": moved(f"http://127.0.0.2:{inner.port}/"),
            "/file": moved("file:///etc/passwd"),
            "/loop": moved("/loop"),
        }[path]
    )
    limits = Limits(allowed=LOOPBACK)
    base = f"http://127.0.0.1:{outer.port}"
    assert fetch(f"{base}/start", limits=limits).url == f"{base}/next"
    assert reason(f"{base}/evil", limits=limits) == "url_refused"
    assert reason(f"{base}/file", limits=limits) == "bad_url"
    assert reason(f"{base}/loop", limits=limits) == "bad_url"
    assert outer.hits.count("/loop") == limits.redirects + 1
    assert inner.hits == []


def test_a_name_that_changes_its_mind_is_asked_once(listen: Callable[..., Listener]) -> None:
    """DNS rebinding: checked and connected is the same address."""
    server = listen(lambda _: ok(b"inner"))
    answers = iter(["8.8.8.8", "127.0.0.1"])
    connected: list[str] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError("stopped here by the test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.socket, "create_connection", connect)
        assert reason(f"http://name.example:{server.port}/", resolver=lambda *_: [next(answers)]) == "url_failed"
    assert connected == ["8.8.8.8"]
    assert server.hits == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ok(b"x" * 2000), "url_too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 2000, "url_too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n", "url_too_large"),
        (ok(b"\x1f\x8b", more="Content-Encoding: gzip\r\n"), "url_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", "url_failed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "url_failed"),
        (b"SSH-2.0-server\r\n", "url_failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * 200_000 + b"\r\n\r\n", "url_failed"),
        (b"", "url_failed"),
    ],
)  # fmt: skip
def test_answers_that_are_refused(listen: Callable[..., Listener], answer: bytes, expected: str) -> None:
    server = listen(lambda _: answer)
    assert reason(f"http://127.0.0.1:{server.port}/", limits=Limits(bytes=1000, allowed=LOOPBACK)) == expected


def test_a_body_that_drips_ends_at_the_deadline(listen: Callable[..., Listener]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    server = listen(lambda _: [head, *[b"x"] * 100], pause_s=0.2)
    started = time.monotonic()
    assert reason(f"http://127.0.0.1:{server.port}/", limits=Limits(total_s=1.0, allowed=LOOPBACK)) == "url_failed"
    assert time.monotonic() - started < 3


def test_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert reason(f"http://127.0.0.1:{port}/", limits=Limits(allowed=LOOPBACK)) == "url_failed"
