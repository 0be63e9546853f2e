"""Why did a classifier say so? Which words moved it, which examples are nearest, and whether that is the truth.

heads          the weights themselves: what a word's n-grams add to the linear view of the label, exactly
transformers   occlusion: how much of the probability goes when a word is taken out (Zeiler and Fergus 2014,
               https://arxiv.org/abs/1311.2901, on words)

:func:`faithfulness` takes the words away that an explanation names: the probability has to fall faster than when others
are taken (DeYoung et al. 2020, https://arxiv.org/abs/1911.03429, their comprehensiveness, against chance).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.training.classifiers import Classifier, HeadClassifier
from core.training.store import Version

if TYPE_CHECKING:
    import numpy as np

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+(?:['’-][^\W\u3400-\u9fff]+)*")
MOST_WORDS = 200  # of a text that are looked at; each costs one judgment
NEAREST = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A word of the text and what it did: ``weight`` above 0 speaks for the label, below against it."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A row that was learned from, with its cosine to the text."""

    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """``method`` is ``weights`` (exact) or ``occlusion``; ``parts`` are in the order of the text."""

    label: str
    probability: float
    probabilities: dict[str, float]
    method: str
    parts: tuple[Part, ...]
    nearest: tuple[Neighbor, ...] = ()


async def explain(classifier: Classifier, text: str, *, version: Version | None = None, label: str = "") -> Explanation:
    """Explain the probability of ``label``, by default the most likely one. With ``version``, the nearest rows it
    learned from are there too; the first time their vectors are made and kept."""
    (shares,) = await classifier.probabilities([text])
    chosen = classifier.labels.index(label) if label else int(shares.argmax())
    method = "weights" if isinstance(classifier, HeadClassifier) else "occlusion"
    words = places(text)
    if isinstance(classifier, HeadClassifier):
        weights = by_weights(classifier, text, words, chosen)
    else:
        weights = await by_occlusion(classifier, text, words, chosen, float(shares[chosen]))
    parts = tuple(Part(text[a:b], a, b, float(w)) for (a, b), w in zip(words, weights, strict=True))
    near = await nearest(classifier, text, version) if version is not None else ()
    told = dict(zip(classifier.labels, map(float, shares), strict=True))
    return Explanation(classifier.labels[chosen], float(shares[chosen]), told, method, parts, near)


def places(text: str) -> list[tuple[int, int]]:
    """Where the words are; a Han character counts as one."""
    return [found.span() for found in _WORD.finditer(text)][:MOST_WORDS]


def by_weights(classifier: HeadClassifier, text: str, words: Sequence[tuple[int, int]], label: int) -> list[float]:
    """What each word adds to the logit of ``label``, over the mean of all labels, through the n-grams it stands in: the
    linear view's score with the word minus that without. The views of the embedding know no words and are not in it."""
    import numpy as np

    head = classifier.head
    texts = [text, *(_without(text, [word]) for word in words)]
    indptr, indices, values = head.vocabulary.rows(texts)
    scores = np.zeros((len(texts), len(head.labels)))
    for row in range(len(texts)):
        a, b = indptr[row], indptr[row + 1]
        scores[row] = values[a:b] @ head.views.ngram_weights[indices[a:b]].astype(np.float64)
    apart = (scores - scores.mean(axis=1, keepdims=True))[:, label] * head.mix.weights[0]
    return [float(apart[0] - without) for without in apart[1:]]


async def by_occlusion(
    classifier: Classifier, text: str, words: Sequence[tuple[int, int]], label: int, whole: float
) -> list[float]:
    """How far the probability of ``label`` falls without each word."""
    if not words:
        return []
    shares = await classifier.probabilities([_without(text, [word]) for word in words])
    return [whole - float(share) for share in shares[:, label]]


async def nearest(classifier: Classifier, text: str, version: Version, count: int = NEAREST) -> tuple[Neighbor, ...]:
    """The rows that ``version`` learned from which are most like ``text``, as the classifier sees texts."""
    import numpy as np

    records = version.splits().train.records
    vectors = await _learned(classifier, [record.input for record in records], version.folder / "train-vectors.npy")
    (own,) = await classifier.vectors([text])
    scores = vectors.astype(np.float32) @ own
    best = np.argsort(-scores, kind="stable")[:count]
    return tuple(Neighbor(records[i].input, str(records[i].label), float(scores[i])) for i in best)


async def faithfulness(
    classifier: Classifier, texts: Sequence[str], *, share: float = 0.3, draws: int = 5, seed: int = 0
) -> tuple[float, float]:
    """``(named, chance)``: how far the probability falls, on average, when the ``share`` of words that the explanation
    names first is taken out, and when as many others are drawn at random."""
    draw = random.Random(seed)
    named, chance = [], []
    for text in texts:
        found = await explain(classifier, text)
        count = max(1, round(share * len(found.parts)))
        if len(found.parts) <= count:
            continue
        spans = [(part.start, part.end) for part in found.parts]
        order = sorted(range(len(spans)), key=lambda i, found=found: -found.parts[i].weight)  # type: ignore[misc]
        variants = [_without(text, [spans[i] for i in order[:count]])]
        variants += [_without(text, draw.sample(spans, count)) for _ in range(draws)]
        shares = (await classifier.probabilities(variants))[:, classifier.labels.index(found.label)]
        named.append(found.probability - float(shares[0]))
        chance.append(found.probability - float(shares[1:].mean()))
    if not named:
        raise ValueError("no text has words to take away")
    return sum(named) / len(named), sum(chance) / len(chance)


async def _learned(classifier: Classifier, texts: Sequence[str], path: Path) -> np.ndarray:
    import numpy as np

    kept = _kept(path)
    if kept is not None and len(kept) == len(texts):
        return kept
    made = (await classifier.vectors(texts)).astype(np.float16)
    fresh = path.with_suffix(".new.npy")
    np.save(fresh, made)
    fresh.replace(path)
    return made


def _kept(path: Path) -> np.ndarray | None:
    import numpy as np

    return np.load(path, allow_pickle=False) if path.is_file() else None


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """``text`` with the characters of ``spans`` gone and single spaces left.

    >>> _without("profits fall sharply", [(8, 12)])
    'profits sharply'
    """
    kept, last = [], 0
    for start, end in sorted(spans):
        kept.append(text[last:start])
        last = end
    return " ".join("".join([*kept, text[last:]]).split())
