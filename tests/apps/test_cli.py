"""The command line: what each command prints for people and for programs, and how errors end it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app
from core.settings import load_settings
from core.types import Answer, Citation, Queued, Sentence, Switched
from tests.local_service import LocalService, serving
from tests.reference import commands

ROOT = Path(__file__).parents[2]
KEY = "sk-cli-0123456789abcdef"
COMMANDS = tuple(commands())
SCRIPT = """\
- match: 中文
  reply: "[bold]你好[/bold]，\\e[31m红\\e[0m"
- match: slow
  reply: "one two three four five six seven eight nine ten"
  chunk: 4
  delay_s: 0.3
- match: broken
  reply: "half an answer and more"
  fault: {kind: stream_interrupted, after: 6}
- match: limited
  fault: {kind: rate_limited, retry_after_s: 30, status: 429}
- reply: "You said: {question}"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder with a scripted model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.yaml").write_text(SCRIPT, "utf-8")
    monkeypatch.setenv("TOUCHSTONE_CHAT", f"scripted:{tmp_path}/script.yaml")
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    return tmp_path


def touchstone(*arguments: str, input: str | bytes | None = None, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), input=input, env=environment)


def data(result: Result) -> Any:
    """The one JSON document on stdout."""
    return json.loads(result.stdout)


def process(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "apps.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- the program ------------------------------------------------------------------------------


def test_version() -> None:
    assert re.fullmatch(r"touchstone \d+\.\d+\.\d+\n", touchstone("--version").stdout)
    assert set(data(touchstone("--version", "--json"))) == {"version"}


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(arguments: tuple[str, ...]) -> None:
    result = touchstone(*arguments)
    assert result.exit_code == 0
    assert {"init", "doctor", "models", "chat", "index", "ask", "ui", "usage"} <= set(COMMANDS)
    for name in {name.split()[0] for name in COMMANDS}:
        assert re.search(rf"^  {name} +\S", result.stdout, re.MULTILINE), name


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_in_the_users_language_without_a_bare_key(command: str, language: str) -> None:
    result = touchstone(*command.split(), "--help", TOUCHSTONE_LANG=language)
    assert result.exit_code == 0
    assert "cli." not in result.stdout
    assert bool(re.search("[一-鿿]", result.stdout)) == (language == "zh")
    if command:
        assert "--json" in result.stdout


def test_help_follows_the_language_of_the_env_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOUCHSTONE_LANG")
    (folder / ".env").write_text("TOUCHSTONE_LANG=zh\n")
    assert "试金石" in touchstone("--help").stdout


def test_help_comes_even_when_the_settings_are_broken(folder: Path) -> None:
    (folder / "touchstone.yaml").write_text("]")
    assert touchstone("--help").exit_code == 0


def test_importing_the_command_line_is_light() -> None:
    code = (
        "import sys, apps.cli\n"
        "heavy = {'openai', 'chromadb', 'streamlit', 'torch', 'numpy', 'jinja2', 'xllamacpp', 'rich.markdown', 'pygments'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "没有这个命令：nosuch。"),
        (("ask", "a", "b"), "多余的参数：b。"),
        (("ask", "--nosuch", "a"), "没有这个选项：--nosuch。"),
        (("usage", "--days", "x"), "--days 需要一个数字。"),
        (("ui", "--port", "99999999"), "--port 最大为 65535。"),
        (("index",), "缺少：PATH...。"),
        (("ask", "a", "--model"), "--model 需要一个值。"),
    ],
)
def test_a_wrong_command_line_is_told_in_chinese(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_LANG", "zh")
    result = touchstone(*arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"错误： {said}\n")
    assert "用法：touchstone" in result.stderr or arguments[-1] == "--model"


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("nosuch",), "usage", 2),
        (("--json", "doctor"), "usage", 2),
        (("ui", "--port", "99999999"), "usage", 2),
        (("index",), "usage", 2),
        (("chat", "hi", "--model", "nosuch:model"), "unknown_name", 3),
        (("chat", "hi", "--model", "openai:gpt-6-luna"), "missing_key", 3),
        (("chat", "hi", "--model", "gguf:/none.gguf"), "missing_file", 3),
        (("models", "nosuch"), "unknown_name", 3),
        (("models", "deepseek"), "missing_key", 3),
        (("chat", "limited"), "rate_limited", 4),
        (("chat", ""), "input.empty_question", 6),
        (("chat", " \n\t "), "input.empty_question", 6),
        (("ask", ""), "input.empty_question", 6),
        (("ask", "anything"), "input.nothing_indexed", 6),
        (("ask", "x", "--language", "fr"), "input.bad_value", 6),
        (("index", "no/such/folder"), "missing_file", 3),
    ],
)
def test_errors_are_one_json_document_with_their_code(arguments: tuple[str, ...], code: str, exit_code: int) -> None:
    result = touchstone(*arguments, "--json")
    assert result.exit_code == exit_code
    assert data(result)["error"]["code"] == code
    assert data(result)["error"]["message"]


