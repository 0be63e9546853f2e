"""A text classifier on top of an embedding model: small, fast, calibrated, and open about what it does not know.

Four views of a text vote: n-grams (a linear SVM), the embedding (logistic regression), the nearest labeled example
and the nearest class mean. Their votes are mixed by weights learned on texts the views had not seen, so that the
probabilities mean what they say. Whether a text belongs to any label at all is a question of its own, answered by
how sure the mix is, how near the nearest examples are and, where texts without a label were given, which side of the
plane between those and the examples it lies on; its threshold is learned too.

A head is a folder with ``head.json`` and ``head.safetensors``: data only, nothing in it can run.
:func:`core.training.fit.fit` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import InputError, MissingFile
from core.training.ngrams import Vocabulary

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
VIEWS = ("ngrams", "embedding", "nearest", "mean")
NEIGHBORS = 5  # whose mean cosine says how near a text is to anything known
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """``probability`` is that of ``label``; ``known`` says how likely the text belongs to any label (0 to 1)."""

    label: str
    probability: float
    probabilities: dict[str, float] = field(repr=False)
    known: float
    in_scope: bool


@dataclass(frozen=True)
class Views:
    """The arrays of a head. ``n`` examples, ``k`` labels, ``d`` dimensions, ``v`` n-grams.

    Shape: ``ngram_weights (v, k)``, ``ngram_bias (k,)``, ``center (d,)``, ``embedding_weights (d, k)``,
    ``embedding_bias (k,)``, ``examples (n, d)`` of norm 1, sorted by label, ``starts (k,)`` where each label's
    examples begin, ``means (k, d)`` of norm 1, ``spread (d, d)``, ``plane (d + 1,)`` between the examples and texts without a
    label, or ``(0,)`` where too few of those were given. Everything made of vectors is made of those of :meth:`apart`.
    """

    ngram_weights: np.ndarray
    ngram_bias: np.ndarray
    center: np.ndarray
    embedding_weights: np.ndarray
    embedding_bias: np.ndarray
    examples: np.ndarray
    starts: np.ndarray
    means: np.ndarray
    spread: np.ndarray
    plane: np.ndarray

    def apart(self, vectors: np.ndarray) -> np.ndarray:
        """What tells the labels apart in ``vectors``, of norm 1."""
        return sphered(centered(vectors, self.center), self.spread)

    def votes(self, rows: tuple[np.ndarray, np.ndarray, np.ndarray], vectors: np.ndarray) -> np.ndarray:
        """What each view says of each label, and how near the nearest examples are.

        Shape: ``(len(vectors), len(VIEWS), k)``.
        """
        import numpy as np

        indptr, indices, values = rows
        ngrams = np.empty((len(vectors), len(self.ngram_bias)), np.float32)
        for i in range(len(vectors)):
            a, b = indptr[i], indptr[i + 1]
            ngrams[i] = values[a:b] @ self.ngram_weights[indices[a:b]].astype(np.float32) + self.ngram_bias
        vectors = self.apart(vectors)
        cosines = vectors @ self.examples.T.astype(np.float32)
        nearest = np.maximum.reduceat(cosines, self.starts, axis=1)
        linear = vectors @ self.embedding_weights + self.embedding_bias
        return np.stack([ngrams, linear, nearest, vectors @ self.means.T], axis=1)

    def nearness(self, vectors: np.ndarray) -> np.ndarray:
        """Mean cosine with the nearest examples, whatever their label. Shape: ``(len(vectors),)``."""
        import numpy as np

        cosines = self.apart(vectors) @ self.examples.T.astype(np.float32)
        count = min(NEIGHBORS, cosines.shape[1])
        return np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:].mean(axis=1)

    def side(self, vectors: np.ndarray) -> np.ndarray:
        """On which side of the plane each text lies, above 0 with the examples. Shape: ``(n, 1)``, without a plane ``(n, 0)``."""
        return side_of(self.plane, self.apart(vectors)) if len(self.plane) else vectors[:, :0]


def centered(vectors: np.ndarray, center: np.ndarray) -> np.ndarray:
    """What sets each vector apart from ``center``, of norm 1.

    Vectors of one model lie in a narrow cone (cosines of 0.7 and more between any two texts for e5); without its
    axis the differences count. Source: Mu, Viswanath, "All-but-the-Top", ICLR 2018, of which this is the first step.
    """
    import numpy as np

    apart = vectors - center
    return apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)


def sphered(vectors: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """``vectors`` with the directions made small in which examples of one label differ, of norm 1.

    Source: Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based speaker recognition",
    Interspeech 2006.
    """
    import numpy as np

    turned = vectors @ spread
    return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)


def side_of(plane: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Shape: ``plane (d + 1,)``, its offset last, and ``apart (n, d)`` give ``(n, 1)``."""
    return (apart @ plane[:-1] + plane[-1])[:, None]


