"""What a part of a page asks the server itself, without a run of the page: a text there, data back.

A run of the page opens a :class:`Line` and gives its token to the browser. The token stands for everything else: who
asks and for what, none of which the browser can say. A line ends with the session that holds it, and when no run has
renewed it for ``FRESH_S``. Whoever serves the pages without :func:`routes` has pages that wait for runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.errors import TouchstoneError

FRESH_S = 3600.0
MOST_LINES = 2000  # beyond, the oldest end: their pages wait for runs until one renews them
BODY_BYTES = 8192
THREADS = 4  # at work for the lines of all sessions
PATH = "/direct"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_lines: dict[str, weakref.ref[Line]] = {}
_lock = threading.Lock()
_served = ""  # the path, once it is served


@dataclass(eq=False)
class Line:
    """A session's way to ask. ``answers`` is called in a thread with a text and gives what JSON can say.

    One text is answered at a time. Of those that wait meanwhile only the newest is.
    """

    answers: Callable[[str], Mapping[str, Any]] = field(repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    until: float = 0.0
    newest: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def renewed(self) -> dict[str, str] | None:
        """What the browser needs to ask, for an hour from now; ``None`` where nothing would answer."""
        if not _served:
            return None
        self.until = time.monotonic() + FRESH_S
        with _lock:
            _lines[_name(self.token)] = weakref.ref(self)
            if len(_lines) > MOST_LINES:
                alive = {name: line for name, line in _lines.items() if _fresh(line()) is not None}
                _lines.clear()
                _lines.update(list(alive.items())[-MOST_LINES:])
        return {"url": _served, "token": self.token}


def routes(base: str = "") -> list[Route]:
    """For the server of the pages. ``base`` is the path below which it serves them."""
    global _served
    _served = f"/{base.strip('/')}{PATH}" if base.strip("/") else PATH
    return [Route(_served, _asked, methods=["POST"])]


def served() -> bool:
    """Whether pages can ask without a run."""
    return bool(_served)


async def _asked(request: Request) -> Response:
    """The answer to ``{"token": …, "text": …}``; 204 where a newer text took its place."""
    if not _same_origin(request):
        return _refused(403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refused(415)
    body = await _body(request)
    if body is None:
        return _refused(413)
    match _read(body):
        case {"token": str(token), "text": str(text)}:
            pass
        case _:
            return _refused(400)
    line = _line(token)
    if line is None:
        return _refused(403)
    line.newest += 1
    mine = line.newest
    async with line.turn:
        if line.newest != mine:
            return _refused(204)
        try:
            told = await asyncio.get_running_loop().run_in_executor(_threads(), line.answers, text)
        except TouchstoneError:  # the run that follows says it, in words
            return _refused(422)
    return JSONResponse(told, headers=_HEADERS)


def _refused(status: int) -> Response:
    return Response(status_code=status, headers=_HEADERS)


def _same_origin(request: Request) -> bool:
    """Whether a page of this server asks. Browsers say where a request comes from, and no script can say otherwise."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


async def _body(request: Request) -> bytes | None:
    """``None`` where it is longer than anything a page asks."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES:
                return None
    except ClientDisconnect:  # a newer key; nobody reads what comes back
        return b""
    return body


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _line(token: str) -> Line | None:
    """Lines are kept by a digest: how long the look-up takes says nothing of the tokens that there are."""
    with _lock:
        known = _lines.get(_name(token))
    line = _fresh(known()) if known else None
    return (
        line
        if line is not None and hmac.compare_digest(line.token.encode(), token.encode("utf-8", "surrogatepass"))
        else None
    )


def _fresh(line: Line | None) -> Line | None:
    return line if line is not None and time.monotonic() < line.until else None


def _name(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "touchstone-direct")
