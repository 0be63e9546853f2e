"""The bytes of HTTP/1.1: heads, requests, where a body ends, and how it was packed.

Nothing here knows of sockets; :mod:`core.providers.transport` does.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import httpx2

from core.i18n import Phrase, secret_free

MAX_HEAD_BYTES = 64 * 1024
MOST_UNPACKED_BYTES = 16 * 1024 * 1024  # that one packed piece may become
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]")


class ConnectionLost(httpx2.RemoteProtocolError):
    """The connection ended before the response did; ``phrase`` says how."""

    def __init__(self, key: str, **params: Any) -> None:
        self.phrase = Phrase(key, **params)
        super().__init__(str(self.phrase))


class ConnectionEnded(ConnectionLost):
    """The server closed the connection before the first byte of an answer."""


class MalformedResponse(ConnectionLost):
    """The server does not speak HTTP as agreed."""


class ShortBody(MalformedResponse):
    """The server closed the connection before the end of the body it announced."""


class Sink(Protocol):
    """Where the pieces of a body go."""

    def put(self, data: bytes) -> None: ...


class Framing:
    """Finds the end of a body. ``body`` is ``None`` once nobody reads it."""

    def __init__(self, body: Sink) -> None:
        self.body: Sink | None = body

    def eat(self, data: bytes) -> bytes | None:
        """Pass ``data`` to the body; ``None`` while more must come, else the bytes behind its end."""
        raise NotImplementedError


class Counted(Framing):
    """A body of as many bytes as the head announced."""

    def __init__(self, length: int, body: Sink) -> None:
        super().__init__(body)
        self.left = length

    def eat(self, data: bytes) -> bytes | None:
        piece = data[: self.left]
        self.left -= len(piece)
        if piece and self.body is not None:
            self.body.put(piece)
        return None if self.left else data[len(piece) :]


class UntilClose(Framing):
    """A body that ends with the connection."""

    def eat(self, data: bytes) -> bytes | None:
        if data and self.body is not None:
            self.body.put(data)
        return None


class Chunked(Framing):
    """A body in chunks (RFC 9112, section 7.1), in any split."""

    def __init__(self, body: Sink) -> None:
        super().__init__(body)
        self._left = 0  # bytes of the current chunk, its line end included
        self._line = b""  # the part of a line that has come
        self._trailer = False

    def eat(self, data: bytes) -> bytes | None:
        pieces: list[bytes] = []
        try:
            return self._cut(data, pieces)
        finally:  # what came before a broken chunk is good
            if pieces and self.body is not None:
                self.body.put(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _cut(self, data: bytes, pieces: list[bytes]) -> bytes | None:
        at, size = 0, len(data)
        while at < size:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                at += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
            elif self._left:  # CR LF after the chunk
                end = data[at : at + self._left]
                if not b"\r\n"[2 - self._left :].startswith(end):
                    raise MalformedResponse("wire.not_chunked", begins=shown(data[at:]))
                at += len(end)
                self._left -= len(end)
            else:
                stop = data.find(b"\n", at)
                if stop < 0:
                    self._line += data[at:]
                    if len(self._line) > MAX_HEAD_BYTES:
                        raise MalformedResponse("wire.not_chunked", begins=shown(self._line))
                    return None
                line = (self._line + data[at:stop]).removesuffix(b"\r")
                self._line = b""
                at = stop + 1
                if not self._trailer:
                    self._left = _chunk_size(line)
                    self._trailer = self._left == 0
                    if self._left:
                        self._left += 2
                elif not line:
                    return data[at:]
        return None


def shown(data: bytes | bytearray) -> str:
    return secret_free(bytes(data[:80]).decode("utf-8", "replace"))


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise MalformedResponse("wire.not_chunked", begins=shown(line))
    return int(digits, 16)


def content_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise MalformedResponse("wire.not_http", begins=shown(value))
    return int(value)


def parse_head(head: bytes) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]:
    """``(version, status, reason, headers)`` of a response head without its empty line.

    Raises:
        MalformedResponse: not an HTTP/1 head.
    """
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    code, _, reason = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(code) != 3 or not code.isdigit() or code[0] == 0x30:
        raise MalformedResponse("wire.not_http", begins=shown(first))
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise MalformedResponse("wire.not_http", begins=shown(line))
        headers.append((name, value.strip(b" \t")))
    return version, int(code), reason, headers


def request_bytes(request: httpx2.Request, content: bytes) -> bytes:
    lines = [request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"]
    for name, value in request.headers.raw:
        if not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise httpx2.LocalProtocolError(f"not a header that can be sent: {name!r}")
        lines.append(name + b": " + value)
    return b"\r\n".join((*lines, b"", content))


def decoder(encoding: str) -> Callable[[bytes], bytes] | None:
    """A function that undoes ``Content-Encoding`` piece by piece; ``None`` for a plain body.

    No compression is asked for, but some gateways send it all the same. A piece that would grow beyond
    ``MOST_UNPACKED_BYTES`` is refused.

    Raises:
        MalformedResponse: an encoding that is not known, or bytes that are not in it.
    """
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise MalformedResponse("wire.encoding", encoding=encoding[:40])
    unpack = zlib.decompressobj(47)  # gzip and zlib, told apart by their first bytes

    def decode(data: bytes) -> bytes:
        try:
            plain = unpack.decompress(data, MOST_UNPACKED_BYTES)
        except zlib.error as error:
            raise MalformedResponse("wire.not_packed", encoding=encoding, begins=shown(data)) from error
        if unpack.unconsumed_tail:
            raise MalformedResponse("wire.bomb")
        return plain

    return decode
