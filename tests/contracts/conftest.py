"""Servers for the suites, started when a subject first needs them and shared by all that do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.telemetry.ledger import Ledger
from core.workspace import Workspace
from tests.contracts.subjects import tiny_chat
from tests.servers.llama import llama_server
from tests.servers.wire import wire_server


@pytest.fixture(scope="session")
def llama_url() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.fixture(scope="session")
def tiny_url() -> Iterator[str]:
    with llama_server(tiny_chat(), context_tokens=8192) as url:
        yield url


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    workspace = Workspace.open(tmp_path_factory.mktemp("home"))
    opened = Ledger(workspace)
    yield opened
    opened.close()
    workspace.close()


@pytest.fixture(scope="session")
def wire_url() -> Iterator[str]:
    with wire_server(Path(__file__).with_name("echo.yaml")) as server:
        yield server.url
