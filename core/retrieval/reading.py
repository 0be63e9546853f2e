"""Documents of strangers, read in a process of their own that has limits and no network.

A PDF can make its reader loop, an Office file can unpack to gigabytes. So these, HTML, and any large file are read
by a child process with limits on memory, processor time, wall clock and output, without the environment's secrets
(:mod:`core.retrieval.read_worker`). A child reads many files one after another; when it dies or hangs, the file
fails and the next one gets a new child. Small plain text, Markdown, CSV and JSON are read here: what a megabyte of
them costs at worst is tested.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingPackage, TouchstoneError
from core.retrieval import load
from core.retrieval.load import Document
from core.retrieval.structure import Block

ROOT = Path(__file__).parents[2]
SMALL_BYTES = 1_000_000
_CHILDREN = 2  # at once
_FILES_EACH = 500  # then a child is replaced, so that what its libraries leak goes with it
_LARGEST_REPLY = 400 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may take."""

    memory_mb: int = 2048  # that the child may write to, its libraries included
    cpu_s: int = 20
    wall_s: float = 60.0

    @classmethod
    def of(cls, size: int) -> Limits:
        """For a file of ``size`` bytes: a large one may take its time."""
        cpu_s = min(300, 20 + 10 * size // 10**6)
        return cls(cpu_s=cpu_s, wall_s=3.0 * cpu_s)


def read_document(
    data: bytes,
    *,
    source: str,
    title: str | None = None,
    hash_: str = "",
    columns: Mapping[str, str] | None = None,
    suffix: str | None = None,
    limits: Limits | None = None,
) -> Document:
    """:func:`core.retrieval.load.load`, in a limited process where that is needed.

    Raises:
        InputError: as ``load``; reader_slow, reader_memory, reader_died when the file was too much for its reader.
        MissingPackage: the reader of this format is not installed.
    """
    suffix = suffix or Path(source.replace("\\", "/").rsplit("/", 1)[-1]).suffix.lower()
    if suffix not in load.RISKY and len(data) <= SMALL_BYTES:
        return load.load(data, source=source, title=title, hash_=hash_, columns=columns, suffix=suffix)
    asked = {"source": source, "title": title, "hash_": hash_, "columns": dict(columns or {}), "suffix": suffix}
    return _readers.read(data, asked, limits or Limits.of(len(data)))


class Readers:
    """Children that wait for files. Threads may share it."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._slots = threading.BoundedSemaphore(_CHILDREN)
        self._lock = threading.Lock()

    def read(self, data: bytes, asked: Mapping[str, Any], limits: Limits) -> Document:
        with self._slots:
            with self._lock:
                child = next((c for c in self._idle if c.memory_mb == limits.memory_mb and c.runs()), None)
                if child is not None:
                    self._idle.remove(child)
            child = child or _Child(limits.memory_mb)
            try:
                reply = child.ask(data, asked, limits)
            except BaseException:
                child.kill()
                raise
            if child.served >= _FILES_EACH:
                child.kill()
            else:
                with self._lock:
                    self._idle.append(child)
        return _document(reply)

    def close(self) -> None:
        with self._lock:
            for child in self._idle:
                child.kill()
            self._idle.clear()


class _Child:
    def __init__(self, memory_mb: int) -> None:
        self.memory_mb, self.served, self._pid = memory_mb, 0, os.getpid()
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP") if name in os.environ
        }
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter and a module of this package
            [sys.executable, "-B", "-W", "ignore", "-m", "core.retrieval.read_worker", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            cwd=ROOT,
            close_fds=True,
        )

    def runs(self) -> bool:
        return self._pid == os.getpid() and self._process.poll() is None

    def ask(self, data: bytes, asked: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
        name = str(asked["source"]).replace("\\", "/").rsplit("/", 1)[-1]
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(limits.wall_s, stop)
        timer.daemon = True
        started = time.monotonic()
        timer.start()
        try:
            reply = self._exchange(data, {**asked, "cpu_s": limits.cpu_s})
        except (OSError, EOFError, ValueError) as error:
            if isinstance(error, ValueError):  # it runs on, and says what is not of the agreed form
                self._process.kill()
            code = self._process.wait()
            if late.is_set() or code == -24:  # SIGXCPU: its processor time is used up
                raise InputError(
                    reason="reader_slow", name=name, seconds=round(time.monotonic() - started, 1)
                ) from error
            raise InputError(reason="reader_died", name=name, detail=_ending(code, error)) from error
        finally:
            timer.cancel()
        self.served += 1
        return reply

    def _exchange(self, data: bytes, asked: Mapping[str, Any]) -> dict[str, Any]:
        head = json.dumps({**asked, "size": len(data)}).encode()
        into, out = self._process.stdin, self._process.stdout
        assert into is not None  # noqa: S101  # both are pipes
        assert out is not None  # noqa: S101
        into.write(len(head).to_bytes(8, "big") + head + data)
        into.flush()
        size = int.from_bytes(_exactly(out, 8), "big")
        if size > _LARGEST_REPLY:
            raise ValueError(f"a reply of {size} bytes")
        reply: dict[str, Any] = json.loads(_exactly(out, size))
        return reply

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # bytes that the dead child did not take
                    pipe.close()


def _exactly(pipe: Any, size: int) -> bytes:
    data: bytes = pipe.read(size)
    if len(data) != size:
        raise EOFError("the reader ended")
    return data


def _ending(code: int, error: Exception) -> str:
    return f"signal {-code}" if code < 0 else f"{type(error).__name__}, exit code {code}"


def _document(reply: Mapping[str, Any]) -> Document:
    """What a child answered; what is not of the agreed form is an error of the child."""
    if "error" in reply:
        raise _error(reply["error"])
    found = reply["document"]
    blocks = tuple(Block(**block) for block in found.pop("blocks"))
    return Document(blocks=blocks, **found)


def _error(told: Mapping[str, Any]) -> TouchstoneError:
    kind = MissingPackage if told["kind"] == "MissingPackage" else InputError
    return kind(reason=told["reason"], **told["params"])


_readers = Readers()
atexit.register(_readers.close)
