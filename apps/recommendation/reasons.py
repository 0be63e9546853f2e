"""Why an item is in the list: signals that are there, checked by taking them away.

A reason by history names the event without which the item falls most; where it falls without none, none is named. A
reason by words quotes the item's own text. What has no such signal says that it is popular, new, or only explored;
nothing is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.recommendation.fusion import Features, Fused, drawn_in
from apps.recommendation.generators import History
from apps.recommendation.log import Array, product

SAMPLED = 64  # items beside, by which it is seen how a method is evened out without an event
TINY = 1e-9
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
    """For each of ``items`` the item of ``history`` that its place rests on most, ``None`` where there is none.

    That is the event without which its score falls most beyond what all of ``items`` lose: an event that carries all
    of them alike keeps none of them before the others.
    """
    if not len(history.items) or not len(items):
        return [None] * len(items)
    events, fallen = falls(fused, history, features, items)
    more = fallen - fallen.mean(axis=1, keepdims=True)
    most = np.argmax(np.where(fallen > 0, more, -np.inf), axis=0)
    return [int(events[row]) if fallen[row, column] > 0 else None for column, row in enumerate(most.tolist())]


def falls(fused: Fused, history: History, features: Features, items: Array) -> tuple[Array, Array]:
    """The different items of ``history``, and by how much the scores of ``items`` fall without each of them.

    Only ``items`` and :data:`SAMPLED` others, which tell how center and spread of a method move without an event, are
    scored anew. Shape: ``(events,)`` and ``(events, len(items))``.
    """
    events = np.unique(history.items)
    kept = history.items[None] != events[:, None]  # (events taken away, events)
    after = np.cumsum(kept[:, ::-1], axis=1)[:, ::-1] - kept  # events that remain later than each
    before = np.arange(len(history.items) - 1, -1, -1)
    later = (after - before).astype(float)
    moved = {decay: np.where(kept, decay**later, 0.0) for decay in {g.decay for g in fused.generators}}
    count, all_ = len(items), features.values.shape[1]
    beside = np.unique(np.linspace(0, all_ - 1, min(SAMPLED, all_)).astype(int))
    asked = np.concatenate([items, beside])
    fallen = np.zeros((len(events), count))
    for place, (generator, weight) in enumerate(zip(fused.generators, fused.vector().tolist(), strict=True)):
        if not weight or not (parts := generator.parts(history, asked)).any():
            continue
        again = drawn_in(product(moved[generator.decay], parts), generator.power)
        spread, center = features.spreads[place], features.centers[place]
        was = features.values[place, beside] * spread + center
        rest = again[:, count:]
        centers = center + rest.mean(axis=1) - was.mean()
        spreads = spread * rest.std(axis=1) / max(float(was.std()), TINY)
        told = spreads > TINY  # without its only event a method tells nothing apart
        values = (again[:, :count] - centers[:, None]) * (told / np.maximum(spreads, TINY))[:, None]
        fallen += weight * (features.values[place, items] - values)
    return events, fallen