def test_errors_for_people_are_on_stderr_in_their_language() -> None:
    english, chinese = (touchstone("chat", "hi", "-m", "nosuch:model", TOUCHSTONE_LANG=lang) for lang in ("en", "zh"))
    assert english.stdout == chinese.stdout == ""
    assert english.stderr.startswith("Error: Unknown engine 'nosuch'. Allowed: ")
    assert chinese.stderr.startswith("错误： 未知的引擎“nosuch”。可用：")


def test_a_person_is_forgotten_only_with_yes() -> None:
    for language, said in (("en", "cannot be undone"), ("zh", "无法恢复")):
        refused = touchstone("forget", "ann", TOUCHSTONE_LANG=language)
        assert refused.exit_code == 2
        assert said in refused.stderr
        assert "--yes" in refused.stderr
    done = touchstone("forget", "ann", "--tenant", "elsewhere", "--yes", "--json")
    assert data(done) == {"user": "ann", "tenant": "elsewhere", "deleted": {}}


def test_a_question_of_a_megabyte() -> None:
    for arguments in (("chat",), ("ask",)):
        result = touchstone(*arguments, "--json", input="很长的问题 " * 200_000)
        assert result.exit_code == 6
        assert data(result)["error"]["code"] == "input.question_too_long"
        assert len(result.stdout) < 1000


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [("models: [", "input.bad_yaml", 1), ("language: zh\nmodles: {}\n", "invalid_setting.unknown_near", 2)],
)
def test_a_bad_touchstone_yaml(folder: Path, content: str, code: str, line: int) -> None:
    (folder / "touchstone.yaml").write_text(content)
    result = touchstone("chat", "hi", "--json")
    assert (result.exit_code, data(result)["error"]["code"]) == (6 if code.startswith("input") else 3, code)
    assert f"touchstone.yaml:{line}" in data(result)["error"]["message"]


def test_a_workspace_that_cannot_be_written(folder: Path) -> None:
    (folder / "file").write_text("x")
    result = touchstone("chat", "hi", "--json", TOUCHSTONE_HOME=str(folder / "file" / "home"))
    assert (result.exit_code, data(result)["error"]["code"]) == (5, "store")


def test_a_workspace_of_a_newer_version(folder: Path) -> None:
    assert touchstone("chat", "hi").exit_code == 0
    with sqlite3.connect(folder / "home" / "touchstone.db") as db:
        db.execute("PRAGMA user_version=999")
    for arguments in (("chat", "hi"), ("usage",), ("ask", "hi"), ("index", ".")):
        result = touchstone(*arguments, "--json")
        assert (result.exit_code, data(result)["error"]["code"]) == (5, "store_too_new")


def test_a_damaged_workspace(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "touchstone.db").write_bytes(b"a letter" * 1000)
    result = touchstone("chat", "hi", "--json")
    assert (result.exit_code, data(result)["error"]["code"]) == (5, "store_damaged")


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("core.providers.openai", "core.providers.endpoint"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    result = touchstone("chat", "hi", "-m", "openai:gpt", "--json", OPENAI_API_KEY=KEY)
    assert (result.exit_code, data(result)["error"]["code"]) == (3, "missing_package")
    assert "pip install" in data(result)["error"]["message"]


def test_a_dead_server() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    result = touchstone("chat", "hi", "-m", "vllm:m", "--json", VLLM_BASE_URL=url, TOUCHSTONE_ATTEMPTS="1")
    assert (result.exit_code, data(result)["error"]["code"]) == (4, "connect_failed")
    assert url in data(result)["error"]["message"]


def test_a_wrong_key_is_told_and_not_shown() -> None:
    with serving(LocalService(key="sk-the-right-one-123456")) as service:
        environment = {"OPENAI_BASE_URL": f"{service.url}/v1", "OPENAI_API_KEY": KEY}
        result = touchstone("chat", "hi", "-m", "openai:small", "--json", **environment)
        listing = touchstone("models", "openai", **environment)
    assert (result.exit_code, data(result)["error"]["code"]) == (4, "authentication_failed")
    assert listing.exit_code == 4
    assert KEY not in f"{result.output}{listing.output}"


def test_a_mistake_of_ours_keeps_its_traceback_and_json_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from core import doctor

    def wrong() -> Any:
        raise ZeroDivisionError(f"key {KEY}")

    monkeypatch.setattr(doctor, "diagnose", wrong)
    result = touchstone("doctor", "--json")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)
    assert data(result)["error"]["code"] == "internal"
    assert KEY not in result.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nin 两行", "plain\ttext\nin 两行"),
        ("\x1b[31mred\x1b[0m \x9b31m \x07\r", "[31mred[0m 31m "),
        ("a\u202egpj.exe", "agpj.exe"),
        ("bytes \udcff that are no text", "bytes \ufffd that are no text"),
    ],
)
def test_text_of_others_carries_no_terminal_codes(text: str, shown: str) -> None:
    from apps.commands.shell import plain

    assert plain(text) == shown


