"""The child of :mod:`core.retrieval.reading`: reads one file after another, held by limits that it sets itself.

What it may not do is refused below the libraries, by an audit hook: connections, look-ups of names, other
processes, files written, and files read outside Python's own folders. Where the system allows it, the process also
gives up the network altogether.
"""

from __future__ import annotations

import ctypes
import json
import mimetypes
import os
import sys
import sysconfig
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import InputError, MissingPackage
from core.retrieval import load

_FORBIDDEN = (
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.remove",
    "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.kill",
    "shutil.", "ftplib.", "smtplib.", "urllib.Request", "webbrowser.open", "sqlite3.connect",
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEW_NETWORK = 0x40000000 | 0x10000000  # CLONE_NEWNET in a user namespace of its own
_MOST_OUTPUT = 2**20  # bytes in any file; pipes are none


def main(memory_mb: int) -> None:
    into, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not get between the replies
    _give_up_network()
    _limit_memory(memory_mb)
    mimetypes.init()  # reads the system's own table, which the guard would refuse
    sys.addaudithook(_Guard())
    while head := _head(into):
        _limit_time(head.pop("cpu_s"))
        reply = json.dumps(_reply(into.read(head.pop("size")), head), ensure_ascii=False)
        data = reply.encode("utf-8", "replace")
        out.write(len(data).to_bytes(8, "big") + data)
        out.flush()


def _head(into: BinaryIO) -> dict[str, Any]:
    size = into.read(8)
    return json.loads(into.read(int.from_bytes(size, "big"))) if size else {}


def _reply(data: bytes, head: dict[str, Any]) -> dict[str, Any]:
    name = head["source"].replace("\\", "/").rsplit("/", 1)[-1]
    try:
        return {"document": asdict(load.load(data, **head))}
    except (InputError, MissingPackage) as error:
        told = {"kind": type(error).__name__, "reason": error.reason, "params": error.params}
    except MemoryError:
        told = {"kind": "InputError", "reason": "reader_memory", "params": {"name": name}}
    except Exception as error:  # noqa: BLE001  # whatever a library raises over a hostile file is that file's failure
        detail = f"{type(error).__name__}: {error}"[:300]
        told = {"kind": "InputError", "reason": "unreadable_file", "params": {"name": name, "detail": detail}}
    return {"error": json.loads(json.dumps(told, default=str))}


class _Guard:
    """Refuses what reading a file never needs."""

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        roots = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        self._readable = tuple({str(Path(root).resolve()) for root in (*roots, *sys.path, *_libraries()) if root})
        self._plain = tuple(root for root in (*roots, *sys.path) if root)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str | bytes) or (not flags & _WRITES and self._may_read(os.fsdecode(path))):
                return
            raise PermissionError(13, "not allowed while reading a document", os.fsdecode(path))
        if event.startswith(_FORBIDDEN):
            raise PermissionError(13, f"not allowed while reading a document: {event}")

    def _may_read(self, path: str) -> bool:
        return path in ("/dev/null", "/dev/urandom") or os.path.abspath(path).startswith(
            (*self._plain, *self._readable)
        )


def _libraries() -> list[str]:
    """Where packages lie that a .pth file adds, and the time zones."""
    return [sys.prefix, sys.base_prefix + "/lib", "/usr/share/zoneinfo"]


def _give_up_network() -> None:
    """Best effort: containers often forbid it, and then the guard stands alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK)


def _limit_memory(memory_mb: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows: the wall clock alone
        return
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    for what, most in ((kind, memory_mb * 2**20), (resource.RLIMIT_FSIZE, _MOST_OUTPUT), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def _limit_time(cpu_s: int) -> None:
    """The next file may use ``cpu_s`` from now on; then the system ends this process."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