@dataclass(frozen=True, slots=True)
class Mix:
    """How votes become probabilities: logits = Σ weight · vote, per view of ``VIEWS``."""

    weights: tuple[float, ...]

    def logits(self, votes: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.einsum("nvk,v->nk", votes, np.array(self.weights, np.float32))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Shares that sum to 1 in each row."""
    import numpy as np

    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whether a text belongs to any label: a logistic model over certainty and nearness.

    ``center`` and ``scale`` standardize the signals of :func:`signals`; at ``threshold`` and above it belongs.
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def known(self, found: np.ndarray) -> np.ndarray:
        import numpy as np

        z = (found - np.array(self.center)) / np.array(self.scale)
        return 1 / (1 + np.exp(-(z @ np.array(self.weights) + self.bias)))


def signals(logits: np.ndarray, votes: np.ndarray, nearness: np.ndarray, side: np.ndarray) -> np.ndarray:
    """What tells known from unknown texts: highest logit, log-sum-exp, n-gram margin, nearness and, with a plane, the side.

    Shape: ``(n, 4)`` or ``(n, 5)``.
    """
    import numpy as np

    top = logits.max(axis=1)
    whole = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return np.column_stack([top, whole, votes[:, 0].max(axis=1), nearness, side])


@dataclass(frozen=True)
class Head:
    """A trained classifier. ``about`` keeps what it was trained on and how well it did there."""

    labels: tuple[str, ...]
    embedding: str
    vocabulary: Vocabulary
    views: Views
    mix: Mix
    scope: Scope | None = None
    about: dict[str, Any] = field(default_factory=dict)

    async def predict(self, texts: Sequence[str], embedding: EmbeddingModel) -> list[Prediction]:
        """Classify ``texts``.

        Raises:
            InputError: (reason ``bad_value``) ``embedding`` is another model than the head was trained on.
        """
        import numpy as np

        if embedding.name != self.embedding:
            raise InputError(reason="bad_value", name="embedding", value=embedding.name, allowed=self.embedding)
        vectors = np.asarray(await embedding.embed(list(texts), kind="query"), np.float32)
        found: list[Prediction] = []
        for start in range(0, len(texts), _BATCH):
            found += self.judge(texts[start : start + _BATCH], vectors[start : start + _BATCH])
        return found

    def judge(self, texts: Sequence[str], vectors: np.ndarray) -> list[Prediction]:
        """Classify ``texts`` whose vectors (kind ``query``) are already there; ``(len(texts), d)``."""
        import numpy as np

        votes = self.views.votes(self.vocabulary.rows(texts), vectors)
        logits = self.mix.logits(votes)
        shares = softmax(logits)
        known = np.ones(len(logits))
        if self.scope is not None:
            views = self.views
            known = self.scope.known(signals(logits, votes, views.nearness(vectors), views.side(vectors)))
        best = shares.argmax(axis=1)
        limit = self.scope.threshold if self.scope else 0.0
        return [
            Prediction(
                self.labels[b],
                float(row[b]),
                dict(zip(self.labels, map(float, row), strict=True)),
                float(k),
                bool(k >= limit),
            )
            for row, b, k in zip(shares, best, known, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write the head into ``folder``, replacing one that is there."""
        import numpy as np
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(value) for name, value in vars(self.views).items()}
        save_file({**arrays, "idf": self.vocabulary.idf}, folder / "head.safetensors")
        told = {
            "version": VERSION,
            "labels": self.labels,
            "embedding": self.embedding,
            "mix": asdict(self.mix),
            "scope": asdict(self.scope) if self.scope else None,
            "about": self.about,
            "terms": self.vocabulary.terms,
        }
        (folder / "head.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")


def load(folder: Path) -> Head:
    """Read a head that :meth:`Head.save` wrote.

    Raises:
        MissingFile: a file is not there.
        InputError: (reason ``bad_head``) the files do not belong together or are no head of this version.
    """
    import numpy as np

    with opened(folder, VERSION) as (told, arrays):
        vocabulary = Vocabulary(tuple(told["terms"]), arrays.pop("idf"))
        if "spread" not in arrays:  # of a head that was trained before there was one
            arrays["spread"] = np.eye(len(arrays["center"]), dtype=np.float32)
        arrays.setdefault("plane", np.zeros(0, np.float32))  # as is this
        views, labels = Views(**arrays), tuple(told["labels"])
        k, d = len(labels), views.examples.shape[1]
        shapes = (views.ngram_weights.shape, views.ngram_bias.shape, views.embedding_weights.shape, views.means.shape)
        if shapes != ((len(vocabulary.terms), k), (k,), (d, k), (k, d)) or len(views.starts) != k:
            raise ValueError(f"shapes {shapes}")
        if len(views.plane) not in (0, d + 1):
            raise ValueError(f"plane {views.plane.shape}")
        return Head(
            labels,
            told["embedding"],
            vocabulary,
            views,
            Mix(tuple(told["mix"]["weights"])),
            _scope(told["scope"]),
            told["about"],
        )


@contextmanager
def opened(folder: Path, version: int) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """What a head's ``save`` wrote into ``folder``: ``head.json`` and the arrays of ``head.safetensors``.

    Whatever the block finds wrong with them (``ValueError``, ``KeyError``, ``TypeError``) is a ``bad_head``.

    Raises:
        MissingFile: a file is not there.
        InputError: (reason ``bad_head``) the files do not belong together or are no head of this version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for name in ("head.json", "head.safetensors"):
        if not (folder / name).is_file():
            raise MissingFile(path=str(folder / name), needed_for="head")
    try:
        told = json.loads((folder / "head.json").read_text("utf-8"))
        if told["version"] != version:
            raise ValueError(f"version {told['version']}, this is {version}")
        yield told, load_file(folder / "head.safetensors")
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(reason="bad_head", name=folder.name, detail=str(error)) from error


def _scope(told: dict[str, Any] | None) -> Scope | None:
    if told is None:
        return None
    center, scale, weights = (tuple(told[name]) for name in ("center", "scale", "weights"))
    return Scope(center, scale, weights, told["bias"], told["threshold"])
