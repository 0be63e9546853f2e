"""A data set: records with unique ids, a split, a checksum. ``core.evaluation.loaders`` reads them from files."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """A text that questions are asked about."""

    id: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to judge. ``input`` goes to the system; the rest is what the judge knows.

    ``answers`` are all right answer texts: none means that the question has no answer. ``relevant`` gives
    the gain of each judged document; 0 or less means judged and not relevant.
    """

    id: str
    input: str
    label: str | None = None
    answers: tuple[str, ...] = ()
    relevant: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records with unique ids, and for retrieval the documents they are asked about."""

    name: str
    split: str
    records: tuple[Record, ...]
    documents: tuple[Document, ...] = ()
    checksum: str = ""  # SHA-256 of records and documents, filled in when left empty

    def __post_init__(self) -> None:
        _refuse_duplicates((r.id for r in self.records), self.name)
        _refuse_duplicates((d.id for d in self.documents), self.name)
        if not self.checksum:
            object.__setattr__(self, "checksum", checksum(self.records, self.documents))

    def __len__(self) -> int:
        return len(self.records)


def checksum(records: Iterable[Record], documents: Iterable[Document] = ()) -> str:
    """SHA-256 of the content in order, metadata left out."""
    digest = hashlib.sha256()
    items: tuple[Record | Document, ...] = (*records, *documents)
    for item in items:
        parts = {k: v for k, v in asdict(item).items() if k != "metadata"}
        digest.update(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def sample(data: Dataset, size: int, *, seed: int = 0) -> Dataset:
    """``size`` records drawn at random, in their old order; the documents stay whole.

    The split's name says so, and the checksum is another, so a sample is never taken for the whole.
    """
    if size >= len(data):
        return data
    chosen = sorted(random.Random(seed).sample(range(len(data)), size))
    records = tuple(data.records[i] for i in chosen)
    return replace(data, split=f"{data.split}-sample{size}-seed{seed}", records=records, checksum="")


def among(data: Dataset, others: Iterable[Dataset]) -> Dataset:
    """The same questions, asked about the documents of ``others`` too: none of those is relevant to them.

    Their ids are written ``name/id``, so that two sets may number theirs alike. The name says what was added.
    """
    added, names = list(data.documents), [data.name]
    for other in others:
        names.append(other.name)
        added += (replace(document, id=f"{other.name}/{document.id}") for document in other.documents)
    return replace(data, name="+".join(names), documents=tuple(added), checksum="")


def divide(
    data: Dataset,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    group: Callable[[Record], str] = lambda record: record.id,
) -> dict[str, Dataset]:
    """Split by the hash of each record's ``group``: the same records go the same way in any order of rows.

    Records of one group (near-duplicates, one author) stay together. ``shares`` sum to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares sum to {sum(shares.values())}, not 1")
    groups: dict[str, list[int]] = {}
    for place, record in enumerate(data.records):
        groups.setdefault(group(record), []).append(place)
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
    parts: dict[str, list[int]] = {name: [] for name in shares}
    names, limit, given = iter(shares.items()), 0.0, 0
    part, share = next(names)
    limit += share * len(data)
    for key in order:
        while given >= limit - 1e-9 and part != [*shares][-1]:
            part, share = next(names)
            limit += share * len(data)
        parts[part] += groups[key]
        given += len(groups[key])
    return {
        name: replace(data, split=name, records=tuple(data.records[i] for i in sorted(places)), checksum="")
        for name, places in parts.items()
    }


def _refuse_duplicates(ids: Iterable[str], name: str) -> None:
    seen: set[str] = set()
    for value in ids:
        if value in seen:
            raise InputError(reason="data_duplicate", where=name, value=value)
        seen.add(value)
