"""Fetching a page of the public internet, and nothing else.

A URL that somebody gives can point into the own network: to this machine, a router, a cloud's metadata service. So
the name is looked up once, every address it has must be public, and the connection goes to exactly that address
(a name that changes its mind between check and connection changes nothing). Each redirect is checked the same way.
Time and size are limited, compressed bodies are not asked for, and proxies are not used.

Source: OWASP, "Server-Side Request Forgery Prevention"; ranges are those of :mod:`ipaddress` (IANA registries),
with the IPv4 address that NAT64, 6to4 and mapped IPv6 addresses carry checked too.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from core.errors import InputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 64 * 1024
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "text/plain": ".txt",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a fetch may take. ``allowed`` networks may be reached though they are not public."""

    total_s: float = 30.0
    bytes: int = 50 * 2**20
    redirects: int = 5
    allowed: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """``url`` is where it was found in the end; ``suffix`` is that of a file with such content (``.html``)."""

    url: str
    data: bytes
    media_type: str
    suffix: str


def resolve(name: str, port: int) -> Sequence[str]:
    """All addresses of a host name, or of an address in any notation."""
    return [str(row[4][0]) for row in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]


def fetch(url: str, *, limits: Limits = Limits(), resolver: Resolve = resolve) -> Fetched:  # frozen
    """Fetch ``url``; blocks.

    Raises:
        InputError: bad_url (not http or https, a user name in it, too many redirects), url_refused (an address that
            is not public; no byte was sent), url_failed (no answer, an error status, too slow), url_too_large.
    """
    deadline = time.monotonic() + limits.total_s
    current = url
    for _ in range(limits.redirects + 1):
        parts = _checked(current)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = _public(current, parts.hostname or "", port, limits, resolver)
        try:
            answer = _Answer(parts, address, port, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise InputError(reason="url_failed", url=current, detail=f"{type(error).__name__}: {error}") from error
        with answer:
            if answer.status in _REDIRECTS and answer.location:
                current = urljoin(current, answer.location)
                continue
            if answer.status != 200:
                raise InputError(reason="url_failed", url=current, detail=f"status {answer.status}")
            try:
                data = answer.read(limits.bytes, deadline)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise InputError(reason="url_failed", url=current, detail=f"{type(error).__name__}: {error}") from error
            if data is None:
                raise InputError(reason="url_too_large", url=current, limit_mb=round(limits.bytes / 2**20, 1))
        return Fetched(current, data, answer.media_type, _SUFFIXES.get(answer.media_type, _suffix_of(parts)))
    raise InputError(reason="bad_url", url=url, detail=f"more than {limits.redirects} redirects")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(reason="bad_url", url=url, detail=str(error)) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(reason="bad_url", url=url, detail="http:// or https:// and a host are needed")
    if parts.username is not None or parts.password is not None or port == 0:
        raise InputError(reason="bad_url", url=url, detail="a user name, a password or port 0 is not allowed")
    if any(not "!" <= character <= "~" for character in url):
        raise InputError(reason="bad_url", url=url, detail="spaces, controls and letters outside ASCII must be encoded")
    return parts


def _public(url: str, name: str, port: int, limits: Limits, resolver: Resolve) -> str:
    """The one address to connect to. A name with any address that is not public is refused."""
    try:
        found = list(resolver(name, port))
    except (OSError, UnicodeError) as error:
        raise InputError(reason="url_failed", url=url, detail=f"{name}: {error}") from error
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not is_public(address) and not any(address in network for network in limits.allowed):
            raise InputError(reason="url_refused", url=url, address=text)
    if not found:
        raise InputError(reason="url_failed", url=url, detail=f"{name} has no address")
    return found[0]


def is_public(address: Address) -> bool:
    """Whether ``address`` is one of the public internet, with what it carries inside.

    >>> [is_public(ipaddress.ip_address(a)) for a in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe")]
    [True, False, False, False]
    """
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        carried = getattr(address, "ipv4_mapped", None)
        if carried is None or not is_public(carried):
            return False
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(address in network for network in _NAT64) or address.packed[:12] == bytes(12):
            inside.append(ipaddress.IPv4Address(address.packed[-4:]))
        return all(is_public(carried) for carried in inside if carried is not None)
    return True


class _Answer:
    """One request to one address, up to the head of its answer."""

    def __init__(self, parts: SplitResult, address: str, port: int, deadline: float) -> None:
        name = parts.hostname or ""
        self._socket: socket.socket = socket.create_connection((address, port), timeout=_left(deadline))
        try:
            if parts.scheme == "https":
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=name)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            shown = f"[{name}]" if ":" in name else name
            host = shown if port in (80, 443) else f"{shown}:{port}"
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(
                f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: touchstone\r\nAccept: */*\r\n"
                "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode("ascii")
            )
            self._response = http.client.HTTPResponse(_Slow(self._socket, deadline), method="GET")  # type: ignore[arg-type]
            self._response.begin()
        except BaseException:
            self._socket.close()
            raise
        self.status = self._response.status
        self.location = self._response.getheader("Location")
        self.media_type = (self._response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self._encoding = (self._response.getheader("Content-Encoding") or "identity").lower()

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._socket.close()

    def read(self, most: int, deadline: float) -> bytes | None:
        """The body; ``None`` when it is larger than ``most``."""
        if self._encoding != "identity":
            raise ValueError(f"Content-Encoding {self._encoding} was not asked for")
        if (self._response.length or 0) > most:
            return None
        body = bytearray()
        while chunk := self._response.read(_CHUNK):
            body += chunk
            if len(body) > most:
                return None
            _left(deadline)
        if self._response.length:
            raise ValueError("the body ends too early")
        return bytes(body)


class _Slow(io.RawIOBase):
    """A socket to read from, each read of which ends at the deadline, however slowly bytes come."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = connection, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _CHUNK)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


def _suffix_of(parts: SplitResult) -> str:
    leaf = parts.path.rsplit("/", 1)[-1]
    return f".{leaf.rsplit('.', 1)[1].lower()}" if "." in leaf else ".txt"
