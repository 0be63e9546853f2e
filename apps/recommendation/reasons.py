"""Why an item is in the list: signals that are there, checked by taking them away.

A reason by history names the event without which the score falls most; where it falls without none, none is named. A reason by words quotes the item's own text. What has no such signal says that it is popular, new, or
only explored; nothing is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.recommendation.fusion import Features, Fused, drawn_in
from apps.recommendation.generators import History
from apps.recommendation.log import Array

Kind = Literal["history", "said", "title", "quote", "popular", "new", "explored", "boosted"]


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


def from_history(fused: Fused, history: History, features: Features, items: Array) -> list[int | None]:
    """For each of ``items`` the item of ``history`` that it rests on most, ``None`` where there is none."""
    if not len(history.items) or not len(items):
        return [None] * len(items)
    events, fallen = falls(fused, history, features, items)
    largest = np.argmax(fallen, axis=0)
    return [int(events[row]) if fallen[row, column] > 0 else None for column, row in enumerate(largest.tolist())]


def falls(fused: Fused, history: History, features: Features, items: Array) -> tuple[Array, Array]:
    """The different items of ``history``, and by how much the scores of ``items`` fall without each of them.

    What a method says without an event is put on the scale that it has with it, so that only ``items`` are scored
    anew. Shape: ``(events,)`` and ``(events, len(items))``.
    """
    events = np.unique(history.items)
    kept = history.items[None] != events[:, None]  # (events taken away, events)
    after = np.cumsum(kept[:, ::-1], axis=1)[:, ::-1] - kept  # events that remain later than each
    before = np.arange(len(history.items) - 1, -1, -1)
    later = (after - before).astype(float)
    moved = {decay: np.where(kept, decay**later, 0.0) for decay in {g.decay for g in fused.generators}}
    fallen = np.zeros((len(events), len(items)))
    for place, (generator, weight) in enumerate(zip(fused.generators, fused.vector().tolist(), strict=True)):
        if not weight or not (parts := generator.parts(history, items)).any():
            continue
        again = moved[generator.decay] @ parts
        drawn = drawn_in(again, generator.power)
        values = (drawn - features.centers[place]) / features.spreads[place]
        fallen += weight * (features.values[place, items] - values)
    return events, fallen
