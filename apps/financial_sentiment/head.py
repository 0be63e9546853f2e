"""The classifier of sentiment: n-grams of four views, pointing words and the embedding vote, calibrated.

One linear model over everything: TF-IDF of the whole masked text, of the target's clause, of the words before and
after the target (:mod:`apps.financial_sentiment.masking`), the counts of :mod:`apps.financial_sentiment.lexicon`, and
the embedding. A head may ask two more: the texts it learned from that are near in meaning (:class:`Near`), and a head
that was there ``before`` it. Margins become probabilities by a logistic model learned on texts that the margins' models
had not seen.

A head is a folder with ``head.json`` and ``head.safetensors``, and the folder of the head before it if there is one: data
only, nothing in it can run. Reading and using
one needs no scikit-learn; :func:`apps.financial_sentiment.training.fit` makes one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.financial_sentiment import lexicon
from apps.financial_sentiment.masking import Masked, has_han
from core.training.heads import centered, opened
from core.training.ngrams import Vocabulary

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
VIEWS = ("whole", "clause", "before", "after")
LEXICON = 3 * len(VIEWS)
NEAR = ("examples", "votes", "center")  # the arrays of Near
_BATCH = 1024
BEFORE = "before"  # the folder of the head before, inside that of the head


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
class Near:
    """Votes of the texts that were learned, by nearness of meaning: kernel ridge regression.

    ``votes @ exp(-width · squared distance)``, the distance between embeddings without their mean, of norm 1.
    Shape: ``examples (n, d)``, ``votes (n, k)``, ``center (d,)``.
    """

    examples: np.ndarray
    votes: np.ndarray
    center: np.ndarray
    width: float

    def margins(self, vectors: np.ndarray) -> np.ndarray:
        """Shape: ``(len(vectors), k)``."""
        import numpy as np

        found = np.empty((len(vectors), self.votes.shape[1]), np.float32)
        for start in range(0, len(vectors), _BATCH):  # so that many texts take no more memory than some
            part = slice(start, start + _BATCH)
            found[part] = likeness(centered(vectors[part], self.center), self.examples, self.width) @ self.votes
        return found


@dataclass(frozen=True)
class Head:
    """``k`` labels, ``v`` n-grams over all views, ``d`` dimensions of the embedding that are read linearly, 0 for none.

    Shape: ``ngrams (v, k)``, ``dense (LEXICON + d, k)``, ``bias (k,)``, ``calibration (m + 1, k)``, where ``m`` counts the
    margins: ``k``, one more with ``by_script``, ``k`` more with ``near``, and those of ``before``; ``center (s, d)``, where
    ``s`` is 2 when texts with Han characters have a center of their own, the second, and 1 otherwise.
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
    near: Near | None = None
    before: Head | None = None
    by_script: bool = False  # whether texts with Han characters are calibrated with an intercept of their own

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
        """What the calibration makes probabilities of. Shape: ``(len(texts), m)``."""
        import numpy as np

        found = [self.linear(texts, vectors)]
        if self.by_script:
            found.append(np.array([[has_han(text.whole)] for text in texts], np.float32))
        if self.near:
            found.append(self.near.margins(vectors))
        if self.before:
            found.append(self.before.margins(texts, vectors))
        return np.hstack(found)

    def linear(self, texts: Sequence[Masked], vectors: np.ndarray) -> np.ndarray:
        """Shape: ``(len(texts), k)``."""
        import numpy as np

        read = vectors[:, : self.center.shape[1]]
        features, dense = dense_features(texts, read, self.center, self.weights), self.dense.astype(np.float32)
        found = _term_by_term(features[:, :LEXICON], dense[:LEXICON])
        if read.shape[1]:
            found += features[:, LEXICON:] @ dense[LEXICON:]
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
        if self.near:
            arrays |= {f"near_{name}": getattr(self.near, name) for name in NEAR}
        if (folder / BEFORE).is_dir():
            shutil.rmtree(folder / BEFORE)
        if self.before:
            self.before.save(folder / BEFORE)
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / "head.safetensors")
        told = {
            "version": VERSION,
            "labels": self.labels,
            "embedding": self.embedding,
            "weights": self.weights,
            "about": self.about,
            "width": self.near.width if self.near else None,
            "by_script": self.by_script,
            "terms": ["\n".join(v.terms) for v in self.vocabularies],
        }
        (folder / "head.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")


def likeness(vectors: np.ndarray, examples: np.ndarray, width: float) -> np.ndarray:
    """exp(-``width`` · squared distance) between rows of norm 1. Shape: ``(len(vectors), len(examples))`` float32."""
    import numpy as np

    found = vectors.astype(np.float32) @ examples.T.astype(np.float32)
    found -= 1
    found *= 2 * width
    return np.exp(found, out=found)


def dense_features(
    texts: Sequence[Masked], vectors: np.ndarray, center: np.ndarray, weights: Sequence[float]
) -> np.ndarray:
    """Pointing words and embedding, weighted. Shape: ``(len(texts), LEXICON + d)``; ``center`` as a head has it."""
    import numpy as np

    words = np.array([[value for view in text.views for value in lexicon.features(view)] for text in texts])
    if len(center) > 1:
        center = center[[int(has_han(text.whole)) for text in texts]]
    apart = centered(vectors, center)
    w_words, w_vectors = weights[len(VIEWS) :]
    return np.hstack([w_words * words, w_vectors * apart]).astype(np.float32)


def probabilities(margins: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Softmax of an affine map of the margins; the last row of ``calibration`` is the intercept."""
    import numpy as np

    logits = _term_by_term(margins, calibration[:-1]) + calibration[-1]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _term_by_term(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``rows @ weights``, each row as if it were alone: how a product of matrices rounds depends on how many there are."""
    found: np.ndarray = (rows[:, :, None] * weights).sum(axis=1)
    return found


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
        # heads made before there could be two centers have one, without an axis for it
        center = np.atleast_2d(arrays["center"])
        d = center.shape[1]
        near = None
        if told.get("width"):  # heads made before there was one say nothing of it
            near = Near(arrays["near_examples"], arrays["near_votes"], arrays["near_center"], told["width"])
        before = load(folder / BEFORE) if (folder / BEFORE).is_dir() else None
        by_script = bool(told.get("by_script"))
        m = k + by_script + (k if near else 0) + (len(before.calibration) - 1 if before else 0)
        found = (arrays["ngrams"].shape, arrays["dense"].shape, arrays["bias"].shape, arrays["calibration"].shape)
        if (
            len(terms) != len(VIEWS)
            or len(center) > 1 + by_script
            or found != ((sum(sizes), k), (LEXICON + d, k), (k,), (m + 1, k))
        ):
            raise ValueError(f"shapes {found}")
        if near and (near.votes.shape != (len(near.examples), k) or near.examples.shape[1:] != near.center.shape):
            raise ValueError(f"shapes {near.examples.shape}, {near.votes.shape}")
        return Head(
            labels, told["embedding"],
            tuple(Vocabulary(t, values) for t, values in zip(terms, idf, strict=True)),
            tuple(told["weights"]), center,
            arrays["ngrams"], arrays["dense"], arrays["bias"], arrays["calibration"], told["about"],
            near, before, by_script,
        )  # fmt: skip
