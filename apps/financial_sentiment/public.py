"""Readers of the public sets that sentiment is measured on, from a user's own copy; fixed splits.

SEntFiN (MIT): https://github.com/pyRis/SEntFiN, headlines with a label for each named entity.
Twitter financial news (MIT on its card): three classes. FiQA-SA: headlines and posts, the three-class split of PIXIU.
FinFE, FinNSP and FinESE of FinCUGE: posts of Chinese stock forums, negative news, types of risk events.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from apps.financial_sentiment.masking import Masked, mask
from apps.financial_sentiment.sketches import groups
from core.errors import MissingFile

LABELS = ("negative", "neutral", "positive")
SEED = "sentfin-1"  # names the split; another one makes another split
_PAIR = re.compile(r"(['\"])(.+?)\1: '(negative|neutral|positive)'(?=[,}])")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to judge. ``group`` is shared by the rows of one text and of texts like it; a row that is not ``usual``
    can be learned from, but the texts to judge are of another kind."""

    id: str
    text: str
    entity: str
    label: str
    group: int
    masked: Masked
    conflicting: bool = False
    usual: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    test: tuple[Row, ...]


def sentfin(folder: Path) -> Split:
    """SEntFiN: 80 % of the groups of near-duplicate headlines to train with (an eighth of them for validation),
    20 % to test. The side follows from a hash of the group's first headline, so no order or seed can move it."""
    path = _there(folder / "SEntFiN.csv")
    with path.open(encoding="utf-8", newline="") as file:
        listed = [(row["S No."], row["Title"], labels_of(row["Decisions"])) for row in csv.DictReader(file)]
    numbers = groups([title for _, title, _ in listed])
    sides: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for (number, title, labels), group in zip(listed, numbers, strict=True):
        side = _side(listed[group][1])
        places = {entity: spans(title, entity) for entity in labels}
        for entity, label in labels.items():
            others = [span for name, found in places.items() if name != entity for span in found]
            row = Row(
                f"{number}:{entity}", title, entity, label, group, mask(title, places[entity], others),
                len(set(labels.values())) > 1,
            )  # fmt: skip
            sides[side].append(row)
    return Split(*(tuple(sides[name]) for name in ("train", "validation", "test")))


def labels_of(decisions: str) -> dict[str, str]:
    """The column ``Decisions``: a Python dictionary whose apostrophes are not escaped.

    >>> labels_of("{'Dr Reddy's': 'neutral', 'Gold': 'positive'}")
    {"Dr Reddy's": 'neutral', 'Gold': 'positive'}
    """
    return {name: label for _, name, label in _PAIR.findall(decisions)}


def spans(text: str, name: str) -> list[tuple[int, int]]:
    """Where ``name`` stands in ``text``, whatever its case; not inside a longer word."""
    pattern = rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"
    return [m.span() for m in re.finditer(pattern, text, re.IGNORECASE)]


def twitter(folder: Path) -> Split:
    """Twitter financial news: the published validation part is the test; a tenth of train is validation."""
    names = ("negative", "positive", "neutral")
    parts = {}
    for part in ("train", "valid"):
        with _there(folder / f"sent_{part}.csv").open(encoding="utf-8", newline="") as file:
            parts[part] = [(row["text"], names[int(row["label"])]) for row in csv.DictReader(file)]
    return _plain(parts["train"], parts["valid"])


def finfe(folder: Path, *, as_published: bool = False) -> Split:
    """FinFE: every text of train once, and of eval those that train lacks. A text of train has the commonest label of its
    copies; where two are as common it is left out.

    What stands in the set twice was put there twice: it is negative in 39 of 100 cases, and what stands there once in 17.
    The texts of the test stand there once, so the copied texts of train are none of validation's and not ``usual``.
    ``as_published`` leaves all of eval in the test, of which train has more than half; then all texts are usual.
    """
    parts = {
        part: [("".join(text.split()), LABELS[int(label)]) for text, label in _json(folder / f"finfe_{part}.json")]
        for part in ("train", "eval")
    }
    votes: dict[str, list[str]] = {}
    for text, label in parts["train"]:
        votes.setdefault(text, []).append(label)
    common = {text: Counter(found).most_common(2) for text, found in votes.items()}
    train = [(text, c[0][0]) for text, c in common.items() if len(c) == 1 or c[0][1] > c[1][1]]
    if as_published:
        return _plain(train, parts["eval"])
    copied = {text for text, found in votes.items() if len(found) > 1}
    return _plain(train, [(text, label) for text, label in parts["eval"] if text not in votes], unusual=copied)


