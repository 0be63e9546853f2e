"""The Models page: choose, test, use, keep; keys stay hidden; errors say what to do and change nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps import choices, trial
from apps.ui import keys, session
from core.errors import MissingFile, UnknownName
from core.providers.services import services
from core.runtime import Runtime
from tests.apps.conftest import Open, words

PAGE = "views/models.py"
KEY = "sk-canary-0123456789abcdef"


class Server(BaseHTTPRequestHandler):
    """A loopback service in the OpenAI wire format that wants one key."""

    def do_GET(self) -> None:
        if self._allowed():
            self._reply({"object": "list", "data": [{"id": "small-model"}, {"id": "large-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        base = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
        for piece, reason in (("I am ", None), ("a **test** model.", None), ("", "stop")):
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": reason}
            self._chunk({**base, "choices": [choice]})
        self._chunk({**base, "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self._reply({"error": {"message": f"Incorrect API key: {self.headers.get('Authorization')}"}}, 401)
        return False

    def _reply(self, data: object, status: int = 200) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _chunk(self, data: object) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The service's address; a settings file names its models, since a test cannot type into a list."""
    (tmp_path / "touchstone.yaml").write_text("providers: {openai: {models: [small-model, medium-model]}}")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/v1"
    listening.shutdown()
    listening.server_close()
    thread.join()


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def choose(at: AppTest, provider: str, role: str = "chat") -> AppTest:
    if at.get("button_group")[1].value != role:
        at.get("button_group")[1].set_value(role).run()
    return at.selectbox(key=f"models_provider_{role}").select(provider).run()


def fill(at: AppTest, url: str, key: str, model: str = "small-model") -> AppTest:
    """OpenAI's row, pointed at the test's server."""
    choose(at, "openai")
    at.text_input(key="models_url_openai").set_value(url)
    at.text_input(key=keys.field("OPENAI_API_KEY")).set_value(key)
    at.selectbox(key="models_model_chat_openai").set_value(model)
    return at


# --- what the page shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "zh",
            (
                "模型",
                "用途",
                "提供方",
                "内置模型（无需密钥，可离线）",
                "DeepSeek 深度求索",
                "测试",
                "使用并保存",
                "当前模型",
            ),
        ),
        (
            "en",
            (
                "Models",
                "Role",
                "Provider",
                "Built in (no key, offline)",
                "Ollama",
                "Test",
                "Use and save",
                "Models in use",
            ),
        ),
    ],
)
def test_the_page_in_both_languages(open_page: Open, language: str, expected: tuple[str, ...]) -> None:
    at = open_page(PAGE, language)
    assert not at.exception
    shown = words(at)
    assert [word for word in expected if word not in shown] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_role_and_kind_of_provider_can_be_shown(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language)
    for role, provider in (
        ("chat", "qwen"), ("chat", "ollama"), ("chat", "gguf"),
        ("embedding", "siliconflow"), ("embedding", "embedded"), ("rerank", ""), ("judge", ""),
    ):  # fmt: skip
        choose(at, provider, role)
        assert not at.exception, (role, provider)
        assert not re.search(r"models\.[a-z]", words(at)), "a text is missing in the catalogue"


def test_a_model_of_this_process_says_what_memory_it_needs(open_page: Open) -> None:
    at = open_page(PAGE)
    choose(at, "embedded")
    told = [caption.value for caption in at.caption]
    assert any(re.search(r"[GM]i?B of memory; this machine has", caption) for caption in told), told


def test_another_embedding_model_comes_with_a_warning(open_page: Open) -> None:
    at = open_page(PAGE)
    at.get("button_group")[1].set_value("embedding").run()
    assert "embedded again" in at.info[0].value


def test_only_an_admin_may_change_models(open_page: Open) -> None:
    at = open_page(PAGE, "zh", user={"is_logged_in": True, "email": "guest@example.com", "roles": ["agent", "owner"]})
    assert not at.exception
    assert "not_allowed" in at.error[0].value.replace("\\", "")
    assert not at.selectbox
    assert not at.text_input
    admin = open_page(PAGE, user={"is_logged_in": True, "email": "boss@example.com", "roles": "admin"})
    assert not admin.error
    assert admin.selectbox


