"""Examples that look mislabeled: those that a head trained without them takes for another label, and texts with two labels.

Probabilities out of fold are what confident learning starts from, too (Northcutt, Jiang, Chuang, JAIR 70, 2021,
https://arxiv.org/abs/1911.00068). Its rule for which examples to list was measured and is not used (decision 0050).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.contracts import EmbeddingModel
from core.training.data import fold
from core.training.fit import cross_fitted
from core.types import Example

if TYPE_CHECKING:
    import numpy as np

TIMES = 10  # as probable as its own label must another be


@dataclass(frozen=True, slots=True)
class Suspect:
    """The example at ``place`` bears ``label`` and looks like ``other``.

    ``own`` and ``probability`` are how probable the label and the other one are (0 to 1) without this example.
    ``twin`` is a text of the other label that differs in case, signs or numbers at most; mostly there is none.
    """

    place: int
    text: str
    label: str
    other: str
    own: float
    probability: float
    twin: str = ""


async def suspects(examples: Sequence[Example], embedding: EmbeddingModel, *, seed: int = 0) -> list[Suspect]:
    """The examples that look mislabeled, texts with two labels first, then by how many times likelier the other label is.

    An example that is the only one of its label is left out: without it nothing is known of the label.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    times = Counter(example.label for example in examples)
    places = [place for place, example in enumerate(examples) if times[example.label] > 1]
    judged = [examples[place] for place in places]
    if len({example.label for example in judged}) < 2:
        return []
    labels, shares = await cross_fitted(judged, embedding, seed=seed)
    number = {label: n for n, label in enumerate(labels)}
    others = dict(doubtful(shares, [number[example.label] for example in judged]))
    twin = twins(judged)
    others |= {row: number[judged[same].label] for row, same in twin.items()}
    found = [
        Suspect(
            places[row],
            judged[row].text,
            judged[row].label,
            labels[other],
            float(shares[row, number[judged[row].label]]),
            float(shares[row, other]),
            judged[twin[row]].text if row in twin else "",
        )
        for row, other in others.items()
    ]
    return sorted(found, key=lambda one: (not one.twin, one.own / max(one.probability, 1e-9), one.place))


def doubtful(shares: np.ndarray, given: Sequence[int] | np.ndarray) -> list[tuple[int, int]]:
    """``(row, other label)`` where another label is at least ``TIMES`` as probable as the given one.

    Shape: ``shares (n, k)``, probabilities out of fold.

    >>> import numpy as np
    >>> doubtful(np.array([[0.9, 0.1], [0.08, 0.92], [0.96, 0.04]]), [0, 0, 1])
    [(1, 1), (2, 0)]
    """
    import numpy as np

    rows, y = np.arange(len(shares)), np.asarray(given)
    others = shares.copy()
    others[rows, y] = -1.0
    best = others.argmax(axis=1)
    wanted = others[rows, best] >= TIMES * shares[rows, y]
    return [(int(row), int(best[row])) for row in rows[wanted]]


def twins(examples: Sequence[Example]) -> dict[int, int]:
    """Places of examples whose text stands under another label, too, and where it does.

    >>> twins([Example("Where is order 12?", "track"), Example("where is order 7", "return"), Example("Hi", "track")])
    {0: 1, 1: 0}
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        alike[fold(example.text)].append(place)
    found = {}
    for places in alike.values():
        for place in places:
            other = (same for same in places if examples[same].label != examples[place].label)
            if (same := next(other, None)) is not None:
                found[place] = same
    return dict(sorted(found.items()))
