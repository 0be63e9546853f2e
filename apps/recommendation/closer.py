"""A closer look at what was fitted: what is like an item, what an item's place rests on, what all lists show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.recommendation.catalogue import Catalogue
from apps.recommendation.data import Event, Item
from apps.recommendation.lists import histories
from apps.recommendation.log import Array
from apps.recommendation.reasons import falls

WELL_KNOWN = 0.1  # of the items are called so


@dataclass(frozen=True, slots=True)
class Similar:
    """An item like another: ``together`` of the ``people`` who took that one took it too, ``near`` is the cosine of
    centered texts, ``tags`` are shared."""

    item: Item
    together: int
    people: int
    near: float | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What top-10 lists show. ``well_known`` is the share of places that the best-known tenth of the items holds,
    ``promoted`` the share that boosts lift or hold back, ``most`` the items in most lists.
    ``left_out`` counts items out of stock and items for an age only."""

    people: int
    coverage: float
    well_known: float
    promoted: float
    most: tuple[tuple[Item, int], ...]
    left_out: Mapping[str, int]
    weights: Mapping[str, float]


def similar(found: Catalogue, mine: int, others: Sequence[int]) -> list[Similar]:
    """What the likeness of each of ``others`` to an item rests on."""
    log = found.fused.log
    people = np.unique(log.user[log.item == mine])
    pairs = np.unique(np.stack([log.user, log.item], axis=1)[np.isin(log.user, people)], axis=0)
    together = np.bincount(pairs[:, 1], minlength=len(found.items))
    rows = []
    for other in others:
        near = None if found.near is None else float(found.near[mine] @ found.near[other])
        shared = tuple(tag for tag in found.items[mine].tags if tag in found.items[other].tags)
        rows.append(Similar(found.items[other], int(together[other]), len(people), near, shared))
    return rows


def why(found: Catalogue, events: Sequence[Event], number: int, now: float) -> list[tuple[Event, float]]:
    """The events without which the score of an item would fall, with their shares of these falls, greatest first."""
    history, _, _ = histories(found, events, (), (), now)
    if not len(history.items):
        return []
    numbers, fallen = falls(found.fused, history, found.fused.features(history), np.array([number]))
    lost = np.maximum(fallen[:, 0], 0)
    latest = {event.item: event for event in events}
    order = [int(row) for row in np.argsort(-lost, kind="stable") if lost[row] > 0]
    return [(latest[found.items[int(numbers[row])].id], float(lost[row] / lost.sum())) for row in order]


def shown(found: Catalogue, lists: Sequence[Sequence[int]], moved: Array) -> Shown:
    """What ``lists`` of item numbers show; ``moved`` says which items a boost lifts or holds back."""
    counts = np.bincount([number for row in lists for number in row], minlength=len(found.items))
    known = np.argsort(-found.counts, kind="stable")[: max(1, round(WELL_KNOWN * len(found.items)))]
    return Shown(
        people=len(lists),
        coverage=float((counts > 0).mean()),
        well_known=float(counts[known].sum() / max(1, counts.sum())),
        promoted=float(counts[moved].sum() / max(1, counts.sum())),
        most=tuple((found.items[i], int(counts[i])) for i in np.argsort(-counts, kind="stable")[:5] if counts[i]),
        left_out={"stock": int((~found.stock).sum()), "age": int((found.age > 0).sum())},
        weights=dict(found.fused.weights),
    )
