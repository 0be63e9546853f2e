"""How good the lists of the catalogue in use would have been: the last event of each person held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from apps.recommendation.catalogue import Catalogue
from apps.recommendation.log import Array
from core.evaluation.results import Evaluation

PEOPLE = 500  # looked at, drawn with a fixed seed
TENTHS = 10


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures by method and beyond accuracy (see :mod:`apps.recommendation.evaluate`).

    ``tenths``: by kind of list, the share of its places that each tenth of the items holds, the best known first.
    """

    people: int
    evaluations: Mapping[str, Evaluation]
    beyond: Mapping[str, float]
    tenths: Mapping[str, tuple[float, ...]]


def measured(found: Catalogue, name: str, progress: Callable[[str], None] = lambda _: None) -> Quality:
    """Leave one out over the events of the fit, all unseen items ranked.

    Raises:
        InputError: nobody has two events.
    """
    from apps.recommendation import evaluate, fusion
    from apps.recommendation.protocol import split_off

    data = split_off(found.fused.log, found.items, name, users=PEOPLE)
    fused = fusion.fit(data.train, vectors=found.vectors, numbers=evaluate.years(data.items), progress=progress)
    outcome = evaluate.run(data, fused, found.vectors)
    counts = data.train.counts()
    made = {method: evaluate.evaluation(data, method, rank, "test", {}) for method, rank in outcome.ranks.items()}
    beyond: dict[str, float] = {}
    for kind, lists in outcome.lists.items():
        if lists:
            told = evaluate.beyond(lists, evaluate.likeness_of(data, found.vectors), counts)
            beyond |= {f"{kind}: {measure}": value for measure, value in told.items()}
    tenths = {kind: _tenths(np.concatenate(lists), counts) for kind, lists in outcome.lists.items() if lists}
    return Quality(len(data.cases), made, beyond, tenths)


def _tenths(listed: Array, counts: Array) -> tuple[float, ...]:
    """
    >>> _tenths(np.array([0, 0, 1, 3]), np.array([9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0]))
    (0.5, 0.25, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """
    place = np.empty(len(counts), int)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    tenth = place[listed] * TENTHS // len(counts)
    return tuple((np.bincount(tenth, minlength=TENTHS) / len(listed)).tolist())
