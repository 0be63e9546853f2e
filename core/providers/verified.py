"""Remembers which model files have passed a costly check, by size and time, in the workspace folder.

A memory that cannot be read or written costs a second check and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

_lock = threading.Lock()


def is_verified(home: Path, path: Path, proof: str) -> bool:
    """Whether the file, unchanged since, has passed the check that ``proof`` names."""
    return _load(home).get(f"{path} {proof}") == _stamp(path)


def remember(home: Path, path: Path, proof: str) -> None:
    memory = _memory(home)
    with _lock:
        known = {**_load(home), f"{path} {proof}": _stamp(path)}
        fresh = memory.with_name(f"{memory.name}.{os.getpid()}")
        try:
            memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text(json.dumps(known, indent=1), "utf-8")
            fresh.replace(memory)
        except OSError:
            return


def _memory(home: Path) -> Path:
    return home / "cache" / "verified.json"


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _load(home: Path) -> dict[str, str]:
    try:
        known = json.loads(_memory(home).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
