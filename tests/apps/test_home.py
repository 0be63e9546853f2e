"""The home page in both languages, its facts, and how the language is chosen."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from apps import catalog
from apps.overview import overview
from apps.ui import health, session
from core.errors import ConnectFailed
from core.runtime import Runtime
from core.settings import ROLES
from core.telemetry.ledger import Call
from core.types import LOCAL, Caller
from tests.apps.conftest import Open, words


def when_looked_at(at: AppTest) -> AppTest:
    """The page after the background looks at the models have ended."""
    runtime = session.runtime()
    health.monitor(runtime).settle(runtime, ROLES, within_s=10)
    return at.run()


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("zh", ("试金石", "每句都有出处", "智能客服", "当前模型", "可用", "工作区", "今日模型调用", "选择并测试模型")),
        ("en", ("Touchstone", "each with its source", "Customer service", "Models in use", "ready", "Workspace")),
    ],
)
def test_home_in_both_languages(open_page: Open, language: str, expected: tuple[str, ...]) -> None:
    at = when_looked_at(open_page(language=language))
    assert not at.exception
    shown = words(at)
    assert [word for word in expected if word not in shown] == []
    assert "scripted:demo" in shown
    assert [link.page for link in at.get("page_link")], "a tile leads to its app"


def test_home_shows_only_apps_that_exist() -> None:
    assert [app.id for app in catalog.installed()] == ["support", "search", "sentiment", "recommend"]
    assert all(app.path.is_file() for app in catalog.installed())


def test_a_model_that_cannot_be_opened_shows_as_not_available(open_page: Open) -> None:
    at = open_page(TOUCHSTONE_CHAT="gguf:/nowhere/model.gguf")
    assert not at.exception
    assert "not available" in words(when_looked_at(at))
    badge = next(m for m in at.markdown if m.help)
    assert "/nowhere/model.gguf" in badge.help.replace("\\", "")


# --- language ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("locale", "title"), [("zh-CN", "试金石"), ("de-DE", "Touchstone")])
def test_the_browser_decides_when_nothing_else_does(open_page: Open, locale: str, title: str) -> None:
    assert open_page(language=None, locale=locale).title[0].value == title


def test_the_address_wins_over_the_browser_and_a_choice_is_remembered(open_page: Open) -> None:
    at = open_page(language="zh")
    assert at.title[0].value == "试金石"
    at.get("button_group")[0].set_value("en").run()
    assert at.title[0].value == "Touchstone"
    assert at.query_params["lang"] == "en"
    later = open_page(language=None, locale="zh-CN")
    assert later.title[0].value == "Touchstone"


def test_a_choice_from_elsewhere_without_login_is_nobody_elses(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(streamlit.context), "ip_address", "192.0.2.7")
    at = open_page(language=None, locale="zh-CN")
    at.get("button_group")[0].set_value("en").run()
    assert at.title[0].value == "Touchstone"
    assert open_page(language=None, locale="zh-CN").title[0].value == "试金石"


def test_a_preference_belongs_to_one_person(runtime: Runtime) -> None:
    one, other = Caller(user="one"), Caller(user="other")
    session.save_preference(runtime.workspace, one, "language", "en")
    session.save_preference(runtime.workspace, one, "language", "zh")
    assert session.preference(runtime.workspace, one, "language") == "zh"
    assert session.preference(runtime.workspace, other, "language") is None


# --- who is asking ----------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "expected"), [("zh", "请先登录"), ("en", "Log in to go on")])
def test_with_a_login_provider_nothing_shows_before_the_login(open_page: Open, language: str, expected: str) -> None:
    for page in (None, "views/models.py"):
        at = open_page(page, language, user={"is_logged_in": False})
        assert not at.exception
        assert expected in words(at)
        assert len(at.button) == 1
        assert not at.metric
        assert not at.selectbox


def test_a_person_who_logged_in_sees_no_way_to_what_is_not_theirs(open_page: Open) -> None:
    at = open_page(user={"is_logged_in": True, "email": "a@example.com"})
    assert not at.exception
    assert at.metric
    assert "Choose and test models" not in words(at)
    assert "Log out" in words(at)


# --- facts ------------------------------------------------------------------------------------


def call(at: float, tenant: str = "local", tokens: int | None = 10) -> Call:
    return Call(at, "t", tenant, "local", "chat", "scripted", "demo", 0.1, input_tokens=tokens, output_tokens=tokens)


def test_facts_count_today_and_only_this_tenant(runtime: Runtime) -> None:
    noon = datetime(2026, 5, 17, 12).timestamp()
    for made in (call(noon), call(noon - 3600), call(noon, tokens=None), call(noon - 86400), call(noon, "elsewhere")):
        runtime.ledger.record(made)
    assert runtime.ledger.flush()
    seen = overview(runtime.workspace, LOCAL, now=noon + 60)
    assert (seen.calls_today, seen.input_tokens_today, seen.output_tokens_today) == (3, 20, 20)


def test_unknown_tokens_are_not_zero(runtime: Runtime) -> None:
    seen = overview(runtime.workspace, LOCAL)
    assert (seen.documents, seen.conversations, seen.calls_today) == (0, 0, 0)
    assert seen.input_tokens_today is None


def test_conversations_are_the_callers_own(runtime: Runtime) -> None:
    with runtime.workspace.write() as db:
        for number, user in enumerate(("local", "local", "someone")):
            db.execute(
                "INSERT INTO conversations (id, app, tenant, user, title, created_at, updated_at) "
                "VALUES (?, 'customer_service', 'local', ?, '', 0, 0)",
                (str(number), user),
            )
    assert overview(runtime.workspace, LOCAL).conversations == 2


# --- health -----------------------------------------------------------------------------------


def seen_of(monitor: health.Monitor, runtime: Runtime, role: str = "chat") -> health.Health:
    end = time.monotonic() + 5
    while not (seen := monitor.of(runtime, role)).looked_at and time.monotonic() < end:
        time.sleep(0.01)
    return seen


def test_health_is_looked_up_once_and_in_the_background(runtime: Runtime) -> None:
    looks: list[str] = []

    def slow(_: Runtime, role: str) -> None:
        looks.append(role)
        time.sleep(0.1)

    monitor = health.Monitor(slow)
    started = time.perf_counter()
    assert {monitor.of(runtime, "chat").status for _ in range(20)} == {"unknown"}
    assert time.perf_counter() - started < 0.1
    assert seen_of(monitor, runtime).status == "ok"
    assert looks == ["chat"]


def test_a_failure_says_why_and_new_settings_are_looked_at_anew(runtime: Runtime) -> None:
    def unreachable(_: Runtime, role: str) -> None:
        raise ConnectFailed(provider="x", url="http://127.0.0.1:1", detail="refused")

    monitor = health.Monitor(unreachable)
    seen = seen_of(monitor, runtime)
    assert seen.status == "failed"
    assert isinstance(seen.error, ConnectFailed)
    runtime.reload(runtime.settings.with_values(TOUCHSTONE_CHAT="scripted:demo"))
    assert monitor.of(runtime, "chat") == health.Health("scripted:demo", "unknown")
    assert seen_of(monitor, runtime).model == "scripted:demo"


def test_a_mistake_in_a_look_claims_nothing(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Runtime, role: str) -> None:
        raise RuntimeError("bug")

    assert seen_of(health.Monitor(broken), runtime).status == "unknown"
    assert "bug" in caplog.text
