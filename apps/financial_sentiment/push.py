"""News pushed over HTTP: an ASGI application to mount in a server of your own; none is started here.

    from apps.financial_sentiment import Desk
    from apps.financial_sentiment.push import Endpoint
    from core.types import Caller

    app = Endpoint(Desk.open(), {"a long secret token": Caller(tenant="local", user="wire")})
    # uvicorn my_module:app

``POST`` a JSON object ``{"items": [{"title": …, "text": …, "source": …, "id": …, "url": …, "published": …,
"language": …}]}`` with ``Authorization: Bearer TOKEN``. Items count as seen when they arrive: a sender cannot date
them back. The same request may be sent again, it adds nothing. :meth:`Endpoint.answer` is the same without ASGI.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any

from apps.financial_sentiment.items import NewsItem
from apps.financial_sentiment.service import Desk
from apps.financial_sentiment.sources import Refused, moment, plain
from core.errors import InputError, TouchstoneError
from core.job_run import described
from core.types import Caller

BODY_LIMIT_BYTES = 2_000_000
MOST_ITEMS = 500
SOURCE = "push"  # of items that name none
LEAST_TOKEN = 16  # characters
FIELDS = ("title", "text", "source", "id", "url", "published", "language")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what goes out as JSON."""

    status: int
    body: Mapping[str, Any]


class Endpoint:
    """Takes news for the callers of ``tokens``; each token speaks for one caller.

    Raises:
        InputError: (``bad_value``) there is no token, or one is too short to be a secret.
    """

    def __init__(self, desk: Desk, tokens: Mapping[str, Caller], *, body_limit_bytes: int = BODY_LIMIT_BYTES) -> None:
        if not tokens or min(map(len, tokens)) < LEAST_TOKEN:
            raise InputError(reason="bad_value", name="token", value="…", allowed=f"{LEAST_TOKEN} …")
        self.desk, self.body_limit_bytes = desk, body_limit_bytes
        self._tokens = [(token.encode(), caller) for token, caller in tokens.items()]

    def answer(self, method: str, authorization: str, body: bytes) -> Answer:
        """What to answer to a request; ``authorization`` is the header of that name. Blocks while news is judged."""
        if method.upper() != "POST":
            return _refusal(405, InputError(reason="bad_value", name="method", value=method[:20], allowed="POST"))
        caller = self._caller(authorization)
        if caller is None:
            return _refusal(401, InputError(reason="bad_value", name="Authorization", value="…", allowed="Bearer …"))
        if len(body) > self.body_limit_bytes:
            return self._too_large(len(body))
        try:
            rows = _rows(body)
        except InputError as error:
            return _refusal(400, error)
        items, refused = [], []
        for number, row in enumerate(rows):
            try:
                items.append(_item(row))
            except InputError as error:
                refused.append(Refused(f"items[{number}]", error, SOURCE))
        try:
            self.desk.troubles.note(caller, refused)
            added = self.desk.add(items, caller)
        except TouchstoneError as error:
            return _refusal(503, error)
        told = {"added": asdict(added), "refused": [{"where": r.where, **described(r.error)} for r in refused]}
        return Answer(200 if items or not refused else 422, told)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise InputError(reason="bad_value", name="scope", value=scope["type"], allowed="http")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        authorization = headers.get("authorization", "")
        body = b""
        if scope["method"] == "POST" and self._caller(authorization):  # nobody else makes us keep anything
            found = await self._body(receive)
            if found is None:
                return
            body = found
        answer = await asyncio.to_thread(self.answer, scope["method"], authorization, body)
        await _sent(answer, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, one byte past the limit at most; ``None`` when the sender went away."""
        parts, size, more = [], 0, True
        while more and size <= self.body_limit_bytes:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            more = event.get("more_body", False)
        return b"".join(parts)[: self.body_limit_bytes + 1]

    def _caller(self, authorization: str) -> Caller | None:
        """Compares every token in a time that tells nothing about them."""
        kind, _, given = authorization.partition(" ")
        found = None
        for token, caller in self._tokens:
            if hmac.compare_digest(token, given.strip().encode()):
                found = caller
        return found if kind.lower() == "bearer" else None

    def _too_large(self, size: int) -> Answer:
        limit = self.body_limit_bytes / 1e6
        error = InputError(reason="file_too_large", name="body", size_mb=f"> {limit:g}", limit_mb=f"{limit:g}")
        return _refusal(413, error)


def _rows(body: bytes) -> list[Any]:
    try:
        told = json.loads(body)
    except ValueError as error:
        raise InputError(reason="bad_json", where="body", detail=str(error)) from error
    rows = told.get("items") if isinstance(told, dict) and set(told) == {"items"} else None
    if not isinstance(rows, list):
        raise InputError(reason="data_row", where="body", detail='{"items": […]}')
    if len(rows) > MOST_ITEMS:
        raise InputError(reason="bad_value", name="items", value=len(rows), allowed=f"0 … {MOST_ITEMS}")
    return rows


def _item(row: Any) -> NewsItem:
    if not isinstance(row, dict) or not set(row) <= set(FIELDS):
        raise InputError(reason="data_row", where="item", detail=", ".join(FIELDS))
    for name, value in row.items():
        if not isinstance(value, str) and not (
            name == "published" and not isinstance(value, bool) and isinstance(value, int | float | None)
        ):
            raise InputError(reason="bad_value", name=name, value=repr(value)[:40], allowed='"…"')
    title, text = plain(row.get("title", "")), plain(row.get("text", ""))
    if not title and not text:
        raise InputError(reason="data_row", where="item", detail="title, text")
    return NewsItem(
        title, text, row.get("source", "").strip() or SOURCE, row.get("id", "").strip(), row.get("url", "").strip(),
        moment(row.get("published")), time.time(), row.get("language", "").strip(),
    )  # fmt: skip


def _refusal(status: int, error: TouchstoneError) -> Answer:
    return Answer(status, {"error": described(error)})


async def _sent(answer: Answer, send: Send) -> None:
    body = json.dumps(answer.body, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if answer.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if answer.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