@pytest.mark.parametrize(
    ("language", "expected"),
    [("zh", "来自环境变量 TOUCHSTONE_CHAT"), ("en", "from the environment variable TOUCHSTONE_CHAT")],
)
def test_the_page_says_where_a_setting_comes_from(open_page: Open, language: str, expected: str) -> None:
    assert expected in words(open_page(PAGE, language))


# --- test -------------------------------------------------------------------------------------


def test_a_test_shows_the_reply_its_times_and_what_the_model_can(open_page: Open) -> None:
    at = open_page(PAGE, "zh")
    press(at, "models_test")
    assert not at.exception
    shown = words(at)
    assert "演示模型" in shown
    assert [m.label for m in at.metric] == ["首个词元", "完整回答", "读入词元", "生成词元"]
    assert all(m.value != "–" for m in at.metric)
    assert ":green-badge[:material/check: 流式]" in shown
    assert ":gray-badge[对数概率]" in shown
    table = next(m.value for m in at.markdown if m.value.startswith("| 能力 |"))
    assert "| 工具调用 | :green[:material/check:] |" in table
    assert "| 上下文（词元） |" in table


def test_an_embedding_test_compares_texts(open_page: Open) -> None:
    at = open_page(PAGE, TOUCHSTONE_EMBEDDING="embedded:e5")
    at.get("button_group")[1].set_value("embedding").run()
    press(at, "models_test")
    assert not at.exception
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Dimensions"] == "384"
    assert float(values["Related texts"]) > float(values["Unrelated texts"])


def test_a_wrong_key_says_what_to_do(open_page: Open, server: str) -> None:
    at = open_page(PAGE, "zh")
    press(fill(at, server, "sk-wrong-key-000000000000"), "models_test")
    assert not at.exception
    assert "拒绝了密钥" in at.error[0].value
    assert "authentication_failed" in at.error[0].value.replace("\\", "")
    assert "wrong-key" not in words(at)


def test_a_server_that_stops_in_the_middle_keeps_what_came(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "cut.yaml").write_text(
        "- {reply: 'half an answer and more', fault: {kind: stream_interrupted, after: 14}}"
    )
    at = open_page(PAGE, TOUCHSTONE_CHAT="scripted:cut.yaml")
    press(at, "models_test")
    assert not at.exception
    assert "broke off" in at.error[0].value
    assert "half an answer" in words(at)
    assert not at.metric


