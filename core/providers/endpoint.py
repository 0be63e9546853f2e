"""A service that speaks the OpenAI wire format: its address, its key, and one SDK client per event loop.

Requests go through the official SDK's ``AsyncOpenAI`` with ``max_retries=0``; every failure leaves here as an
error of ``core.errors``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from core.errors import ConnectFailed, InvalidResponse, InvalidSetting, MissingPackage, ProviderError, TimedOut
from core.i18n import remember_secret, secret_free
from core.providers.http1 import ConnectionLost, MalformedResponse
from core.providers.refusals import refused
from core.providers.services import key_of, services
from core.providers.transport import ProxyTransport, Transport
from core.settings import Settings
from core.types import Deadlines

if TYPE_CHECKING:
    import openai

_SECURITY: Mapping[str, Any] = {"security": {"bearer_auth": True}}


class Endpoint:
    """Where requests for one service go."""

    def __init__(
        self, name: str, base_url: str, key: str, *, proxy: str | None = None, lacks: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.lacks = lacks
        self.base_url = base_url.rstrip("/")
        self.official = (urlsplit(base_url).hostname or "").endswith((".openai.com", ".openai.azure.com"))
        self._key = key.strip()
        remember_secret(self._key)
        self._proxy = proxy
        self._clients: dict[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = {}
        self._timeouts: dict[float, httpx2.Timeout] = {}
        self._lock = threading.Lock()

    async def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        model: str | None,
        deadlines: Deadlines,
        until: float,
        phase: str,
    ) -> httpx2.Response:
        """Send a request; return the response once its head is there, body unread.

        ``until`` is a time of the loop at which the deadline called ``phase`` passes.

        Raises:
            ProviderError: refused, not reachable, or a deadline passed.
        """
        import openai

        client = self._client()
        timeout = self._timeouts.get(deadlines.connect_s)
        if timeout is None:
            timeout = self._timeouts[deadlines.connect_s] = httpx2.Timeout(None, connect=deadlines.connect_s)
        options: Any = {**_SECURITY, "timeout": timeout}
        more: Any = {"cast_to": httpx2.Response, "options": options, "stream": True, "stream_cls": openai.AsyncStream}
        try:
            async with asyncio.timeout_at(until):
                if method == "GET":
                    return await client.get(path, **more)
                return await client.post(path, content=content, **more)
        except openai.APITimeoutError as error:
            raise TimedOut(
                phase="connect", after_s=deadlines.connect_s, provider=self.name, model=model or "-"
            ) from error
        except TimeoutError as error:
            after_s = deadlines.first_token_s if phase == "first_token" else deadlines.total_s
            raise TimedOut(phase=phase, after_s=after_s, provider=self.name, model=model or "-") from error
        except openai.APIStatusError as error:
            raise refused(
                error.status_code, error.body, provider=self.name, model=model, headers=error.response.headers
            ) from error
        except openai.APIConnectionError as error:
            raise self.unreachable(error.__cause__ or error, model) from error
        except httpx2.TransportError as error:  # while the body of a refusal was read
            raise self.unreachable(error, model) from error

    def unreachable(self, cause: BaseException, model: str | None) -> ProviderError:
        """The error for a request that got no answer because of ``cause``."""
        detail = cause.phrase if isinstance(cause, ConnectionLost) else secret_free(str(cause) or type(cause).__name__)
        if isinstance(cause, MalformedResponse):
            return InvalidResponse(provider=self.name, model=model, detail=detail)
        return ConnectFailed(provider=self.name, model=model, url=self.base_url, detail=detail)

    def _client(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            with self._lock:
                for other in [other for other in self._clients if other.is_closed()]:
                    del self._clients[other]
                client = self._clients[loop] = self._open_client()
        return client

    def _open_client(self) -> openai.AsyncOpenAI:
        import openai

        http = httpx2.AsyncClient(
            transport=ProxyTransport(self._proxy) if self._proxy else Transport(),
            headers={"accept-encoding": "identity"},  # a compressed stream arrives in lumps
            follow_redirects=False,  # a key goes to no other address than the one set
            trust_env=False,
            timeout=None,
        )
        absent: dict[str, Any] = {} if self.official else dict.fromkeys(
            ("OpenAI-Organization", "OpenAI-Project"), openai.Omit()
        )  # fmt: skip
        return openai.AsyncOpenAI(
            api_key=self._key, base_url=self.base_url, max_retries=0, http_client=http, default_headers=absent
        )

    async def aclose(self) -> None:
        """Close idle connections now, and those in use when their answers end."""
        here = asyncio.get_running_loop()
        with self._lock:
            clients, self._clients = self._clients, {}
        for loop, client in clients.items():
            if loop is here:
                await client.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(client.close(), loop)


def open_endpoint(engine: str, settings: Settings) -> Endpoint:
    """The endpoint of the service called ``engine``.

    Raises:
        MissingKey: the service wants a key and none is set.
        InvalidSetting: its base URL is not one.
        MissingPackage: the SDK is not installed.
    """
    row = services(settings)[engine]
    where = f"{row.url_variable} or touchstone.yaml (providers.{engine}.base_url)"
    try:
        parts = urlsplit(row.base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidSetting(
            name=f"providers.{engine}.base_url",
            value=row.base_url,
            allowed="a URL such as http://localhost:8000/v1",
            where=where,
        )
    key = key_of(row, settings)
    try:
        import openai  # noqa: F401  # the SDK takes 0.8 s to import: here, once, and not in the first answer
    except ModuleNotFoundError as error:
        raise MissingPackage(package="openai", needed_for=f"{engine}:…", install="pip install openai") from error
    return Endpoint(engine, row.base_url, key, proxy=proxy_for(row.base_url, settings.environment), lacks=row.lacks)


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name for ``url``."""
    names = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy") and value}
    parts = urlsplit(url)
    proxy = names.get(f"{parts.scheme}_proxy") or names.get("all_proxy")
    host, port = parts.hostname or "", str(parts.port or "")
    for entry in names.get("no_proxy", "").split(","):
        name, colon, only = entry.strip().lower().lstrip("*.").rpartition(":")
        if not (colon and only.isdigit()) or ":" in name:  # no port, or an IPv6 address
            name, only = f"{name}{colon}{only}".strip("[]"), ""
        if entry.strip() == "*" or (name and f".{host}".endswith(f".{name}") and only in ("", port)):
            return None
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
