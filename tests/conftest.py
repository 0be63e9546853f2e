"""Fixtures for all tests: no socket leaves the machine, no test sees the user's settings or workspace."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.runtime import Runtime
from core.settings import Settings, load_settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What all test modules have imported stays. Looking through it costs half a second each time a model is closed."""
    gc.collect()
    gc.freeze()


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RealNetworkRefused(RuntimeError):
    """A test tried to leave the machine."""


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """Refuse every connection but loopback ones, below any HTTP library."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object, _original: object = original) -> object:
            if not _is_local(address):
                raise RealNetworkRefused(f"a test tried to connect to {address}")
            return _original(self, address)  # type: ignore[operator]

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, base URL or workspace of the developer's machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("TOUCHSTONE_") or name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOUCHSTONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOUCHSTONE_LANG", "en")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty machine: embedded models, a workspace of this test alone."""
    return load_settings(tmp_path, {"TOUCHSTONE_HOME": str(tmp_path / "home"), "TOUCHSTONE_LANG": "en"})


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    with Runtime(settings) as opened:
        yield opened