# --- chat -------------------------------------------------------------------------------------


def test_chat_answers_once() -> None:
    result = touchstone("chat", "hello")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "You said: hello\n", "")


def test_chat_as_data() -> None:
    answer = data(touchstone("chat", "hello", "--json"))
    assert answer["text"] == "You said: hello"
    assert (answer["stopped"], answer["finish_reason"], answer["provider"]) == (False, "stop", "scripted")
    assert answer["usage"]["output_tokens"] > 0
    assert re.fullmatch("[0-9a-f]{32}", answer["trace_id"])


def test_chat_reads_a_pipe() -> None:
    assert touchstone("chat", input="from a pipe\n").stdout == "You said: from a pipe\n"


def test_what_a_model_writes_is_neither_markup_nor_terminal_code() -> None:
    assert touchstone("chat", "中文").stdout == "[bold]你好[/bold]，[31m红[0m\n"


def test_chat_gives_the_model_its_instructions(folder: Path) -> None:
    (folder / "script.yaml").write_text("- reply: '{question}'\n")
    assert touchstone("chat", "hello", "--system", "Be brief.").exit_code == 0


def test_half_an_answer_is_shown_and_the_error_told() -> None:
    result = touchstone("chat", "broken")
    assert result.exit_code == 4
    assert result.stdout == "half a\n"
    assert "6 characters" in result.stderr


def conversation(monkeypatch: pytest.MonkeyPatch, *lines: str) -> Result:
    """A conversation at a terminal: the lines are typed one after another."""
    typed: Iterator[str] = iter(lines)

    def type_line(_: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", type_line)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")
    return touchstone("chat")


def test_a_conversation_remembers_and_forgets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.commands.talk import Conversation

    seen: list[list[str]] = []
    read = Conversation._read
    monkeypatch.setattr(
        Conversation,
        "_read",
        lambda self, reply: (seen.append([str(m.content) for m in self.messages]), read(self, reply))[1],
    )
    result = conversation(monkeypatch, "one", "", "two", "/new", "three", "/what", "/exit", "never")
    assert result.exit_code == 0
    assert seen == [["one"], ["one", "You said: one", "two"], ["three"]]
    assert "You said: three" in result.stdout
    assert "/exit" in result.stdout


def test_a_conversation_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result = conversation(monkeypatch, "limited", "hello")
    assert result.exit_code == 0
    assert "You said: hello" in result.stdout
    assert "scripted" in result.stderr


def test_ctrl_c_stops_an_answer_and_keeps_its_text() -> None:
    running = process("chat", "slow")
    assert running.stdout is not None
    first = running.stdout.read(4)
    running.send_signal(signal.SIGINT)
    rest, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (first + rest).decode().strip().startswith("one")
    assert b"ten" not in rest
    assert b"Stopped" in said


def test_ctrl_c_with_json_gives_what_came(folder: Path) -> None:
    running = process("chat", "slow", "--json")
    time.sleep(0.1)
    for _ in range(100):  # the call is under way when its folder is there
        if (folder / "home" / "touchstone.db").exists():
            break
        time.sleep(0.1)
    time.sleep(1.5)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert json.loads(said)["stopped"] is True


# --- models, usage, doctor --------------------------------------------------------------------


