"""The classifier of sentiment: n-grams of four views, pointing words and the embedding vote, calibrated.

One linear model over everything: TF-IDF of the whole masked text, of the target's clause, of the words before and
after the target (:mod:`apps.financial_sentiment.masking`), the counts of :mod:`apps.financial_sentiment.lexicon`, and
the embedding. Margins become probabilities by a logistic model learned on texts that the margins' models had not seen.

A head is a folder with ``head.json`` and ``head.safetensors``: data only, nothing in it can run. Reading and using
one needs no scikit-learn; :func:`apps.financial_sentiment.training.fit` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.financial_sentiment import lexicon
from apps.financial_sentiment.masking import Masked
from core.training.heads import centered, opened
from core.training.ngrams import Vocabulary

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
VIEWS = ("whole", "clause", "before", "after")
LEXICON = 3 * len(VIEWS)


@dataclass(frozen=True, slots=True)
class Judged:
    """``probability`` is that of ``label``; ``mood`` is P(positive) - P(negative), from -1 to 1."""

    label: str
    probability: float
    probabilities: dict[str, float] = field(repr=False)

    @property
    def mood(self) -> float:
        return self.probabilities.get("positive", 0.0) - self.probabilities.get("negative", 0.0)


@dataclass(frozen=True)
class Head:
    """``k`` labels, ``v`` n-grams over all views, ``d`` dimensions; ``d`` is 0 for a head without an embedding model.

    Shape: ``ngrams (v, k)``, ``dense (LEXICON + d, k)``, ``bias (k,)``, ``center (d,)``, ``calibration (k + 1, k)``.
    ``weights`` scale the blocks: each view, the lexicon, the embedding.
    """

    labels: tuple[str, ...]
    embedding: str
    vocabularies: tuple[Vocabulary, ...]
    weights: tuple[float, ...]
    center: np.ndarray
    ngrams: np.ndarray
    dense: np.ndarray
    bias: np.ndarray
    calibration: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def judge(self, texts: Sequence[Masked], vectors: np.ndarray) -> list[Judged]:
        """Classify ``texts``; ``vectors (len(texts), d)`` are those of their ``spoken`` form, of kind ``query``."""
        import numpy as np

        if not texts:
            return []
        shares = probabilities(self.margins(texts, vectors), self.calibration)
        return [
            Judged(self.labels[b], float(row[b]), dict(zip(self.labels, map(float, row), strict=True)))
            for row, b in zip(shares, np.argmax(shares, axis=1), strict=True)
        ]

    def margins(self, texts: Sequence[Masked], vectors: np.ndarray) -> np.ndarray:
        """Shape: ``(len(texts), k)``."""
        import numpy as np

        found = dense_features(texts, vectors, self.center, self.weights) @ self.dense.astype(np.float32)
        found += self.bias
        offset = 0
        for number, vocabulary in enumerate(self.vocabularies):
            indptr, indices, values = vocabulary.rows([text.views[number] for text in texts])
            told = self.ngrams[indices + offset].astype(np.float32) * (values * self.weights[number])[:, None]
            row = np.repeat(np.arange(len(texts)), np.diff(indptr))
            for k in range(len(self.labels)):
                found[:, k] += np.bincount(row, told[:, k], len(texts))
            offset += len(vocabulary.terms)
        return found

    def save(self, folder: Path) -> None:
        """Write the head into ``folder``, replacing one that is there."""
        import numpy as np
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "center": self.center, 
            "ngrams": self.ngrams, "dense": self.dense, "bias": self.bias, "calibration": self.calibration,
            "idf": np.concatenate([v.idf for v in self.vocabularies]).astype(np.float16),
        }  # fmt: skip
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / "head.safetensors")
        told = {
            "version": VERSION,
            "labels": self.labels,
            "embedding": self.embedding,
            "weights": self.weights,
            "about": self.about,
            "terms": ["\n".join(v.terms) for v in self.vocabularies],
        }
        (folder / "head.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")


def dense_features(
    texts: Sequence[Masked], vectors: np.ndarray, center: np.ndarray, weights: Sequence[float]
) -> np.ndarray:
    """Pointing words and embedding, weighted. Shape: ``(len(texts), LEXICON + d)``."""
    import numpy as np

    words = np.array([[value for view in text.views for value in lexicon.features(view)] for text in texts])
    apart = centered(vectors, center)
    w_words, w_vectors = weights[len(VIEWS) :]
    return np.hstack([w_words * words, w_vectors * apart]).astype(np.float32)


def probabilities(margins: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Softmax of an affine map of the margins; the last row of ``calibration`` is the intercept."""
    import numpy as np

    logits = margins @ calibration[:-1] + calibration[-1]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def load(folder: Path) -> Head:
    """Read a head that :meth:`Head.save` wrote.

    Raises:
        MissingFile: a file is not there.
        InputError: (reason ``bad_head``) the files do not belong together or are no head of this version.
    """
    import numpy as np

    with opened(folder, VERSION) as (told, arrays):
        terms = [tuple(listed.split("\n")) if listed else () for listed in told["terms"]]
        sizes = [len(listed) for listed in terms]
        idf = np.split(arrays["idf"].astype(np.float32), np.cumsum(sizes)[:-1])
        labels, k = tuple(told["labels"]), len(told["labels"])
        d = len(arrays["center"])
        found = (arrays["ngrams"].shape, arrays["dense"].shape, arrays["bias"].shape, arrays["calibration"].shape)
        if len(terms) != len(VIEWS) or found != ((sum(sizes), k), (LEXICON + d, k), (k,), (k + 1, k)):
            raise ValueError(f"shapes {found}")
        return Head(
            labels, told["embedding"],
            tuple(Vocabulary(t, values) for t, values in zip(terms, idf, strict=True)),
            tuple(told["weights"]), arrays["center"],
            arrays["ngrams"], arrays["dense"], arrays["bias"], arrays["calibration"], told["about"],
        )  # fmt: skip