def test_a_model_that_gives_no_vectors_in_time(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(trial, "LIMIT_S", 0.05)
    monkeypatch.setattr("core.providers.scripted.HashedEmbedding.embed", never)
    at = open_page(PAGE, "en")
    at.get("button_group")[1].set_value("embedding").run()
    press(at, "models_test")
    assert not at.exception
    assert "timed_out" in at.error[0].value.replace("\\", "")


def test_a_dead_server_says_what_to_do(open_page: Open) -> None:
    at = open_page(PAGE, "en", TOUCHSTONE_ATTEMPTS="1")
    press(fill(at, "http://127.0.0.1:9/v1", KEY, "gpt-6-luna"), "models_test")
    assert "cannot be reached" in at.error[0].value
    assert "base URL" in at.error[0].value


def test_no_model_is_named(open_page: Open) -> None:
    at = open_page(PAGE)
    choose(at, "gguf")
    press(at, "models_test")
    assert not at.exception
    assert "unknown_name" in at.error[0].value.replace("\\", "")


def test_the_server_lists_its_models(open_page: Open, server: str) -> None:
    at = open_page(PAGE)
    press(fill(at, server, KEY), "models_list")
    assert not at.exception
    assert {"small-model", "medium-model", "large-model"} == set(at.selectbox(key="models_model_chat_openai").options)


# --- use and keep -----------------------------------------------------------------------------


def test_used_for_this_run_counts_at_once_and_writes_nothing(open_page: Open, server: str, tmp_path: Path) -> None:
    at = open_page(PAGE)
    press(fill(at, server, KEY), "models_use")
    assert not at.exception
    assert "openai:small-model is in use now" in at.success[0].value.replace("\\", "").replace("\u2060", "")
    assert session.runtime().settings.model("chat") == "openai:small-model"
    assert not (tmp_path / ".env").exists()
    press(at, "models_test")
    assert "I am a **test** model." in words(at)
    assert {m.label: m.value for m in at.metric}["Tokens read"] == "11"
    call = session.runtime().ledger.recent(1)[0]
    assert (call["provider"], call["user"], call["output_tokens"]) == ("openai", "local", 7)


def test_saved_counts_after_a_restart(open_page: Open, server: str, tmp_path: Path) -> None:
    at = open_page(PAGE, TOUCHSTONE_CHAT=None)
    press(fill(at, server, KEY), "models_keep")
    assert not at.exception
    saved = tmp_path / ".env"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert str(saved) in at.success[0].value.replace("\\", "")
    assert "overrule" not in at.success[0].value
    from core.settings import load_settings

    later = load_settings(tmp_path)
    assert (later.model("chat"), later.get("OPENAI_API_KEY"), later.get("OPENAI_BASE_URL")) == (
        "openai:small-model",
        KEY,
        server,
    )


def test_a_saved_choice_that_the_environment_overrules_says_so(open_page: Open) -> None:
    at = open_page(PAGE)
    choose(at, "embedded")
    press(at, "models_keep")
    assert "TOUCHSTONE_CHAT" in at.success[0].value.replace("\\", "")


def test_a_choice_that_cannot_be_opened_changes_nothing(open_page: Open, tmp_path: Path) -> None:
    at = open_page(PAGE, "zh")
    choose(at, "gguf")
    at.text_input(key="models_model_chat_gguf").set_value("missing.gguf")
    press(at, "models_keep")
    assert not at.exception
    assert "missing.gguf" in at.error[0].value.replace("\\", "")
    assert session.runtime().settings.model("chat") == "scripted:demo"
    assert not (tmp_path / ".env").exists()


def test_the_judge_can_be_the_chat_model_again(open_page: Open) -> None:
    at = open_page(PAGE, TOUCHSTONE_JUDGE="embedded:smollm2")
    choose(at, "", "judge")
    press(at, "models_use")
    assert not at.exception
    assert session.runtime().settings.model("judge") == "scripted:demo"


# --- keys -------------------------------------------------------------------------------------


def test_a_key_shows_nowhere(open_page: Open, server: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    at = open_page(PAGE)
    for pressed in ("models_test", "models_list", "models_use"):
        press(fill(at, server, KEY if pressed != "models_list" else "sk-other-key-9876543210"), pressed)
        state = repr(at.session_state) + repr(at.session_state._state) + repr(session.runtime().settings)
        for secret in (KEY, "sk-other-key-9876543210"):
            assert secret not in words(at)
            assert secret not in state
            assert secret not in caplog.text
    assert not at.text_input(key=keys.field("OPENAI_API_KEY")).value


def test_variables_of_a_choice(runtime: Runtime) -> None:
    service = services(runtime.settings)["deepseek"]
    assert choices.variables("chat", "deepseek:deepseek-chat", service, url=service.base_url + "/", key=KEY) == {
        "TOUCHSTONE_CHAT": "deepseek:deepseek-chat",
        "DEEPSEEK_API_KEY": KEY,
    }
    other = choices.variables("judge", "deepseek:x", service, url="http://127.0.0.1:1/v1")
    assert other == {"TOUCHSTONE_JUDGE": "deepseek:x", "DEEPSEEK_BASE_URL": "http://127.0.0.1:1/v1"}
    with pytest.raises(UnknownName):
        choices.variables("chat", "")


def test_use_keeps_the_old_models_on_an_error(runtime: Runtime, tmp_path: Path) -> None:
    before = runtime.settings
    with pytest.raises(MissingFile):
        choices.use(runtime, "chat", {"TOUCHSTONE_CHAT": "gguf:/nowhere.gguf"}, keep=True)
    assert runtime.settings is before
    assert not (tmp_path / ".env").exists()
