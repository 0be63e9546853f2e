"""Who else watches a run: TensorBoard always, Weights & Biases or SwanLab where the setting ``training.track`` says so.

    tensorboard --logdir ~/.touchstone/trained

A service is told losses, learning rate and the recipe's settings, no row of the data; by itself it also notes what machine
it runs on. The Trainer's own callbacks for the two are not used: that of SwanLab asks for a run before there is one (transformers
5.23, SwanLab 0.10), and that of W&B never ends its run, so the next run of the same process went on with its curve.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import MissingPackage
from core.settings import Settings


def require(settings: Settings) -> str:
    """The service to tell, or nothing.

    Raises:
        MissingPackage: its package is not installed.
    """
    track: str = settings.values["training.track"]
    if track and find_spec(track) is None:
        raise MissingPackage(package=track, needed_for=f"training.track={track}", install=f"pip install {track}")
    return track


def boards(folder: Path | None) -> list[Any]:
    """A callback that writes a run's curve into ``folder`` for TensorBoard; a run that goes on adds to it."""
    if folder is None:
        return []
    from tensorboardX import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(folder), flush_secs=10))]


@contextmanager
def service(track: str, name: str, folder: Path, settings: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A callback that tells the service ``track`` of a run called ``name``; none where ``track`` is empty.

    A run that goes on after a kill is another run there, with the same name. Whatever else is wanted of a service is its
    own setting, such as ``WANDB_PROJECT``, ``WANDB_MODE=offline`` or ``SWANLAB_MODE=local``.

    Args:
        folder: in which the service makes a folder of its name for what it keeps.
    """
    if not track:
        yield []
        return
    with redirect_stdout(sys.stderr):  # standard output is the command's own
        run = _begun(track, name, folder, dict(settings))
    try:
        yield [_teller(run)]
    finally:
        with redirect_stdout(sys.stderr):
            run.finish()


def _begun(track: str, name: str, folder: Path, settings: dict[str, Any]) -> Any:
    """A run of the service; what is said on the terminal is not sent, which both would do by themselves."""
    package = import_module(track)
    if track == "wandb":
        quiet = package.Settings(console="off")
        return package.init(name=name, config=settings, dir=str(folder), reinit="create_new", settings=quiet)
    # SwanLab has one run a process; a second one at the same time is refused in its words.
    quiet = package.Settings(terminal={"proxy_type": "none"})
    return package.init(name=name, config=settings, log_dir=str(folder / track), settings=quiet)


def _teller(run: Any) -> Any:
    from transformers import TrainerCallback

    class _Teller(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
            told = {
                f"eval/{name[5:]}" if name.startswith("eval_") else f"train/{name.removeprefix('train_')}": value
                for name, value in (logs or {}).items()
                if isinstance(value, (int, float))
            }
            run.log(told, step=state.global_step)

    return _Teller()
