"""Fixed splits: which rows are learned from, which choose the best moment, which judge. Decided by content.

A row's part follows from a hash of its folded text, so near-duplicates stay together, the same rows go the same way in
any order, and a row that judged one model is never learned from by the next when the data have grown.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.evaluation.datasets import Dataset, Record
from core.training.data import SHOWN, Finding, Kind, fold

SHARES = {"test": 0.15, "validation": 0.15}  # the rest is learned from
LEAST = 8  # rows in all that can be divided
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Splits:
    """Three data sets without a row in common. ``findings`` tell what had to be moved or left out."""

    train: Dataset
    validation: Dataset
    test: Dataset
    findings: tuple[Finding, ...] = ()

    @property
    def checksum(self) -> str:
        """SHA-256 over the three parts: two runs with the same one learned and judged on the same rows."""
        return hashlib.sha256("\n".join(getattr(self, part).checksum for part in PARTS).encode()).hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        return {part: len(getattr(self, part)) for part in PARTS}


def divide(data: Dataset, kind: Kind, *, given: dict[str, Dataset] | None = None, seed: int = 0) -> Splits:
    """Divide ``data``; a part in ``given`` (``validation``, ``test``) is taken as it is, and what ``data`` shares with
    it is taken out of ``data``."""
    given = given or {}
    records, findings = without_repeats(data.records, kind)
    keys = {key(record, kind) for part in given.values() for record in part.records}
    leaked = [record for record in records if key(record, kind) in keys]
    if leaked:
        findings.append(Finding("leaked", "warning", len(leaked), _places(leaked)))
        records = [record for record in records if key(record, kind) not in keys]
    parts: dict[str, list[Record]] = {part: [] for part in PARTS}
    for record in records:
        parts[_part(key(record, kind), given, seed)].append(record)
    if kind == "classification":
        _keep_every_label_in_train(parts)
    findings += _fill(parts, given, kind)
    made = {part: replace(data, split=part, records=tuple(parts[part]), checksum="") for part in PARTS}
    made |= {part: replace(found, split=part, checksum="") for part, found in given.items()}
    return Splits(made["train"], made["validation"], made["test"], tuple(findings))


def key(record: Record, kind: Kind) -> str:
    """What near-duplicates share. Of pairs both sides count: a question may have several answers."""
    return fold(record.input + record.answers[0]) if kind == "pairs" else fold(record.input)


def without_repeats(records: Sequence[Record], kind: Kind) -> tuple[list[Record], list[Finding]]:
    """``records`` without exact repeats, and without texts that bear two labels: nobody knows which is right."""
    labels: dict[str, set[str]] = {}
    for record in records:
        labels.setdefault(record.input, set()).add(record.label or "")
    kept: list[Record] = []
    repeats: list[Record] = []
    doubtful: list[Record] = []
    seen: set[tuple[str, ...]] = set()
    for record in records:
        whole = (record.input, *record.answers)
        if len(labels[record.input]) > 1:
            doubtful.append(record)
        elif whole in seen:
            repeats.append(record)
        else:
            kept.append(record)
        seen.add(whole)
    findings = []
    if repeats:
        findings.append(Finding("duplicate", "note", len(repeats), _places(repeats)))
    if doubtful:
        findings.append(Finding("contradiction", "warning", len(doubtful), _places(doubtful)))
    return kept, findings


def _places(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(str(record.metadata.get("where", record.id)) for record in records[:SHOWN])


def _part(text: str, given: dict[str, Dataset], seed: int) -> str:
    point = int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:8], "big") / 2**64
    limit = 0.0
    for part, share in SHARES.items():
        if part in given:
            continue  # its share is learned from
        limit += share
        if point < limit:
            return part
    return "train"


def _keep_every_label_in_train(parts: dict[str, list[Record]]) -> None:
    """A label with few rows may have fallen outside altogether; then its rows are learned from."""
    here = {record.label for record in parts["train"]}
    for part in ("validation", "test"):
        stray = [record for record in parts[part] if record.label not in here]
        parts["train"] += stray
        parts[part] = [record for record in parts[part] if record.label in here]


def _fill(parts: dict[str, list[Record]], given: dict[str, Dataset], kind: Kind) -> list[Finding]:
    """Of very few rows chance may leave a part empty: it gets one of the label that has most, where there is one without
    near-duplicates among those that are learned from; told where there is none."""
    alike: list[Record] = []
    for part in ("validation", "test"):
        if part in given or parts[part] or len(parts["train"]) < LEAST:
            continue
        keys = [key(record, kind) for record in parts["train"]]
        times, labels = Counter(keys), Counter(record.label for record in parts["train"])
        order = sorted(range(len(keys)), key=lambda i: (times[keys[i]] > 1, -labels[parts["train"][i].label]))
        place = next((i for i in order if labels[parts["train"][i].label] > 1), order[0])
        parts[part].append(parts["train"].pop(place))
        if times[keys[place]] > 1:
            alike.append(parts[part][0])
    return [Finding("too_alike", "warning", len(alike), _places(alike))] if alike else []
