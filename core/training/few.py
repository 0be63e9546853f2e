"""Aids where rows are few: a fixed number of each label, and more rows made of those there are.

What is made keeps its label: a slip of the finger, the other case, no punctuation, full width, the other Chinese script.
It is for the part that is learned from; a row and what is made of it must not stand on two sides of a split, so make
rows of the training file alone and name the others with ``--validation`` and ``--test``.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.errors import InputError
from core.evaluation.datasets import Record
from core.retrieval.simplified import SIMPLIFIED
from core.training.typos import with_typos

_MARKS = re.compile(r"[^\w\s]+")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_TRADITIONAL = {ord(simple): chr(code) for code, simple in reversed(SIMPLIFIED.items())}


def drawn(records: Sequence[Record], per_label: int, *, seed: int = 0) -> list[Record]:
    """``per_label`` records of each label, in the order of the file.

    Raises:
        InputError: (reason ``bad_value``) a label has fewer.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        places[str(record.label)].append(place)
    least = min(map(len, places.values()), default=0)
    if not 1 <= per_label <= least:
        raise InputError(reason="bad_value", name="--per-label", value=per_label, allowed=f"1 … {least}")
    draw = random.Random(seed)
    chosen = {place for label in sorted(places) for place in draw.sample(places[label], per_label)}
    return [record for place, record in enumerate(records) if place in chosen]


def augmented(records: Sequence[Record], copies: int, *, seed: int = 0) -> list[Record]:
    """The records, each followed by up to ``copies`` that say the same in another form; none is there twice."""
    draw, there = random.Random(seed), {record.input for record in records}
    found = []
    for record in records:
        made = dict.fromkeys(way(record.input) for way in draw.sample(WAYS, len(WAYS)))
        new = [text for text in made if text.strip() and text not in there][:copies]
        there.update(new)
        found += [record, *(replace(record, id=f"{record.id}+{n}", input=text) for n, text in enumerate(new, 1))]
    return found


def _other_case(text: str) -> str:
    return text.lower() if text != text.lower() else text.capitalize()


def _without_marks(text: str) -> str:
    return _MARKS.sub(" ", text).strip()


def _wide(text: str) -> str:
    return text.translate(_WIDE)


def _other_script(text: str) -> str:
    simple = text.translate(SIMPLIFIED)
    return simple if simple != text else text.translate(_TRADITIONAL)


WAYS: tuple[Callable[[str], str], ...] = (with_typos, _other_case, _without_marks, _wide, _other_script)
