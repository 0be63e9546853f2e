"""Pages in a test: the real entry over a workspace of the test, with models that need nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit
import typer.testing
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from typer.main import get_command

from apps.ui import session
from apps.ui.inert import JOINER
from apps.ui.launch import ENTRY

Open = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def _components_are_looked_for_once() -> Iterator[None]:
    """Each ``AppTest`` reads the metadata of every installed package for components: .36 s of a page's test."""
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Typer's runner builds the tree of all commands for each call, as a process does: a tenth of a second of a command's test."""
    patch = pytest.MonkeyPatch()
    patch.setattr(typer.testing, "_get_command", cache(get_command))
    yield
    patch.undo()


@pytest.fixture
def open_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """``open_page("views/models.py", "zh", TOUCHSTONE_CHAT="scripted:demo")`` runs a page and returns it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_CHAT", "scripted:demo")
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    monkeypatch.delenv("TOUCHSTONE_LANG")
    monkeypatch.setattr(type(streamlit.context), "ip_address", None)  # a browser at this machine
    _forget()

    def run(
        page: str | None = None,
        language: str | None = "en",
        locale: str = "en-US",
        user: dict[str, object] | None = None,
        **variables: str | None,
    ) -> AppTest:
        for name, value in variables.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        at = AppTest.from_file(str(ENTRY), default_timeout=60)
        if language:
            at.query_params["lang"] = language
        at.context = {"locale": locale}
        if user is not None:
            at.user = user
        at.run()
        return at.switch_page(page).run() if page else at

    yield run
    for thread in threading.enumerate():
        if thread.name == "touchstone-health":
            thread.join(10)
    session.runtime().close()
    _forget()


def _forget() -> None:
    session.runtime.clear()
    session.login_configured.cache_clear()


def words(at: AppTest) -> str:
    """All the text a page shows, in one string, without the invisible joiners."""
    kinds = ("title", "markdown", "caption", "error", "warning", "info", "success", "metric", "button", "text_input")
    kinds += ("selectbox", "button_group", "toast", "expander", "page_link", "form_submit_button")
    shown: dict[str, None] = {}
    for kind in kinds:
        for element in at.get(kind):
            for name in ("label", "value", "body", "help", "placeholder"):
                shown[str(getattr(element, name, "") or "")] = None
            shown.update(dict.fromkeys(str(option) for option in getattr(element, "options", [])))
    for element in at.get("bidi_component"):
        shown.update(dict.fromkeys(_texts(json.loads(element.proto.json or "null"))))
    return "\n".join(shown).replace(JOINER, "").replace("\\", "")


def _texts(told: object) -> list[str]:
    """The texts in data of a component."""
    if isinstance(told, dict | list):
        parts = told.values() if isinstance(told, dict) else told
        return [text for part in parts for text in _texts(part)]
    return [told] if isinstance(told, str) else []
