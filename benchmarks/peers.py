"""The clients that are compared, each as the same four functions: ask and stream, asynchronous and blocking.

Each is used as its own documentation shows: one client object, made once, kept for all calls. ``raw`` is httpx2
with the least a caller must do by hand: post, read lines, parse each chunk, take the text.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUESTION = "What does shipping cost?"
RAW, OPENAI, LANGCHAIN, LITELLM = "raw httpx2", "openai SDK", "langchain-openai", "litellm"
ENGINE, STACK = "Touchstone engine", "Touchstone whole stack"


async def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Peer:
    """A client; ``model`` is ``bench`` or ``paced``. ``close_async`` is awaited on the loop that was used."""

    name: str
    ask: Callable[[], str]
    ask_async: Callable[[], Awaitable[str]]
    stream: Callable[[str], Iterator[str]]
    stream_async: Callable[[str], AsyncIterator[str]]
    close_async: Callable[[], Awaitable[object]] = _nothing


@contextmanager
def peers(
    base_url: str, names: tuple[str, ...] = (RAW, OPENAI, LANGCHAIN, LITELLM, ENGINE, STACK)
) -> Iterator[dict[str, Peer]]:
    """Open the clients of ``names``; those whose package is not installed are left out."""
    makers = {RAW: _raw, OPENAI: _openai, LANGCHAIN: _langchain, LITELLM: _litellm, ENGINE: _engine, STACK: _stack}
    packages = {LANGCHAIN: "langchain_openai", LITELLM: "litellm"}
    with ExitStack() as stack:
        yield {n: makers[n](base_url, stack) for n in names if importlib.util.find_spec(packages.get(n, "json"))}


async def close(clients: Mapping[str, Peer]) -> None:
    """Close what the asynchronous functions opened, on the loop they ran on."""
    for client in clients.values():
        await client.close_async()


def _body(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body


def _text_of(line: str) -> str:
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    choices = json.loads(line[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def _raw(base_url: str, stack: ExitStack) -> Peer:
    import httpx2

    url, headers = f"{base_url}/chat/completions", {"authorization": "Bearer bench"}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = stack.enter_context(httpx2.Client(headers=headers, limits=limits, timeout=60))
    client_async = httpx2.AsyncClient(headers=headers, limits=limits, timeout=60)

    def ask() -> str:
        return client.post(url, json=_body("bench", False)).json()["choices"][0]["message"]["content"]

    async def ask_async() -> str:
        response = await client_async.post(url, json=_body("bench", False))
        return response.json()["choices"][0]["message"]["content"]

    def stream(model: str) -> Iterator[str]:
        with client.stream("POST", url, json=_body(model, True)) as response:
            for line in response.iter_lines():
                if text := _text_of(line):
                    yield text

    async def stream_async(model: str) -> AsyncIterator[str]:
        async with client_async.stream("POST", url, json=_body(model, True)) as response:
            async for line in response.aiter_lines():
                if text := _text_of(line):
                    yield text

    return Peer(RAW, ask, ask_async, stream, stream_async, client_async.aclose)


def _openai(base_url: str, stack: ExitStack) -> Peer:
    import openai

    client = stack.enter_context(openai.OpenAI(base_url=base_url, api_key="bench"))
    client_async = openai.AsyncOpenAI(base_url=base_url, api_key="bench")
    messages: Any = _body("bench", False)["messages"]
    usage: Any = {"include_usage": True}

    def ask() -> str:
        return client.chat.completions.create(model="bench", messages=messages).choices[0].message.content or ""

    async def ask_async() -> str:
        completion = await client_async.chat.completions.create(model="bench", messages=messages)
        return completion.choices[0].message.content or ""

    def stream(model: str) -> Iterator[str]:
        chunks = client.chat.completions.create(model=model, messages=messages, stream=True, stream_options=usage)
        for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text

    async def stream_async(model: str) -> AsyncIterator[str]:
        chunks = await client_async.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options=usage
        )
        async for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text

    return Peer(OPENAI, ask, ask_async, stream, stream_async, client_async.close)


def _langchain(base_url: str, stack: ExitStack) -> Peer:
    from langchain_openai import ChatOpenAI

    models = {
        name: ChatOpenAI(model=name, base_url=base_url, api_key=lambda: "bench", stream_usage=True)
        for name in ("bench", "paced")
    }
    model = models["bench"]

    def stream(name: str) -> Iterator[str]:
        for chunk in models[name].stream(QUESTION):
            if text := str(chunk.text):
                yield text

    async def stream_async(name: str) -> AsyncIterator[str]:
        async for chunk in models[name].astream(QUESTION):
            if text := str(chunk.text):
                yield text

    async def ask_async() -> str:
        return str((await model.ainvoke(QUESTION)).text)

    return Peer(LANGCHAIN, lambda: str(model.invoke(QUESTION).text), ask_async, stream, stream_async)


def _litellm(base_url: str, stack: ExitStack) -> Peer:
    import litellm

    def asked(model: str) -> dict[str, Any]:
        return {
            "model": f"openai/{model}",
            "messages": _body(model, False)["messages"],
            "api_base": base_url,
            "api_key": "bench",
        }

    def ask() -> str:
        return litellm.completion(**asked("bench")).choices[0].message.content

    async def ask_async() -> str:
        return (await litellm.acompletion(**asked("bench"))).choices[0].message.content

    def stream(model: str) -> Iterator[str]:
        for chunk in litellm.completion(**asked(model), stream=True):
            if text := chunk.choices[0].delta.content:
                yield text

    async def stream_async(model: str) -> AsyncIterator[str]:
        async for chunk in await litellm.acompletion(**asked(model), stream=True):
            if text := chunk.choices[0].delta.content:
                yield text

    return Peer(LITELLM, ask, ask_async, stream, stream_async)


def _engine(base_url: str, stack: ExitStack) -> Peer:
    """The engine alone: no retries, no ledger."""

    def bare(runtime: Any, model: str) -> Any:
        found = runtime.chat(f"openai:{model}")
        while hasattr(found, "model"):
            found = found.model
        return found

    return _touchstone(ENGINE, base_url, stack, bare)


def _stack(base_url: str, stack: ExitStack) -> Peer:
    """As an app gets it: the runtime's model, with retries and the ledger on disk."""
    return _touchstone(STACK, base_url, stack, lambda runtime, model: runtime.chat(f"openai:{model}"))


def _touchstone(name: str, base_url: str, stack: ExitStack, model_of: Callable[[Any, str], Any]) -> Peer:
    from core import Runtime, load_settings
    from core.providers.complete import complete
    from core.providers.sync import sync
    from core.types import TextDelta, user

    home = stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone-bench-", ignore_cleanup_errors=True))
    settings = load_settings(
        Path(home), {"TOUCHSTONE_HOME": home, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "bench"}
    )
    blocking = stack.enter_context(Runtime(settings))
    awaited = stack.enter_context(Runtime(settings))
    faces = {model: sync(model_of(blocking, model)) for model in ("bench", "paced")}
    models = {model: model_of(awaited, model) for model in ("bench", "paced")}
    face, asked = faces["bench"], models["bench"]
    messages = (user(QUESTION),)

    async def ask_async() -> str:
        return (await complete(asked, messages)).text

    async def stream_async(model: str) -> AsyncIterator[str]:
        async for event in models[model].stream(messages):
            if isinstance(event, TextDelta):
                yield event.text

    async def close_async() -> None:
        for model in models.values():
            await model.aclose()

    def ask() -> str:
        return face.complete(messages).text

    return Peer(name, ask, ask_async, lambda model: faces[model].text(messages), stream_async, close_async)
