"""How good a head is on a user's own labeled texts, beside the most frequent label, the lexicon and TF-IDF.

Three ways: the head as it ships or as it is in use, on all rows; a head of the same recipe trained on a file of its own;
or trained on the other folds in turn. Rows that have a time make folds that go forward: each block is judged by what
came before it, and the first is only learned from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from apps.financial_sentiment import evaluate, own, public, sources
from apps.financial_sentiment.companies import Dictionary
from apps.financial_sentiment.evaluate import Output
from apps.financial_sentiment.head import Head, Judged
from apps.financial_sentiment.public import LABELS, Row
from apps.financial_sentiment.sketches import groups
from apps.financial_sentiment.train import labeled, on_rows
from apps.spreadsheet import decoded
from core.errors import InputError, MissingFile

if TYPE_CHECKING:
    import numpy as np

    from core.evaluation.results import Evaluation

NAMES = {
    "negative": ("negative", "neg", "bearish", "-1", "负面", "消极", "利空", "负"),
    "neutral": ("neutral", "neu", "0", "中性", "中立"),
    "positive": ("positive", "pos", "bullish", "1", "+1", "正面", "积极", "利好", "正"),
}
_LABEL_OF = {name: label for label, names in NAMES.items() for name in names}
Vectors = Callable[[Sequence[Row]], "np.ndarray"]


@dataclass(frozen=True, slots=True)
class Labels:
    """The rows of a file, and their times when all of them have one."""

    name: str
    rows: tuple[Row, ...]
    times: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({row.label for row in self.rows}))


def read(path: Path, dictionary: Dictionary) -> Labels:
    """A CSV file with the columns ``text``, ``label`` and, if they are there, ``entity`` and ``published``.

    Raises:
        MissingFile: the file is not there.
        InputError: a column is missing, a label is none of :data:`NAMES`, a time is none, or all labels are the same.
    """
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="evaluation")
    reader = csv.DictReader(io.StringIO(decoded(path.read_bytes(), path.name), newline=""))
    for column in ("text", "label"):
        if column not in (reader.fieldnames or ()):
            allowed = ", ".join(reader.fieldnames or ())
            raise InputError(reason="data_column", where=path.name, value=column, allowed=allowed)
    told = [{name: (value or "").strip() for name, value in row.items() if isinstance(name, str)} for row in reader]
    told = [row for row in told if row["text"]]
    numbers = groups([row["text"] for row in told])
    rows = [
        own.row(number, row["text"], row.get("entity", ""), label_of(row["label"]), group, dictionary)
        for number, (row, group) in enumerate(zip(told, numbers, strict=True))
    ]
    if len({row.label for row in rows}) < 2:
        value = ", ".join({row.label for row in rows})
        raise InputError(reason="bad_value", name=f"{path.name}: label", value=value, allowed=", ".join(LABELS))
    times = tuple(found for row in told if (found := sources.moment(row.get("published"))) is not None)
    return Labels(path.name, tuple(rows), times if len(times) == len(rows) else ())


def label_of(said: str) -> str:
    """
    >>> label_of("Bullish"), label_of("负面"), label_of("0")
    ('positive', 'negative', 'neutral')
    """
    found = _LABEL_OF.get(said.lower())
    if found is None:
        allowed = "; ".join(" = ".join(names) for names in NAMES.values())
        raise InputError(reason="bad_value", name="label", value=said[:60], allowed=allowed)
    return found


def as_it_is(head: Head, data: Labels, vectors: Vectors) -> list[Evaluation]:
    """``head`` on every row, beside the baselines that learn nothing."""
    outputs = {"majority": evaluate.majority(data.rows, data.rows), "lexicon": _lexicon(data.labels, data.rows)}
    name = str(head.about.get("version", "head"))
    return _evaluations(data, data.rows, {**outputs, name: _judged(head, data.labels, data.rows, vectors)}, "all")


def trained(kind: str, learned: Labels, data: Labels, vectors: Vectors, *, embedding: str = "") -> list[Evaluation]:
    """A head of the recipe ``kind`` trained on ``learned``; a text that both have is left out of the learning.

    Args:
        embedding: the name of the model that makes ``vectors``.

    Raises:
        InputError: (``bad_value``) too little is left to learn from.
    """
    tested = {"".join(row.text.split()) for row in data.rows}
    rows = [row for row in learned.rows if "".join(row.text.split()) not in tested]
    return _evaluations(data, data.rows, _systems(kind, rows, data.rows, data.labels, vectors, embedding), "test")


def folded(kind: str, data: Labels, folds: int, vectors: Vectors, *, embedding: str = "") -> list[Evaluation]:
    """Every fold judged by a head trained on the others, or with times on those before it."""
    outputs: dict[str, dict[int, Output]] = {}
    for inside, outside in _splits(data, folds):
        test = [data.rows[i] for i in outside]
        made = _systems(kind, [data.rows[i] for i in inside], test, data.labels, vectors, embedding)
        for system, found in made.items():
            outputs.setdefault(system, {}).update(zip(outside, found, strict=True))
    judged = sorted(outputs["majority"])
    rows = [data.rows[i] for i in judged]
    return _evaluations(data, rows, {s: [found[i] for i in judged] for s, found in outputs.items()}, f"{folds} folds")


def _splits(data: Labels, folds: int) -> list[tuple[list[int], list[int]]]:
    """Places to learn from and places to judge. What is alike stays on one side; with times nothing later is learned."""
    if data.times:
        order = sorted(range(len(data.rows)), key=lambda i: (data.times[i], i))
        ends = [len(order) * n // (folds + 1) for n in range(folds + 2)]
        parts = [order[a:b] for a, b in pairwise(ends)]
        made = []
        for number in range(1, folds + 1):
            if not parts[number]:
                continue
            begin = data.times[parts[number][0]]
            alike = {data.rows[i].group for i in parts[number]}
            before = [i for part in parts[:number] for i in part]
            made.append(
                ([i for i in before if data.times[i] < begin and data.rows[i].group not in alike], parts[number])
            )
        return made
    side = [_fold(data.rows[row.group].text, folds) for row in data.rows]
    every = range(len(data.rows))
    return [
        ([i for i in every if side[i] != n], outside)
        for n in range(folds)
        if (outside := [i for i in every if side[i] == n])
    ]


def _fold(text: str, folds: int) -> int:
    return int(public.share(text) * folds)


def _systems(
    kind: str, learned: Sequence[Row], rows: Sequence[Row], labels: tuple[str, ...], vectors: Vectors, embedding: str
) -> dict[str, list[Output]]:
    if len(learned) < own.LEAST or len({row.label for row in learned}) < 2:
        raise InputError(reason="bad_value", name="train", value=len(learned), allowed=f"{own.LEAST} …")
    known = None if kind == "words" else vectors(learned)
    head = on_rows(kind, learned, known, embedding="" if kind == "words" else embedding)
    return {
        "majority": evaluate.majority(learned, rows),
        "lexicon": _lexicon(labels, rows),
        "tfidf+svm": evaluate.tfidf(learned, rows),
        kind: _judged(head, labels, rows, vectors),
    }


def _judged(head: Head, labels: tuple[str, ...], rows: Sequence[Row], vectors: Vectors) -> list[Output]:
    found = vectors(rows) if head.embedding else labeled(rows).vectors
    return [among(j, labels) for j in head.judge([row.masked for row in rows], found)]


def among(judged: Judged, labels: Sequence[str]) -> Output:
    """What a judgment says where only ``labels`` count. Where two of the three do and one is neutral, neutral is all that
    is not the other; between positive and negative, the likelier of the two.

    >>> said = Judged("positive", 0.6, {"positive": 0.6, "neutral": 0.1, "negative": 0.3})
    >>> among(said, ("negative", "neutral"))
    Output(label='neutral', confidence=0.7)
    """
    shares = dict(judged.probabilities)
    left = sum(share for label, share in shares.items() if label not in labels)
    shares = {label: share for label, share in shares.items() if label in labels}
    if left and "neutral" in labels:
        shares["neutral"] = shares.get("neutral", 0.0) + left
    label = max(sorted(shares), key=shares.__getitem__)
    return Output(label, round(shares[label] / (sum(shares.values()) or 1.0), 9))


def _lexicon(labels: Sequence[str], rows: Sequence[Row]) -> list[Output]:
    """As :func:`among`; where no word points anywhere and neutral does not count, the first of the labels."""
    said = evaluate.lexicon_says(rows)
    other = "neutral" if "neutral" in labels else labels[0]
    return [output if output.label in labels else replace(output, label=other) for output in said]


def _evaluations(data: Labels, rows: Sequence[Row], outputs: dict[str, list[Output]], split: str) -> list[Evaluation]:
    return [evaluate.evaluation(data.name, system, rows, found, split) for system, found in outputs.items()]