def test_models_as_data(folder: Path) -> None:
    shown = data(touchstone("models", "--json", DEEPSEEK_API_KEY=KEY, TOUCHSTONE_JUDGE="openai:gpt-6-luna"))
    assert shown["roles"]["chat"]["ready"] is True
    assert shown["roles"]["chat"]["capabilities"]["tools"] is True
    assert shown["roles"]["judge"]["ready"] is False
    assert shown["roles"]["judge"]["error"]["code"] == "missing_key"
    assert shown["roles"]["rerank"]["model"] is None
    services = {row["name"]: row for row in shown["services"]}
    assert services["deepseek"]["key_set"] is True
    assert services["openai"]["key_set"] is False
    assert {"openai", "gguf", "embedded", "scripted"} <= {row["name"] for row in shown["engines"]}
    assert KEY not in json.dumps(shown)


def test_models_for_people() -> None:
    for language, words in (("en", ["Role", "chat", "DEEPSEEK_API_KEY"]), ("zh", ["角色", "对话", "深度求索"])):
        result = touchstone("models", TOUCHSTONE_LANG=language)
        assert result.exit_code == 0
        assert all(word in result.stdout for word in words)
        assert "cli." not in result.stdout


def test_models_of_a_service() -> None:
    with serving(LocalService()) as service:
        listed = touchstone("models", "vllm", VLLM_BASE_URL=f"{service.url}/v1")
        as_data = data(touchstone("models", "vllm", "--json", VLLM_BASE_URL=f"{service.url}/v1"))
    assert listed.stdout.splitlines() == ["vllm:large", "vllm:small"]
    assert as_data == {"service": "vllm", "models": ["large", "small"]}
    assert "embedded:smollm2" in touchstone("models", "embedded").stdout


def test_usage_counts_what_was_called() -> None:
    assert "No model was called" in touchstone("usage").stdout
    touchstone("chat", "hello")
    touchstone("chat", "limited")
    rows = data(touchstone("usage", "--json"))["models"]
    assert (sum(row["calls"] for row in rows), sum(row["failed"] for row in rows)) == (2, 1)
    assert {row["operation"] for row in rows} == {"chat"}
    assert "scripted:" in touchstone("usage").stdout
    assert data(touchstone("usage", "--days", "0", "--json"))["models"] == []


def test_doctor_tells_and_ends_by_what_it_found() -> None:
    good = touchstone("doctor", "--json")
    assert (good.exit_code, data(good)["error"]) == (0, 0)
    bad = touchstone("doctor", "--json", TOUCHSTONE_CHAT="deepseek:deepseek-chat")
    assert bad.exit_code == 1
    (found,) = [row for row in data(bad)["findings"] if row["status"] == "error"]
    assert found["code"] == "model.chat"
    assert "DEEPSEEK_API_KEY" in found["next_step"]
    for language, word in (("en", "→ Run `touchstone init`"), ("zh", "→ 请运行 `touchstone init`")):
        assert word in touchstone("doctor", TOUCHSTONE_CHAT="deepseek:deepseek-chat", TOUCHSTONE_LANG=language).stdout


def test_doctor_runs_with_settings_that_cannot_be_read(folder: Path) -> None:
    (folder / "touchstone.yaml").write_text("modles: {}\n")
    result = touchstone("doctor", "--json")
    assert result.exit_code == 1
    assert "touchstone.yaml:1" in json.dumps(data(result))


# --- init -------------------------------------------------------------------------------------


def test_init_by_options_tries_and_saves(folder: Path) -> None:
    with serving(LocalService(key=KEY)) as service:
        result = touchstone(
            "init", "--provider", "openai", "--model", "small", "--base-url", f"{service.url}/v1", "--key-stdin",
            "--language", "zh", "--judge", "embedded:smollm2", "--json", input=f"{KEY}\n",
        )  # fmt: skip
    assert result.exit_code == 0
    assert KEY not in result.output
    assert data(result)["trials"]["chat"]["reply"] == "Hello there"
    saved = load_settings(folder, {})
    assert saved.model("chat") == "openai:small"
    assert saved.model("judge") == "embedded:smollm2"
    assert (saved.language, saved.get("OPENAI_API_KEY")) == ("zh", KEY)
    assert (folder / ".env").stat().st_mode & 0o077 == 0