def fiqa(folder: Path) -> Split:
    """FiQA-SA as PIXIU splits it, three classes; the target is that of the challenge's own files, where they name one.

    A text of test that stands in train or validation as well counts in test only.
    """
    targets: dict[str, set[str]] = {}
    for name in ("headline_ABSA_train", "headline_ABSA_test", "post_ABSA_train", "post_ABSA_test"):
        for told in json.loads(_there(folder / f"task1_{name}.json").read_text("utf-8")).values():
            targets.setdefault(told["sentence"], set()).update(part["target"] for part in told["info"])
    parts = {
        part: [
            json.loads(line) for line in _there(folder / f"pixiu_fiqasa_{part}.jsonl").read_text("utf-8").splitlines()
        ]
        for part in ("train", "valid", "test")
    }
    tested = {row["text"] for row in parts["test"]}

    def rows(part: str) -> tuple[Row, ...]:
        found = []
        for number, told in enumerate(parts[part]):
            text, named = told["text"], targets.get(told["text"], set())
            if part != "test" and text in tested:
                continue
            entity = next(iter(named)) if len(named) == 1 else ""
            own = spans(text, entity) if entity else []
            found.append(Row(f"{part}:{number}", text, entity, told["label"].lower(), number, mask(text, own)))
        return tuple(found)

    return Split(rows("train"), rows("valid"), rows("test"))


def finnsp(folder: Path) -> Split:
    """FinNSP: does a text hold negative news of a company? Labels ``negative`` and ``neutral``; title and text together."""

    def read(part: str) -> list[tuple[str, str]]:
        told = json.loads(_there(folder / f"finnsp_{part}.json").read_text("utf-8"))
        rows = [row for row in told if str(row[4]) in ("0", "1")]  # train has the line of its heads among the rows
        return [(f"{title}\n{text}" if title != text else text, ("neutral", "negative")[int(label)])
                for _, title, text, _, label, _ in rows]  # fmt: skip

    return _plain(read("train"), read("eval"))


def finese(folder: Path) -> Split:
    """FinESE: which type of risk event a text tells of; the subject is not used, it is only known where there is one."""

    def read(part: str) -> list[tuple[str, str]]:
        told = json.loads(_there(folder / f"finese_{part}.json").read_text("utf-8"))
        return [(row[1], row[2]) for row in told if len(row) == 4]

    return _plain(read("train"), read("eval"))


def _plain(
    train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]], *, unusual: Set[str] = frozenset()
) -> Split:
    found: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for number, (text, label) in enumerate(train):
        usual = text not in unusual
        side = "validation" if usual and share(text) < 0.1 else "train"
        found[side].append(Row(f"train:{number}", text, "", label, number, mask(text, ()), usual=usual))
    found["test"] = [Row(f"test:{i}", t, "", label, i, mask(t, ())) for i, (t, label) in enumerate(test)]
    return Split(*(tuple(found[name]) for name in ("train", "validation", "test")))


def _side(text: str) -> str:
    place = share(text)
    return "test" if place < 0.2 else "validation" if place < 0.3 else "train"


def share(text: str) -> float:
    """A number from 0 to 1 that follows from the text alone: the side of a split it falls on."""
    return int.from_bytes(hashlib.sha256(f"{SEED} {text}".encode()).digest()[:6]) / (1 << 48)


def _json(path: Path) -> list[tuple[str, str]]:
    rows = json.loads(_there(path).read_text("utf-8"))
    return [(row[0], row[1]) for row in rows if len(row) == 2 and str(row[1]) in ("0", "1", "2")]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="evaluation")
    return path


def checksum(rows: Sequence[Row]) -> str:
    """SHA-256 of what is judged, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.id, row.text, row.entity, row.label], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
