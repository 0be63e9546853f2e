"""The openai engine against a server that behaves: what is sent, what comes back, embeddings, model lists, opening."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidResponse,
    InvalidSetting,
    MissingKey,
    ServerFailed,
    TimedOut,
    Unsupported,
)
from core.providers.endpoint import proxy_for
from core.providers.openai import list_models
from core.providers.registry import open_model
from core.settings import Settings, load_settings
from core.types import Done, Event, Options, TextDelta, Usage, user
from tests.servers.misbehaving import Hang, Misbehaving, Request, Script, error, response, sse, whole

KEY = "sk-test-canary-0123456789"


def configured(url: str, **variables: str) -> Settings:
    return load_settings(Path("/nowhere"), {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, **variables})


def ask(server: Misbehaving, options: Options | None = None, engine: str = "openai", **variables: str) -> list[Event]:
    async def call() -> list[Event]:
        model = open_model("chat", f"{engine}:m", configured(server.url, **variables))
        try:
            return [e async for e in model.stream([user("hi")], options or Options())]
        finally:
            await model.aclose()

    return asyncio.run(call())


# --- chat -------------------------------------------------------------------------------------


def test_a_stream() -> None:
    with Misbehaving([sse("Hel", "lo.")]) as server:
        *deltas, done = ask(server)
    assert deltas == [TextDelta("Hel"), TextDelta("lo.")]
    assert isinstance(done, Done)
    completion = done.completion
    assert (completion.text, completion.model, completion.provider) == ("Hello.", "m", "openai")
    assert (completion.finish_reason, completion.request_id) == ("stop", "req-1")
    assert completion.usage == Usage(3, 2)
    assert completion.timings.first_token_s is not None
    assert completion.timings.total_s is not None
    assert 0 < completion.timings.first_token_s <= completion.timings.total_s < 5
    assert completion.raw["model"] == "served"
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.json["stream"] is True


def test_one_piece() -> None:
    with Misbehaving([(whole("Hello."),)]) as server:
        events = ask(server, Options(stream=False))
    assert [type(e) for e in events] == [Done]
    assert events[0].completion.text == "Hello."
    assert events[0].completion.usage == Usage(3, 2)
    assert events[0].completion.timings.first_token_s is None
    assert "stream" not in server.requests[0].json


def test_a_base_url_with_and_without_a_slash() -> None:
    with Misbehaving([(whole(),)]) as server:
        for url in (server.url, server.url + "/"):
            ask(server, Options(stream=False), OPENAI_BASE_URL=url)
        assert {r.path for r in server.requests} == {"/v1/chat/completions"}


def test_other_services_get_no_organization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    with Misbehaving([(whole(),)]) as server:
        ask(server, Options(stream=False), "vllm", VLLM_BASE_URL=server.url)
        assert not {n for n in server.requests[0].headers if n.startswith("openai-")}


def test_through_a_proxy() -> None:
    with Misbehaving([sse("Hello.")]) as server:
        events = ask(
            server,
            OPENAI_BASE_URL="http://far.invalid/v1",
            HTTP_PROXY=f"http://127.0.0.1:{server.port}",
            NO_PROXY="near",
        )
        assert events[0] == TextDelta("Hello.")
        assert server.requests[0].path == "http://far.invalid/v1/chat/completions"
        assert server.wait_until_closed()


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://a/v1", {}, None),
        ("http://a/v1", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("https://a/v1", {"HTTP_PROXY": "p:1"}, None),
        ("https://a/v1", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://a/v1", {"ALL_PROXY": "socks5://p:1"}, "socks5://p:1"),
        ("http://localhost:1/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "localhost,127.0.0.1"}, None),
        ("http://api.a.com/v1", {"ALL_PROXY": "p:1", "no_proxy": ".a.com"}, None),
        ("http://api.a.com/v1", {"ALL_PROXY": "p:1", "no_proxy": "*.a.com"}, None),
        ("http://ba.com/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "a.com"}, "http://p:1"),
        ("http://a.com:81/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "a.com:80"}, "http://p:1"),
        ("http://a.com:81/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "a.com:81"}, None),
        ("http://[::1]:81/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "::1"}, None),
        ("http://a/v1", {"ALL_PROXY": "p:1", "NO_PROXY": "*"}, None),
        ("http://a/v1", {"ALL_PROXY": "p:1", "NO_PROXY": ""}, "http://p:1"),
    ],
)
def test_which_proxy(url: str, environment: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(url, environment) == proxy


# --- opening ----------------------------------------------------------------------------------


def test_a_missing_key() -> None:
    with pytest.raises(MissingKey):
        open_model("chat", "openai:m", load_settings(Path("/nowhere"), {}))


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://a/v1", "http://", "http://a:port/v1", "http://a:99999/v1"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(InvalidSetting) as raised:
        open_model("chat", "openai:m", configured(url))
    assert "http://localhost:8000/v1" in str(raised.value)


def test_opening_sends_nothing() -> None:
    with Misbehaving([()]) as server:
        model = open_model("chat", "openai:m", configured(server.url))
        model.stream([user("hi")])
        asyncio.run(model.aclose())
        assert server.opened == 0


def test_what_a_service_lacks_is_refused_before_it_is_asked() -> None:
    with Misbehaving([(whole(),)]) as server:
        with pytest.raises(Unsupported):
            ask(server, Options(schema={"type": "object"}), "deepseek", DEEPSEEK_BASE_URL=server.url)
        assert server.opened == 0
        ask(server, Options(top_logprobs=1, stream=False), "deepseek", DEEPSEEK_BASE_URL=server.url)


# --- models -----------------------------------------------------------------------------------


def test_a_list_of_models() -> None:
    body = json.dumps({"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "b"}]})
    with Misbehaving([(response(200, body),)]) as server:
        assert asyncio.run(list_models("openai", configured(server.url))) == ["a", "b"]
        assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")
        assert server.wait_until_closed()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ((error(401, "no"),), AuthenticationFailed),
        ((response(200, "<html>"),), InvalidResponse),
        ((response(200, "{}"),), InvalidResponse),
        ((response(200, '{"data": [{}]}'),), InvalidResponse),
        ((Hang(),), TimedOut),
    ],
)
def test_no_list_of_models(script: Script, kind: type[Exception]) -> None:
    with Misbehaving([script]) as server:
        with pytest.raises(kind):
            asyncio.run(list_models("openai", configured(server.url, TOUCHSTONE_FIRST_TOKEN_S="0.3")))
        assert server.wait_until_closed()


def test_no_list_of_models_without_a_key() -> None:
    with pytest.raises(ConfigurationError):
        asyncio.run(list_models("openai", load_settings(Path("/nowhere"), {})))


# --- embeddings -------------------------------------------------------------------------------


def embedded(server: Misbehaving, texts: list[str], model: str = "e", **variables: str) -> tuple[np.ndarray, int]:
    async def call() -> tuple[np.ndarray, int]:
        opened = open_model("embedding", f"openai:{model}", configured(server.url, **variables))
        try:
            return await opened.embed(texts, kind="document"), opened.dim
        finally:
            await opened.aclose()

    return asyncio.run(call())


def vectors(*rows: Any, shuffled: bool = False) -> bytes:
    data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
    return response(200, json.dumps({"data": data[::-1] if shuffled else data}))


def test_embeddings_are_normalized_and_in_order() -> None:
    with Misbehaving([(vectors([3.0, 4.0], [0.0, 2.0], [0.0, 0.0], shuffled=True),)]) as server:
        found, dim = embedded(server, ["a", "", "c"])
    assert dim == 2
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]], rtol=1e-6)
    assert server.requests[0].path == "/v1/embeddings"
    assert server.requests[0].json["input"] == ["a", " ", "c"]


def test_vectors_in_base64_are_understood() -> None:
    packed = base64.b64encode(np.array([3, 4], "<f4").tobytes()).decode()
    with Misbehaving([(vectors(packed),)]) as server:
        np.testing.assert_allclose(embedded(server, ["a"])[0], [[0.6, 0.8]], rtol=1e-6)


def test_many_texts_go_in_batches() -> None:
    """A text's number is the angle of its vector, so that a mix-up shows."""

    def angle(request: Request) -> tuple[bytes]:
        turns = np.array([int(text) for text in request.json["input"]]) / 100
        return (vectors(*zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True), shuffled=True),)

    with Misbehaving([angle]) as server:
        found, _ = embedded(server, [str(n) for n in range(150)])
        assert sorted(len(r.json["input"]) for r in server.requests) == [22, 64, 64]
    np.testing.assert_allclose(np.arctan2(found[:, 1], found[:, 0]), np.arange(150) / 100, atol=1e-5)


def test_no_texts_make_no_request() -> None:
    with Misbehaving([()]) as server:
        found, _ = embedded(server, [], "text-embedding-3-small")
        assert found.shape == (0, 1536)
        assert not server.requests


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"data": []}', b'{"data": [{"embedding": []}]}', b'{"data": [{"embedding": "!"}]}', b'{"data": [{"embedding": [NaN]}]}', b'{"data": [{"embedding": [1], "index": 5}]}', b'{"data": [{"embedding": [[1]]}]}'],
)  # fmt: skip
def test_embeddings_of_the_wrong_form(body: bytes) -> None:
    with Misbehaving([(response(200, body),)]) as server:
        with pytest.raises(InvalidResponse):
            embedded(server, ["a"])
        assert server.wait_until_closed()


def test_embeddings_are_tried_again() -> None:
    with Misbehaving([(error(503, "x"),), (vectors([1.0, 0.0]),)]) as server:
        assert embedded(server, ["a"])[0].shape == (1, 2)
        assert len(server.requests) == 2
    with Misbehaving([(error(500, "x"),)]) as server:
        with pytest.raises(ServerFailed):
            embedded(server, [str(n) for n in range(200)], TOUCHSTONE_ATTEMPTS="1")
        assert server.wait_until_closed()
