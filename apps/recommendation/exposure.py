"""How often items already stand in people's lists: what a list by score alone gives to few, counted once for a fit."""

from __future__ import annotations

import numpy as np

from apps.recommendation.diversity import DEFAULT, FAME, Standing, fame
from apps.recommendation.fusion import Fused, leveled
from apps.recommendation.generators import History
from apps.recommendation.log import SEED, Array

PEOPLE, TOP = 1000, 10  # whose lists are counted, and how long these are


def standing(fused: Fused, exposed: Array | None = None) -> Standing:
    """Fame and exposure of the items that were fitted; ``exposed`` is their :func:`exposure` where it is known already."""
    known = fame(fused.log.counts())
    return Standing(known, 1 / (1 + (exposure(fused, known) if exposed is None else exposed)))


def exposure(fused: Fused, known: Array) -> Array:
    """Places in the lists of :data:`PEOPLE` drawn with a fixed seed, as a multiple of an equal share.

    Lists are by score and fame, of what each person has not taken, as of their last event. Shape: ``(items,)``.
    """
    log, n = fused.log, len(fused.log.items)
    bounds = log.bounds()
    people = np.flatnonzero(np.diff(bounds))
    if len(people) > PEOPLE:
        people = np.sort(np.random.default_rng(SEED).choice(people, PEOPLE, replace=False))
    places = np.zeros(n)
    for begin, end in zip(bounds[people], bounds[people + 1], strict=True):
        taken = log.item[begin:end]
        worth = leveled(fused.scores(History.of(taken, float(log.at[end - 1])))) - DEFAULT * FAME * known
        worth[taken] = -np.inf
        best = np.argpartition(-worth, min(TOP, n) - 1)[:TOP]
        places[best[np.isfinite(worth[best])]] += 1
    return places * n / max(1.0, float(places.sum()))
