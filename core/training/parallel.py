"""A run in several processes that learn together, one a graphics card, or on the processors: the setting
``training.processes``. It is torch's data parallelism, which transformers' Trainer takes up through accelerate.

Each process computes its share of every batch, and the gradients are averaged, so a run has as many steps as in one
process and comes to nearly the same model. The first process writes progress, checkpoints and the model; the others end
where training ends. A process whose parent is gone ends at once, as the whole run would have.

``python -m core.training.parallel HOME FOLDER NAME VERSION`` is one of them (see :func:`learn`).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import InputError
from core.settings import Settings, load_settings, override, unread
from core.training.loop import Helped, Stopped, newest
from core.training.store import Trained, Version

STOP, STOPPED = b"stop", 3  # what a process is told on its standard input; its exit code when it has stopped
POLL_S = 0.1


def required(settings: Settings, batch_size: int) -> int:
    """How many processes learn together.

    Raises:
        InputError: (reason ``bad_value``) there are not so many cards, or a batch cannot be shared alike.
    """
    from core.providers.torch_device import choose, devices

    count: int = settings.values["training.processes"]
    if count == 1:
        return 1
    kind = choose(settings).kind
    cards = sum(device.kind == kind for device in devices())
    if kind != "cpu" and count > cards:
        raise InputError(reason="bad_value", name="training.processes", value=count, allowed=f"1 … {cards}")
    if batch_size % count:
        raise InputError(reason="bad_value", name="batch_size", value=batch_size, allowed=f"{count}, {2 * count}, {3 * count} …")  # fmt: skip
    return count


def learn(version: Version, settings: Settings, count: int, stop: threading.Event) -> None:
    """Train ``version`` in ``count`` processes; when it returns, model and facts are there.

    Raises:
        Stopped: ``stop`` was set; a checkpoint is there.
        InputError: (reason ``background``) a process failed; what it said is in the version's ``processes.log``.
    """
    from core.training.work import GROUPS

    newest(version.folder / "checkpoints")  # takes half-written ones away before several processes look
    command = [sys.executable, "-m", "core.training.parallel", str(settings.home), str(settings.folder.absolute()), version.run.name, str(version.run.version), json.dumps(unread(settings, *GROUPS))]  # fmt: skip
    shared = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
    }  # fmt: skip
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)), **os.environ, **shared}
    written = version.folder / "processes.log"
    with written.open("wb") as log:
        started = [
            subprocess.Popen(  # noqa: S603  # this interpreter, this program and a version found in the workspace
                command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )
            for rank in range(count)
        ]  # fmt: skip
        try:
            _watch(started, stop)
        finally:
            for process in started:
                process.kill()
                process.communicate()
    codes = {process.returncode for process in started}
    if codes == {0}:
        return
    if codes <= {0, STOPPED}:
        raise Stopped()
    said = written.read_text("utf-8", "replace").strip().splitlines() or ["?"]
    raise InputError(reason="background", detail=said[-1])


def _watch(started: Sequence[subprocess.Popen[bytes]], stop: threading.Event) -> None:
    """Until all have ended, or one has failed: the others would wait for it for ever."""
    asked = False
    while any(process.poll() is None for process in started):
        if any(process.returncode not in (None, 0, STOPPED) for process in started):
            return
        if stop.is_set() and not asked:
            asked = True
            for process in started:
                if process.stdin is not None and process.poll() is None:
                    process.stdin.write(STOP)
                    process.stdin.flush()
        try:
            started[0].wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
        stop.wait(POLL_S)  # the first one has ended: the others are about to


def agreed(asked: Callable[[], bool]) -> Callable[[], bool]:
    """Whether any of the processes was asked to stop: all of them know at the same step, or they would wait for one
    another."""

    def stop() -> bool:
        import torch
        from torch import distributed

        place = f"cuda:{os.environ['LOCAL_RANK']}" if distributed.get_backend() == "nccl" else "cpu"
        told = torch.tensor(float(asked()), device=place)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return bool(told)

    return stop


def _listen(asked: threading.Event) -> None:
    """Wait for the word to stop; the end of the input without it says that the parent is gone."""
    while os.read(0, 64):  # not sys.stdin, whose lock a waiting thread would hold at the interpreter's end
        asked.set()
    if not asked.is_set():
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main(arguments: Sequence[str]) -> int:
    from core.providers.openmp import be_polite
    from core.providers.torch_device import choose
    from core.training import work

    home, folder, name, number, changed = arguments
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    be_polite()  # before torch is there
    settings = override(load_settings(Path(folder)).with_values(TOUCHSTONE_HOME=home), **json.loads(changed))
    if choose(settings).kind == "cuda":
        settings = settings.with_values(TOUCHSTONE_LOCAL_DEVICE=f"cuda:{rank}")
    version = Trained(settings.home).version(name, int(number))
    try:
        work.learn(version, settings, agreed(asked.is_set), rank=rank, processes=count)
    except Helped:
        return 0
    except Stopped:
        return STOPPED
    finally:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
