"""One writer at a time: who waits learns who holds the right, and a dead holder is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.errors import StoreBusy
from core.retrieval import lease
from core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


def test_waiting_names_the_holder(workspace: Workspace) -> None:
    with (
        lease.hold(workspace, "chroma"),
        pytest.raises(StoreBusy) as caught,
        lease.hold(workspace, "chroma", wait_s=0.3),
    ):
        pass
    assert f"process {os.getpid()}" in str(caught.value)
    with lease.hold(workspace, "chroma", wait_s=0.1) as again:
        again.beat()


def test_the_next_one_gets_it_when_it_is_free(workspace: Workspace) -> None:
    order: list[str] = []

    def second() -> None:
        with lease.hold(workspace, "chroma", wait_s=5):
            order.append("second")

    with lease.hold(workspace, "chroma"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_dead_process_is_replaced_at_once(workspace: Workspace) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from core.workspace import Workspace; from core.retrieval import lease\n"
        "w = Workspace.open(Path(sys.argv[1])); h = lease.hold(w, 'chroma'); h.__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace.folder)], cwd=Path.cwd(), check=False, timeout=60)
    assert done.returncode == -9
    started = time.monotonic()
    with lease.hold(workspace, "chroma", wait_s=5):
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("changes", "replaced"),
    [
        ({"host": "elsewhere", "heartbeat": 0.0}, True),  # another machine that went silent
        ({"host": "elsewhere"}, False),
        ({"process_start": "1"}, True),  # the number of a process that died, given to another one
        ({"heartbeat": 0.0}, False),  # alive on this machine, however slow
    ],
)
def test_who_counts_as_dead(workspace: Workspace, changes: dict[str, object], replaced: bool) -> None:
    held = lease.hold(workspace, "chroma")
    first = held.__enter__()
    with workspace.write() as db:
        for column, value in changes.items():
            db.execute(f"UPDATE leases SET {column} = ?", (value,))
    if replaced:
        with lease.hold(workspace, "chroma", wait_s=0.2), pytest.raises(StoreBusy):
            first.beat()  # the old holder learns that it lost the right
    else:
        with pytest.raises(StoreBusy), lease.hold(workspace, "chroma", wait_s=0.2):
            pass
    held.__exit__(None, None, None)
