"""Who else watches a run: TensorBoard always, Weights & Biases or SwanLab where the setting ``training.track`` says so.

    tensorboard --logdir ~/.touchstone/trained

What is sent is what transformers' own callbacks send: losses, learning rate and settings, no row of the data. W&B and
SwanLab have settings of their own, such as ``WANDB_MODE=offline``.
"""

from __future__ import annotations

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
