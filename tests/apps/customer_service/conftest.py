"""A service over a workspace of the test: no key, no network, and words alone, because vectors take their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.customer_service import CustomerService
from core.runtime import Runtime
from core.settings import Settings, override

NO_VECTORS = "scripted:none"  # there is no such model: search goes by words, and says so
OpenShop = Callable[..., CustomerService]


@pytest.fixture
def open_shop(settings: Settings) -> Iterator[OpenShop]:
    """``open_shop("rules: …")`` opens a service whose model follows a script; without one it quotes."""
    opened: list[CustomerService] = []

    def open_(script: str | None = None, embedding: str = NO_VECTORS) -> CustomerService:
        chat = "embedded:smollm2"
        if script is not None:
            path = Path(settings.folder) / f"script{len(opened)}.yaml"
            path.write_text(script, "utf-8")
            chat = f"scripted:{path.name}"
        opened.append(CustomerService(Runtime(override(settings, models__chat=chat, models__embedding=embedding))))
        return opened[-1]

    yield open_
    for service in opened:
        service.close()


@pytest.fixture
def shop(open_shop: OpenShop) -> CustomerService:
    """Quotes from the sample shop."""
    service = open_shop()
    service.prepare()
    return service
