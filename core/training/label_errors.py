"""Examples that look mislabeled: those that a head trained without them takes for another label, and texts with two labels.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021),
https://arxiv.org/abs/1911.00068: the examples off the diagonal of the confident joint, most certain first. Changed: only
those are listed whose other label is also the likelier one.
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
    """The examples that look mislabeled, texts with two labels first, then by how much likelier the other label is.

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
    others = dict(confident(shares, [number[example.label] for example in judged]))
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
    return sorted(found, key=lambda suspect: (not suspect.twin, suspect.own - suspect.probability, suspect.place))


def confident(shares: np.ndarray, given: Sequence[int]) -> list[tuple[int, int]]:
    """``(row, other label)`` where another label is as probable as it is for its own examples on average, and likelier than the given one.

    Shape: ``shares (n, k)``, probabilities out of fold; every label is given at least once.

    >>> import numpy as np
    >>> shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9]])
    >>> confident(shares, [0, 0, 0, 0, 1])  # label 1 is .9 probable for its own: .8 and .55 are not enough
    []
    >>> confident(shares, [0, 1, 0, 1, 1])  # .55 on average
    [(1, 0), (2, 1)]
    """
    import numpy as np

    y = np.asarray(given)
    rows = np.arange(len(y))
    usual = np.array([shares[y == label, label].mean() for label in range(shares.shape[1])])
    others = np.where(shares >= usual, shares, -1.0)
    others[rows, y] = -1.0
    best = others.argmax(axis=1)
    wanted = others[rows, best] > shares[rows, y]
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
