"""The one way in: what it opens once, and what a reload changes and keeps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

import core
from core.errors import InvalidSetting, MissingKey, StoreError, UnknownName
from core.providers.sync import sync
from core.runtime import Runtime, open_runtime
from core.settings import Settings, load_settings
from core.telemetry.trace import trace
from core.types import Caller, TextDelta, user

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "a.yaml").write_text(
        "- reply: one two three four five six seven\n  delay_s: 0.01\n  chunk: 4\n", "utf-8"
    )
    (tmp_path / "b.yaml").write_text("- reply: other\n", "utf-8")
    return f"scripted:{tmp_path}/a.yaml"


@pytest.fixture
def scripted(settings: Settings, script: str) -> Settings:
    return settings.with_values(TOUCHSTONE_CHAT=script)


def test_a_model_is_opened_once_and_shared_by_threads(scripted: Settings) -> None:
    with Runtime(scripted) as runtime:
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.append(runtime.chat())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(model is found[0] for model in found)
        assert runtime.judge() is found[0]


def test_calls_are_in_the_ledger_with_their_trace(scripted: Settings) -> None:
    with Runtime(scripted) as runtime:
        with trace(Caller(tenant="shop", user="ann"), prompt="p@1") as current:
            answer = sync(runtime.chat()).complete("hello")
        (row,) = runtime.ledger.recent()
        assert answer.trace_id == row["trace_id"] == current.trace_id
        assert (row["tenant"], row["user"], row["prompt"], row["error"]) == ("shop", "ann", "p@1", None)


def test_rows_are_stored_when_it_closes(scripted: Settings) -> None:
    with Runtime(scripted) as runtime:
        sync(runtime.chat()).complete("hello")
    with Runtime(scripted) as again:
        assert len(again.ledger.recent()) == 1


def test_no_reranker_is_none_and_a_missing_one_an_error(scripted: Settings) -> None:
    with Runtime(scripted) as runtime:
        assert runtime.reranker() is None
        with pytest.raises(UnknownName):
            runtime.reranker("nosuch:thing")


def test_a_model_that_does_not_open_is_asked_for_again(settings: Settings) -> None:
    with Runtime(settings.with_values(TOUCHSTONE_CHAT="openai:gpt-6-luna")) as runtime:
        for _ in range(2):
            with pytest.raises(MissingKey):
                runtime.chat()


def test_reload_takes_other_models_and_keeps_the_workspace(scripted: Settings, script: str) -> None:
    with Runtime(scripted) as runtime:
        before, workspace = runtime.chat(), runtime.workspace
        runtime.reload(scripted.with_values(TOUCHSTONE_CHAT=script.replace("a.yaml", "b.yaml")))
        assert runtime.chat() is not before
        assert sync(runtime.chat()).complete("hi").text == "other"
        assert runtime.workspace is workspace


def test_reload_moves_to_another_workspace(scripted: Settings, tmp_path: Path) -> None:
    with Runtime(scripted) as runtime:
        sync(runtime.chat()).complete("hi")
        runtime.reload(scripted.with_values(TOUCHSTONE_HOME=str(tmp_path / "other")))
        assert runtime.ledger.recent() == []
        sync(runtime.chat()).complete("hi")
        assert len(runtime.ledger.recent()) == 1
    with Runtime(scripted) as first:
        assert len(first.ledger.recent()) == 1


def test_a_reload_that_fails_changes_nothing(tmp_path: Path, script: str) -> None:
    environment = {"TOUCHSTONE_HOME": str(tmp_path / "home"), "TOUCHSTONE_CHAT": script}
    with Runtime(load_settings(tmp_path, environment)) as runtime:
        model, settings = runtime.chat(), runtime.settings
        (tmp_path / "touchstone.yaml").write_text("retries: {attempts: 99}\n")
        with pytest.raises(InvalidSetting):
            runtime.reload()
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError):
            runtime.reload(settings.with_values(TOUCHSTONE_HOME=str(tmp_path / "file" / "home")))
        assert runtime.chat() is model
        assert runtime.settings is settings
        assert sync(runtime.chat()).complete("hi").text


def test_reload_without_settings_reads_the_files_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "touchstone.yaml").write_text("models: {chat: 'scripted:one'}\n")
    with open_runtime(folder=tmp_path) as runtime:
        (tmp_path / "touchstone.yaml").write_text("models: {chat: 'scripted:two'}\n")
        runtime.reload()
        assert runtime.settings.model("chat") == "scripted:two"


def test_reload_keeps_what_was_set_for_this_run(tmp_path: Path) -> None:
    with open_runtime(folder=tmp_path) as runtime:
        runtime.reload(runtime.settings.with_values(DEEPSEEK_API_KEY="sk-for-this-run-only", TOUCHSTONE_JUDGE="a:b"))
        (tmp_path / "touchstone.yaml").write_text("models: {chat: 'scripted:two'}\n")
        runtime.reload()
        assert runtime.settings.model("chat") == "scripted:two"
        assert runtime.settings.model("judge") == "a:b"
        assert runtime.settings.get("DEEPSEEK_API_KEY") == "sk-for-this-run-only"
        assert "this-run-only" not in repr(runtime.settings)


def test_an_answer_under_way_is_finished_over_a_reload(scripted: Settings, script: str) -> None:
    async def ask_and_reload(runtime: Runtime) -> str:
        text = ""
        async with aclosing(runtime.chat().stream([user("hi")])) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    if not text:
                        other = scripted.with_values(TOUCHSTONE_CHAT=script.replace("a.yaml", "b.yaml"))
                        await asyncio.to_thread(runtime.reload, other)
                    text += event.text
        return text

    with Runtime(scripted) as runtime:
        assert asyncio.run(ask_and_reload(runtime)) == "one two three four five six seven"


def test_closing_twice_is_harmless(scripted: Settings) -> None:
    runtime = Runtime(scripted)
    runtime.chat()
    runtime.close()
    runtime.close()


def test_the_names_of_core() -> None:
    assert core.open_runtime is open_runtime
    assert {name for name in core.__all__ if not hasattr(core, name)} == set()
    with pytest.raises(AttributeError, match="nothing"):
        core.nothing  # noqa: B018  (looking is what raises)


def test_importing_core_is_light() -> None:
    code = (
        "import sys, core, core.types, core.contracts, core.errors, core.settings, core.workspace, core.runtime\n"
        "import core.providers.registry, core.prompts.library, core.doctor\n"
        "heavy = {'openai', 'chromadb', 'streamlit', 'torch', 'transformers', 'langchain_core', 'numpy', 'jinja2', 'xllamacpp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
