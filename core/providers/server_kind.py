"""Which program answers behind an OpenAI-compatible address: vLLM, SGLang, llama.cpp or Ollama, and its version.

Told by ``owned_by`` in the list of models; the version is asked for at the place each program has for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import ProviderError
from core.providers.endpoint import open_endpoint
from core.providers.reply import Reply
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class ServerKind:
    """``version`` is ``None`` where the server did not say it."""

    label: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.label} {self.version}" if self.version else self.label


# owned_by -> label, paths beside the API that tell the version, the field that holds it
_KINDS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "vllm": ("vLLM", ("/version",), "version"),
    "sglang": ("SGLang", ("/server_info", "/get_server_info"), "version"),
    "llamacpp": ("llama.cpp", ("/props",), "build_info"),
    "library": ("Ollama", ("/api/version",), "version"),
}


async def server_kind(engine: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> ServerKind | None:
    """The program that sent ``rows``, the list of models of the service ``engine``; ``None``: not one of those known."""
    owner = next((str(row.get("owned_by")).lower() for row in rows), "")
    if owner not in _KINDS:
        return None
    label, paths, field = _KINDS[owner]
    for path in paths:
        try:
            said = (await _get(engine, path, settings)).get(field)
        except (ProviderError, AttributeError):  # not at this place: what it is, is known all the same
            continue
        if said:
            return ServerKind(label, str(said))
    return ServerKind(label)


async def _get(engine: str, path: str, settings: Settings) -> Any:
    """The JSON at ``path`` of the server's root, which is the base URL without ``/v1``."""
    endpoint, deadlines = open_endpoint(engine, settings), settings.deadlines
    until = asyncio.get_running_loop().time() + deadlines.first_token_s
    root = endpoint.base_url.removesuffix("/v1")
    try:
        response = await endpoint.send(
            "GET", f"{root}{path}", model=None, deadlines=deadlines, until=until, phase="first_token"
        )
        reply = Reply(endpoint, None, deadlines, response)
        try:
            return await reply.whole(until, "first_token")
        finally:
            reply.close()
    finally:
        await endpoint.aclose()
