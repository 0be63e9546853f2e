"""Which process holds something, and whether it still lives: for leases, jobs and answers being written.

A process is named by machine, number and start, because numbers are given out again, and containers that share
a host name do not share process numbers.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """This machine as processes see it: host name and, on Linux, the namespace of process numbers."""
    try:
        return f"{socket.gethostname()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return socket.gethostname()


def process_start(pid: int) -> str:
    """When process ``pid`` of this machine began, as its system counts; empty when it is gone.

    A process that has ended and was not yet waited for is gone.
    """
    if Path("/proc/self/stat").exists():
        try:
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if state in "ZX" else rest[18]
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
    return "unknown"


def alive(on: str, pid: int, started: str) -> bool | None:
    """Whether that process still runs; ``None`` when it ran where this process cannot look."""
    return process_start(pid) == started if on == host() else None
