"""Asking without a run of the page: only a page of this server with a token that is known and fresh gets an answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.applications import Starlette

from apps.ui import direct
from apps.ui.direct import Line
from core.errors import InputError

PAGE = {"host": "here", "origin": "http://here", "sec-fetch-site": "same-origin", "content-type": "application/json"}


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Starlette:
    monkeypatch.setattr(direct, "_served", "")
    monkeypatch.setattr(direct, "_lines", {})
    return Starlette(routes=direct.routes())


async def post(server: Starlette, body: bytes, headers: Mapping[str, str] = PAGE) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(parts, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": direct.PATH,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await server(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


def asks(line: Line, text: str = "hello") -> bytes:
    return json.dumps({"token": line.token, "text": text}).encode()


async def test_a_page_gets_its_answer_and_nothing_keeps_it(server: Starlette) -> None:
    line = Line(lambda text: {"said": text.upper()})
    assert line.renewed() == {"url": "/direct", "token": line.token}
    status, headers, body = await post(server, asks(line))
    assert (status, json.loads(body)) == (200, {"said": "HELLO"})
    assert headers["cache-control"] == "no-store"
    without = {name: value for name, value in PAGE.items() if name != "sec-fetch-site"}  # a browser without TLS
    assert (await post(server, asks(line), without))[0] == 200


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": None}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": None}, 415),
    ],
)
async def test_other_pages_get_nothing(server: Starlette, changed: dict[str, str | None], status: int) -> None:
    line = Line(lambda text: pytest.fail("it was asked"))
    line.renewed()
    headers = {name: value for name, value in {**PAGE, **changed}.items() if value is not None}
    assert (await post(server, asks(line), headers))[0] == status


@pytest.mark.parametrize("body", [b"", b"[" * 5000, b"\xff", b"[]", b'{"token": 1, "text": "x"}', b'{"text": "x"}'])
async def test_nonsense_is_refused(server: Starlette, body: bytes) -> None:
    assert (await post(server, body))[0] == 400


async def test_a_long_body_and_tokens_that_are_unknown_old_or_ended_are_refused(
    server: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(lambda text: {"said": text})
    assert (await post(server, asks(line)))[0] == 403, "never given out"
    line.renewed()
    assert (await post(server, asks(line, "x" * direct.BODY_BYTES)))[0] == 413
    assert (await post(server, b'{"token": "\\ud800", "text": "x"}'))[0] == 403
    line.until = 0.0
    assert (await post(server, asks(line)))[0] == 403
    line.renewed()
    told = asks(line)
    assert (await post(server, told))[0] == 200
    del line
    assert (await post(server, told))[0] == 403, "it ends with the session that holds it"


async def test_the_oldest_lines_end_where_there_are_too_many(
    server: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "MOST_LINES", 2)
    lines = [Line(lambda text: {}) for _ in range(3)]
    for line in lines:
        line.renewed()
    assert [(await post(server, asks(line)))[0] for line in lines] == [403, 200, 200]
    assert len(direct._lines) == 2


async def test_what_cannot_be_answered_is_left_to_the_run(server: Starlette) -> None:
    def fails(text: str) -> dict[str, Any]:
        raise InputError(reason="empty")

    line = Line(fails)
    line.renewed()
    assert (await post(server, asks(line)))[::2] == (422, b"")


async def test_one_text_at_a_time_and_of_those_that_wait_the_newest(server: Starlette) -> None:
    asked: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def answers(text: str) -> dict[str, Any]:
        asked.append(text)
        begun.set()
        assert go_on.wait(10)
        return {}

    line = Line(answers)
    line.renewed()
    first = asyncio.create_task(post(server, asks(line, "a")))
    assert await asyncio.to_thread(begun.wait, 10)
    others = [asyncio.create_task(post(server, asks(line, text))) for text in ("ab", "abc", "abcd")]
    await asyncio.sleep(0)
    go_on.set()
    assert (await first)[0] == 200
    assert [(await task)[0] for task in others] == [204, 204, 200]
    assert asked == ["a", "abcd"]
    assert line.token not in repr(line)


def test_pages_of_another_server_wait_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_served", "")
    assert Line(lambda text: {}).renewed() is None
    assert not direct.served()
    direct.routes("shop/")
    assert (Line(lambda text: {}).renewed() or {})["url"] == "/shop/direct"