def test_init_saves_nothing_that_does_not_answer(folder: Path) -> None:
    with serving(LocalService(key="sk-the-right-one-123456")) as service:
        result = touchstone(
            "init", "-p", "openai", "-m", "small", "--base-url", f"{service.url}/v1", "--key", KEY, "--json"
        )
    assert (result.exit_code, data(result)["error"]["code"]) == (4, "authentication_failed")
    assert not (folder / ".env").exists()


def test_init_for_this_run_only(folder: Path) -> None:
    result = touchstone("init", "--provider", "embedded", "--no-save", "--no-test", "--json")
    assert data(result) == {"variables": {"TOUCHSTONE_CHAT": "embedded:smollm2"}, "saved": None, "trials": {}}
    assert not (folder / ".env").exists()


def test_init_tries_an_embedding_model(folder: Path) -> None:
    result = touchstone("init", "--embedding", "scripted:hash", "--json")
    assert data(result)["trials"]["embedding"]["dim"] > 0
    assert load_settings(folder, {}).model("embedding") == "scripted:hash"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--language", "fr"), "invalid_setting"),
        (("--provider", "nosuch"), "unknown_name"),
        (("--embedding", "nosuch:thing"), "unknown_name"),
        (("--provider", "gguf"), "input.bad_value"),
        (("--provider", "ollama", "--key", KEY), "input.no_key_needed"),
        (("--provider", "embedded", "--key", KEY), "input.bad_value"),
        (("--provider", "vllm", "--base-url", "localhost:8000"), "invalid_setting"),
    ],
)
def test_init_refuses_what_cannot_be(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    result = touchstone("init", *arguments, "--json")
    assert data(result)["error"]["code"] == code
    assert KEY not in result.output
    assert not (folder / ".env").exists()


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Result:
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")
    return touchstone("init", input="\n".join(answers) + "\n")


def test_init_by_questions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(LocalService(key=KEY)) as service:
        result = answering(
            monkeypatch, "2", "nonsense", "openai", "not a url", f"{service.url}/v1", KEY, "small", "", "", "", "y"
        )
    assert result.exit_code == 0, result.output
    assert "openai:small answers" in result.stdout
    assert "small" in result.stdout
    assert KEY not in result.output
    assert load_settings(folder, {}).model("chat") == "openai:small"
    assert load_settings(folder, {}).language == "en"


def test_init_by_questions_goes_round_again_and_need_not_save(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(LocalService()) as service:
        result = answering(
            monkeypatch,
            "1",
            "vllm",
            f"{service.url}/v1",
            "absent",
            "y",
            "vllm",
            f"{service.url}/v1",
            "large",
            "",
            "",
            "",
            "n",
        )
    assert result.exit_code == 0, result.output
    assert "vllm:large 有应答" in result.stdout
    assert not (folder / ".env").exists()


# --- documents --------------------------------------------------------------------------------


@pytest.fixture
def documents(folder: Path) -> Path:
    docs = folder / "docs"
    docs.mkdir()
    (docs / "returns.md").write_text("# Returns\n\nA kettle may be returned within 7 days of delivery.\n", "utf-8")
    (docs / "保修.md").write_text("# 保修\n\n[注意] 电水壶的保修期为 12 个月。人为损坏不在保修范围内。\n", "utf-8")
    return docs


def test_index_and_index_again(documents: Path) -> None:
    first = data(touchstone("index", str(documents), "--json"))
    assert (first["added"], first["failed"], first["collection"]) == (2, 0, "default")
    again = data(touchstone("index", str(documents), "--json"))
    assert (again["added"], again["unchanged"]) == (0, 2)
    (documents / "保修.md").unlink()
    assert data(touchstone("index", str(documents), "--json"))["removed"] == 1
    assert "0 added" in touchstone("index", str(documents)).stdout


def test_index_reports_files_that_cannot_be_read_and_goes_on(documents: Path) -> None:
    (documents / "picture.md").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00" + bytes(range(256)) * 20)
    result = touchstone("index", str(documents), "--json")
    assert result.exit_code == 1
    assert (data(result)["added"], data(result)["failed"]) == (2, 1)
    assert "picture.md" in touchstone("index", str(documents)).stderr


def test_a_binary_file_is_told_by_name(folder: Path) -> None:
    (folder / "tool.exe").write_bytes(b"MZ\x90\x00\x03\x00" + bytes(range(256)) * 20)
    result = touchstone("index", "tool.exe", "--json")
    (row,) = data(result)["files"]
    assert (result.exit_code, row["error"]["code"]) == (1, "input.binary_file")
    assert "tool.exe" in row["error"]["message"]


def test_index_says_when_there_is_nothing(folder: Path) -> None:
    (folder / "empty").mkdir()
    result = touchstone("index", "empty")
    assert (result.exit_code, "No supported file" in result.stderr) == (0, True)


def test_index_shows_a_bar_to_who_watches(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stderr>")
    assert "Reading files" in touchstone("index", str(documents)).stderr


ANSWER = Answer(
    "q",
    "generated",
    "电水壶保修 12 个月。 Kettles have 12 months.",
    (Sentence("电水壶保修 12 个月。", (1,)), Sentence("[Kettles] have 12 months.", (1, 2)), Sentence("还有。", (2,))),
    (
        Citation(1, "p1", "d1", "[保修]", "docs/保修.md", "电水壶的保修期\n为 12 个月。" + "长" * 300, 0, 9),
        Citation(2, "p2", "d2", "Returns\x1b[31m", "docs/returns.md", "A kettle may be returned.", 0, 25),
    ),
    0.9,
    "zh",
)


def answering_with(monkeypatch: pytest.MonkeyPatch, *events: Any) -> list[dict[str, Any]]:
    """Let the library answer with ``events``; returns what it was asked with."""
    from core.retrieval.library import Library

    asked: list[dict[str, Any]] = []

    async def ask(self: Library, question: str, **options: Any) -> AsyncGenerator[Any, None]:
        asked.append({"question": question, **options})
        for event in events:
            yield event

    monkeypatch.setattr(Library, "ask", ask)
    return asked


def test_ask_streams_sentences_and_lists_sources(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.retrieval.answer import AnswerDone, Notice, SentenceReady, SourcesFound

    touchstone("index", str(documents))
    sentences = [SentenceReady(sentence) for sentence in ANSWER.sentences]
    before = [Queued(2), SourcesFound(()), Switched("embedded:smollm2", "connect_failed"), Notice("embedding_down")]
    asked = answering_with(monkeypatch, *before, *sentences, AnswerDone(ANSWER))
    result = touchstone("ask", " 保修多久 ", "--language", "zh")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "电水壶保修 12 个月。[1][Kettles] have 12 months. [1][2] 还有。[2]"
    assert lines[1:3] == ["", "Sources"]
    assert lines[3].startswith("[1] [保修] — docs/保修.md — “电水壶的保修期 为 12 个月。长长")
    assert lines[3].endswith("长…”")
    assert lines[4] == "[2] Returns[31m — docs/returns.md — “A kettle may be returned.”"
    assert "\x1b" not in result.output
    assert len(result.stderr.splitlines()) == 3
    assert "2 calls are ahead" in result.stderr
    assert "embedded:smollm2 has taken over (connect_failed)" in result.stderr
    (options,) = asked
    assert (options["question"], options["collection"], options["language"]) == ("保修多久", "default", "zh")
    assert options["chat"].name.startswith("scripted:")


def test_ask_answers_from_documents_in_both_languages(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with the models that come with the install."""
    for role in ("CHAT", "EMBEDDING"):
        monkeypatch.delenv(f"TOUCHSTONE_{role}")
    assert touchstone("index", str(documents)).exit_code == 0
    for question, source, quote in (
        ("电水壶保修多久？", "保修.md", "12 个月"),
        ("Within how many days may a kettle be returned?", "returns.md", "7 days"),
    ):
        result = touchstone("ask", question)
        assert result.exit_code == 0
        answer, _, sources = result.stdout.partition("\nSources\n")
        assert quote in answer
        assert "[1]" in answer
        assert source in sources
        assert quote in sources
        as_data = data(touchstone("ask", question, "--json"))
        assert as_data["mode"] == "extractive"
        assert as_data["citations"][0]["quote"] in (documents / source).read_text("utf-8")
    narrowed = data(touchstone("ask", "电水壶保修多久？", "--filter", "language=en", "--json"))
    assert all("保修" not in citation["title"] for citation in narrowed["citations"])
    assert touchstone("ask", "电水壶保修多久？", "--filter", '{"year": {"$near": 3}}').exit_code == 6


def test_ask_as_data(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.retrieval.answer import AnswerDone

    touchstone("index", str(documents), "--collection", "shop")
    answering_with(monkeypatch, AnswerDone(ANSWER))
    answer = data(touchstone("ask", "q", "--collection", "shop", "--json"))
    assert (answer["mode"], answer["sentences"][0]["citations"]) == ("generated", [1])
    assert answer["citations"][0]["source"] == "docs/保修.md"
    missing = touchstone("ask", "q", "--json")
    assert "shop" in data(missing)["error"]["message"]


def test_ask_says_when_the_documents_do_not_say(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.retrieval.answer import AnswerDone

    touchstone("index", str(documents))
    refusal = replace(ANSWER, mode="refused", text="文档没有说明。", sentences=(), citations=ANSWER.citations[:1])
    answering_with(monkeypatch, AnswerDone(refusal))
    result = touchstone("ask", "q", TOUCHSTONE_LANG="zh")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == ["文档没有说明。", "", "文档中的相关内容"]


def test_ask_quotes_when_the_model_that_is_set_cannot_be_opened(
    documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.retrieval.answer import AnswerDone

    touchstone("index", str(documents))
    asked = answering_with(monkeypatch, AnswerDone(ANSWER))
    result = touchstone("ask", "q", TOUCHSTONE_CHAT="deepseek:deepseek-chat")
    assert result.exit_code == 0
    assert asked[0]["chat"] is None
    assert "DEEPSEEK_API_KEY" in result.stderr
    named = touchstone("ask", "q", "--model", "deepseek:deepseek-chat", "--json")
    assert (named.exit_code, data(named)["error"]["code"]) == (3, "missing_key")


def test_ask_without_documents_names_the_command() -> None:
    result = touchstone("ask", "几天内可以退货？", TOUCHSTONE_LANG="zh")
    assert result.exit_code == 6
    assert "touchstone index" in result.stderr


def test_two_processes_index_one_workspace(documents: Path) -> None:
    (documents.parent / "more").mkdir()
    (documents.parent / "more" / "hours.md").write_text("# Hours\n\nThe shop is open from 9 to 18.\n", "utf-8")
    others = [process("index", name, "--json") for name in ("docs", "more")]
    for other in others:
        said, errors = other.communicate(timeout=120)
        assert other.returncode == 0, errors.decode()
        assert json.loads(said)["failed"] == 0
    with sqlite3.connect(documents.parent / "home" / "touchstone.db") as db:
        assert db.execute("SELECT count(*) FROM documents").fetchone()[0] == 3


# --- terminals --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["", "ascii"])
def test_any_locale_will_do(encoding: str) -> None:
    """JSON is UTF-8 everywhere; people get a stand-in for what their terminal cannot show."""
    env = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding, "TOUCHSTONE_LANG": "zh"}
    running = process("chat", "中文", "--json", env=env), process("chat", "中文", env=env)
    for one in running:
        said, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors.decode("utf-8", "replace")
        if one is running[0]:
            assert json.loads(said.decode("utf-8"))["text"].startswith("[bold]你好")
        else:
            assert b"[bold]" in said


def test_a_reader_that_stops_reading_is_no_error() -> None:
    with process("models", bufsize=0) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()


# --- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("display", "platform", "opens"), [("", "linux", False), (":0", "linux", True), ("", "darwin", True)]
)
def test_a_browser_opens_only_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, display: str, platform: str, opens: bool
) -> None:
    from apps.commands.pages import has_screen

    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert has_screen() is opens


def test_ui_says_when_the_port_is_taken() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        result = touchstone("ui", "--port", str(listening.getsockname()[1]), "--json")
    assert (result.exit_code, data(result)["error"]["code"]) == (6, "input.port_taken")


def test_ui_serves_the_pages_and_ends_with_its_server() -> None:
    port = free_port()
    running = process("ui", "--port", str(port), "--no-browser", "--json")
    assert running.stdout is not None
    try:
        lines = b""
        while not lines.rstrip().endswith(b"}"):
            line = running.stdout.readline()
            assert line, running.communicate(timeout=10)[1].decode()
            lines += line
        assert json.loads(lines)["url"] == f"http://localhost:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as page:
            page.sendall(b"GET /_stcore/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b"200" in page.recv(200)
    finally:
        running.terminate()
        running.communicate(timeout=30)
    assert running.returncode == 143
    with socket.socket() as tried:
        assert tried.connect_ex(("127.0.0.1", port)) != 0


# --- documentation ----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_options_are_those_of_help(command: str, language: str) -> None:
    page = (ROOT / "docs" / language / "commands.md").read_text("utf-8")
    section = page.partition(f"### touchstone {command}\n")[2].partition("\n###")[0].partition("<!-- ")[0]
    documented = set(re.findall(r"`(--?[a-z][a-z-]*)`", section))
    helped = set(
        re.findall(
            r"(?<![\w-])--?[a-z][a-z-]*", touchstone(*command.split(), "--help", TOUCHSTONE_LANG=language).stdout
        )
    )
    own = documented | {"-h", "--help"}
    # The help's prose may name an option of another command.
    assert helped >= own
    assert {name for name in helped if name.startswith("--")} <= own | {"--key-stdin"}


def test_the_documented_exit_codes_are_those_of_the_program() -> None:
    from apps.commands.shell import EXIT_CODES, STOPPED

    for language in ("en", "zh"):
        page = (ROOT / "docs" / language / "commands.md").read_text("utf-8")
        documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
        assert documented == {0, 1, 2, STOPPED} | {code for _, code in EXIT_CODES}


# --- upkeep -----------------------------------------------------------------------------------------


def said(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_upkeep_from_the_command_line(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Returns\n\nReturns take 15 days.\n")
    (docs / "bad.txt").write_bytes(b"\x00\x01" * 60)
    first = touchstone("index", str(docs), "--json")
    assert first.exit_code == 1
    assert json.loads(first.stdout)["failed"] == 1
    (run,) = said(touchstone("journal", "--json"))["runs"]
    assert {Path(row["source"]).name: row["status"] for row in run["files"]} == {"a.md": "added", "bad.txt": "failed"}
    chinese = touchstone("journal", "--all", TOUCHSTONE_LANG="zh")
    assert "失败" in chinese.stdout
    assert "新增" in chinese.stdout
    assert said(touchstone("rebuild", "--json"))["passages"] == 1
    assert said(touchstone("vacuum", "--json"))["vectors"] == 0
    made = said(touchstone("backup", str(tmp_path / "b.zip"), "--json"))
    assert made["documents"] == 1
    assert touchstone("backup", str(tmp_path / "b.zip")).exit_code == 6
    assert said(touchstone("restore", str(tmp_path / "b.zip"), "--check", "--json"))["replaced"] is None
    assert Path(said(touchstone("restore", str(tmp_path / "b.zip"), "--json"))["replaced"]).is_dir()
    assert touchstone("restore", str(docs / "a.md")).exit_code == 6
    assert "15 days" in touchstone("ask", "How many days do returns take?").stdout


def test_columns_and_pages_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("head,body\nRates,The bank cut rates.\n")
    report = said(touchstone("index", str(tmp_path / "n.csv"), "--columns", "title=head,text=body", "--json"))
    assert report["added"] == 1
    assert touchstone("index", str(tmp_path / "n.csv"), "--columns", "title").exit_code == 6
    refused = touchstone("index", "http://127.0.0.1:9/", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["files"][0]["error"]["code"] == "input.url_refused"


def test_a_migration_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "d.md").write_text("# Returns\n\nReturns take 15 days.\n\n# Shipping\n\nShipping is free.\n")
    said(touchstone("index", str(tmp_path / "d.md"), "--json"))
    assert touchstone("migrate", "rollback").exit_code == 6
    assert said(touchstone("migrate", "status", "embedded:e5", "--json"))["pending"] == 2
    assert touchstone("migrate", "switch", "embedded:e5").exit_code == 6
    assert said(touchstone("migrate", "start", "embedded:e5", "--json"))["made"] == 2
    (tmp_path / "q.jsonl").write_text('{"query": "how long do returns take", "relevant": ["d.md"]}\n')
    compared = said(touchstone("migrate", "compare", "embedded:e5", "-q", str(tmp_path / "q.jsonl"), "--json"))
    assert compared["ndcg@10"] == {"old": 1.0, "new": 1.0}
    assert said(touchstone("migrate", "switch", "embedded:e5", "--json")) == {
        "model": "embedded:e5",
        "previous": "scripted:hash",
    }
    standing = said(touchstone("migrate", "status", "--json"))
    assert (standing["serving"], standing["others"]) == ("embedded:e5", ["scripted:hash"])
    assert said(touchstone("migrate", "rollback", "--json"))["model"] == "scripted:hash"


def test_watching_from_the_command_line_ends_with_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.md").write_text("# A\n\nText.\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.cli", "index", str(tmp_path / "w"), "--watch"],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "1 added" in process.stdout.readline()
        (tmp_path / "w" / "b.md").write_text("# B\n\nMore.\n")
        assert "1 added" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
