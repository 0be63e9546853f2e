"""What a fit learns from people together, kept in a file: the weights of the methods, and how often items stand in lists.

Learning it takes most of the time of a fit, and the same events teach the same, so a process that starts again, or a
command, reads it. The file says which data it was learnt from; of other data, of another version, or damaged, it is of
no use, and everything is learnt anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.recommendation.log import Array, Log

log = logging.getLogger(__name__)
VERSION = "1"  # raised when the same data teach something else


@dataclass(frozen=True, slots=True)
class Lesson:
    """``weights`` by method, learnt from so many held-out events; ``exposure`` ``(items,)`` as in ``exposure.py``."""

    weights: Mapping[str, float]
    learnt_from: int
    exposure: Array


def digest(events: Log, vectors: Array | None, numbers: Array | None) -> str:
    """What a lesson depends on. Names of people and items do not count: methods know numbers only."""
    found = hashlib.blake2b(f"{VERSION} {len(events.users)} {len(events.items)}".encode(), digest_size=16)
    for array in (events.user, events.item, events.at, events.value, vectors, numbers):
        found.update(b"-" if array is None else f"{array.dtype} {array.shape} ".encode())
        if array is not None:
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def read(places: Iterable[Path], wanted: str) -> Lesson | None:
    """The lesson of the data ``wanted``, from the first file that has it."""
    for place in places:
        try:
            with np.load(place, allow_pickle=False) as file:
                if str(file["digest"]) == wanted:
                    names, values = file["names"].tolist(), file["weights"].tolist()
                    return Lesson(dict(zip(names, values, strict=True)), int(file["learnt_from"]), file["exposure"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s cannot be read (%s); learning anew", place, error)
    return None


def write(place: Path, of: str, lesson: Lesson) -> None:
    """Put ``lesson`` of the data ``of`` in place of what ``place`` held. Where that fails, the next process learns anew."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=place.parent) as beside:
            fresh = Path(beside) / place.name
            np.savez(
                fresh, digest=of, names=list(lesson.weights), weights=list(lesson.weights.values()),
                learnt_from=lesson.learnt_from, exposure=lesson.exposure,
            )  # fmt: skip
            os.replace(fresh, place)
    except OSError as error:
        log.warning("%s cannot be written (%s)", place, error)
