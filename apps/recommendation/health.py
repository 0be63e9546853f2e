"""How good the data are that a catalogue is fitted on: what is there, what is missing, what weighs too much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.recommendation.catalogue import Catalogue
from apps.recommendation.fusion import FEW, LEAST

TOP_SHARE = 0.01  # the best-known hundredth of the items


@dataclass(frozen=True, slots=True)
class Health:
    """Counts of what a fit reads. Times are seconds since 1970, ``None`` where events have an order only."""

    items: int
    people: int
    events: int
    first: float | None
    last: float | None
    untold: int  # items without a description
    untagged: int
    undated: int  # items without a year
    out_of_stock: int
    untaken: int  # items that nobody took
    rare: int  # items that some took, but fewer than FEW people: they borrow from what reads alike
    newcomers: int  # people with too few events to learn weights from
    repeated: int  # events with an item that the same person had taken before
    top_share: float  # of all events, what the best-known hundredth of the items has
    rated: bool  # whether events have different values
    reads_text: bool
    kinds: Mapping[str, tuple[int, int]]  # items and events of each kind


def health(found: Catalogue) -> Health:
    log, items = found.fused.log, found.items
    counts = found.counts
    per_person = np.bincount(log.user, minlength=len(log.users))
    pairs = np.unique(log.user.astype(np.int64) * max(1, len(items)) + log.item)
    best = -np.sort(-counts)[: max(1, round(TOP_SHARE * len(items)))]
    dated = len(log) > 0 and float(log.at.max() - log.at.min()) > 86_400
    of_kind = Counter(item.kind for item in items)
    events = Counter(dict.fromkeys(of_kind, 0))
    for item, count in zip(items, counts.tolist(), strict=True):
        events[item.kind] += int(count)
    return Health(
        items=len(items),
        people=len(log.users),
        events=len(log),
        first=float(log.at.min()) if dated else None,
        last=float(log.at.max()) if dated else None,
        untold=sum(not any(item.abouts.values()) for item in items),
        untagged=sum(not item.tags for item in items),
        undated=sum(item.year is None for item in items),
        out_of_stock=sum(not item.stock for item in items),
        untaken=int((counts == 0).sum()),
        rare=int(((counts > 0) & (counts < FEW)).sum()),
        newcomers=int((per_person <= LEAST).sum()),
        repeated=len(log) - len(pairs),
        top_share=float(best.sum() / max(1.0, counts.sum())),
        rated=len(log) > 0 and float(log.value.std()) > 0,
        reads_text=found.vectors is not None,
        kinds={kind: (of_kind[kind], events[kind]) for kind in sorted(of_kind, key=lambda k: -of_kind[k])},
    )
