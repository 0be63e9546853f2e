"""Pieces of a text by a model that the recipe ``entities`` made, how they are judged, and the baseline: a list of what
was seen.

    tagger = open_tagger(Trained(home).version("orders"), runtime.settings)
    (found,) = await tagger.extract(["Where is TS-20260214-0042?"])
    found[0].label, found[0].text, found[0].probability
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import InputError, MissingFile
from core.evaluation.datasets import Dataset, Record
from core.evaluation.results import Cell, Measure
from core.evaluation.tasks import Task
from core.settings import Settings
from core.training.store import Version

BATCH = 32
COLUMNS = ("hits", "named", "there", "twice_hits", "both")


@dataclass(frozen=True, slots=True)
class Entity:
    """``text`` is the piece from ``start`` to ``end``; ``probability`` that of its least certain token."""

    start: int
    end: int
    label: str
    text: str
    probability: float = 1.0


def open_tagger(version: Version, settings: Settings) -> Tagger:
    """
    Raises:
        InputError: (reason ``wrong_kind``) the version holds a model of another kind.
        MissingFile: its files are gone.
    """
    if version.run.kind != "entities":
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.kind, wanted="entities")
    return Tagger(version, settings)


class Tagger:
    """An encoder that marks tokens; its work waits in the queue of all local models."""

    def __init__(self, version: Version, settings: Settings) -> None:
        from core.providers.sentence_transformers import Loaded
        from core.training.recipes.entities import MARKS

        path = version.model / MARKS
        if not path.is_file():
            raise MissingFile(path=str(path), needed_for=version.served_as)
        told = json.loads(path.read_text("utf-8"))
        self.name, self._marks, self._max_tokens = version.served_as, tuple(told["marks"]), told["max_tokens"]
        self._version, self._settings = version, settings
        self._loaded: Any = Loaded(self._load, "trained", self.name.partition(":")[2])

    async def extract(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The pieces of each text, in their order. Of a text longer than the model reads the beginning is."""
        found: list[list[Entity]] = await self._loaded.run(lambda opened: self._extract(opened, texts))
        return found

    async def aclose(self) -> None:
        self._loaded.release()

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        from core.providers.torch_device import choose
        from core.training.bases import quiet

        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(self._version.model, **safe)
            model: Any = AutoModelForTokenClassification.from_pretrained(
                self._version.model, dtype=torch.float32, **safe
            )
        return model.to(choose(self._settings).name).eval().requires_grad_(False), tokenizer

    def _extract(self, opened: tuple[Any, Any], texts: Sequence[str]) -> list[list[Entity]]:
        import torch

        from core.training.recipes.entities import padded, read_off, tokenized, whole_words

        model, tokenizer = opened
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        read = [tokenized(tokenizer, text, self._max_tokens) for text in clean]
        order, found = sorted(range(len(read)), key=lambda n: len(read[n][0])), [[] for _ in read]  # type: ignore[var-annotated]
        collate = padded(tokenizer)
        with torch.inference_mode():
            for first in range(0, len(order), BATCH):
                numbers = order[first : first + BATCH]
                batch = collate([{"input_ids": read[n][0]} for n in numbers]).to(model.device)
                shares, marks = model(**batch).logits.float().softmax(-1).max(-1)
                for n, row, chosen in zip(numbers, shares.tolist(), marks.tolist(), strict=True):
                    places = read[n][1]
                    names = [self._marks[mark] for mark in chosen[: len(places)]]
                    pieces = whole_words(clean[n], read_off(names, row[: len(places)], places))
                    found[n] = [
                        Entity(start, end, label, clean[n][start:end], round(share, 4))
                        for start, end, label, share in pieces
                    ]
        return found


async def extracted(version: Version, settings: Settings, text: str) -> list[Entity]:
    """The pieces of one text, the model opened and closed for it."""
    tagger = open_tagger(version, settings)
    try:
        (found,) = await tagger.extract([text])
    finally:
        await tagger.aclose()
    return found


class SeenBefore:
    """The baseline: pieces that were seen in the training rows, the longest first, under their most frequent label."""

    def __init__(self, records: Sequence[Record]) -> None:
        labels: dict[str, Counter[str]] = {}
        for record in records:
            for start, end, label in record.metadata["entities"]:
                labels.setdefault(record.input[start:end], Counter())[label] += 1
        self._label = {text: counts.most_common(1)[0][0] for text, counts in labels.items()}
        longest = sorted(self._label, key=lambda text: -len(text))
        self._pattern = re.compile("|".join(map(re.escape, longest))) if longest else None

    def extract(self, text: str) -> list[Entity]:
        found = self._pattern.finditer(text) if self._pattern else ()
        return [Entity(m.start(), m.end(), self._label[m[0]], m[0]) for m in found]


# --- judged -----------------------------------------------------------------------------------------


def task(data: Dataset) -> Task:
    """A piece counts when its beginning, its end and its label are right: precision, recall and F1 over all pieces."""

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        columns: dict[str, list[Cell]] = {name: [] for name in COLUMNS}
        for record, output in zip(records, outputs, strict=True):
            there = {tuple(span) for span in record.metadata["entities"]}
            named = {tuple(span) for span in output or []}
            hits = len(there & named)
            for name, value in zip(COLUMNS, (hits, len(named), len(there), 2 * hits, len(named) + len(there)), strict=True):  # fmt: skip
                columns[name].append(float(value))
        return columns

    measures = (
        Measure("f1", ("twice_hits", "both"), "ratio"),
        Measure("precision", ("hits", "named"), "ratio"),
        Measure("recall", ("hits", "there"), "ratio"),
    )
    return Task("entities", data, judge, measures)


def output(found: Sequence[Entity]) -> list[tuple[int, int, str]]:
    """What :func:`task` judges."""
    return [(entity.start, entity.end, entity.label) for entity in found]
