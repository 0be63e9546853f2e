"""Why an item is in the list: signals that are there, checked by taking them away.

A reason by history names the event whose part in the score is largest, and is given only when the score falls
without it. A reason by words quotes the item's own text. What has no such signal says that it is popular, new, or
only explored; nothing is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.recommendation.fusion import Fused
from apps.recommendation.generators import History
from apps.recommendation.log import Array

Kind = Literal["history", "said", "title", "quote", "popular", "new", "explored", "boosted"]
_TRIED = 3  # events looked at for one item


@dataclass(frozen=True, slots=True)
class Reason:
    """A signal behind a pick.

    Args:
        item: id of the item of the person's history, or that they named.
        concept: what was wished, a name of ``concepts.yaml``.
        text: the item's own text, or a tag, in which ``start`` to ``end`` shows it; for a boost its name.
        count: events with the item, for ``popular``.
    """

    kind: Kind
    item: str = ""
    concept: str = ""
    text: str = ""
    start: int = 0
    end: int = 0
    count: int = 0


def shares(fused: Fused, history: History, features: Array, items: Array) -> Array:
    """How much of each item's score rests on each event, over all methods. Shape: ``(events, len(items))``."""
    found = np.zeros((len(history.items), len(items)))
    for generator, weight, row in zip(fused.generators, fused.vector().tolist(), features[:, items], strict=True):
        parts = generator.parts(history, items)
        whole = np.abs(parts).sum(axis=0)
        for_it = np.where(whole > 1e-12, np.maximum(weight * row, 0) / np.maximum(whole, 1e-12), 0.0)
        found += parts * for_it
    return found


def from_history(fused: Fused, history: History, features: Array, items: Array) -> list[int | None]:
    """For each of ``items`` the item of ``history`` that it rests on most, ``None`` where there is none."""
    if not len(history.items):
        return [None] * len(items)
    part = shares(fused, history, features, items)
    before = fused.scores(history, features)[items]
    without: dict[int, Array] = {}
    found: list[int | None] = []
    for column, score in enumerate(before.tolist()):
        best = None
        for row in np.argsort(-part[:, column], kind="stable")[:_TRIED].tolist():
            event = int(history.items[row])
            if part[row, column] <= 0 or event == int(items[column]):
                continue
            if event not in without:
                without[event] = fused.scores(history.without(event))[items]
            if without[event][column] < score:
                best = event
                break
        found.append(best)
    return found
