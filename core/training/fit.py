"""Fits a head: the four views on the examples, the mix and the scope on texts that the views had not seen."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import InputError, MissingPackage
from core.training.heads import VIEWS, Head, Mix, Scope, Views, centered, side_of, signals, softmax, sphered
from core.training.ngrams import Vocabulary, learn
from core.types import Example

if TYPE_CHECKING:
    import numpy as np

UNKNOWN = "oos"  # the label of texts that belong to none
FOLDS = 5
KEPT = 0.95  # share of known texts that the scope lets through when nothing else is asked
_MOST_FOR_FOLDS = 3000  # examples up to which all folds are fitted; beyond, one part is held out
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]{3}|[\u3400-\u9fff]")
_SVM_C, _LOGISTIC_C = 1.0, 10.0
_LEAST_UNKNOWN = 20  # texts without a label from which something is learned of them
_SHRINKAGES = (4.0, 16.0, 64.0)  # times the mean variance within a label; see _shrunk
_SHARPNESS = 16.0  # of the cosines with the labels' means, where they are read as probabilities


async def fit(
    examples: Sequence[Example],
    embedding: EmbeddingModel,
    *,
    validation: Sequence[Example] = (),
    kept: float = KEPT,
    names: bool = True,
    seed: int = 0,
) -> Head:
    """Train a head on ``examples``; those labeled ``oos`` teach only what belongs to no label.

    Args:
        validation: texts to learn the mix and the scope on; by default parts of ``examples`` in turn.
        kept: the share of known texts that must stay in scope.
        names: let each label's own words count as an example (``card_arrival`` as "card arrival"), which is worth
            two to three points of accuracy at five examples a label; a name without words counts for nothing.

    Raises:
        InputError: fewer than two labels, or a label with a single example where there is no ``validation``.
        MissingPackage: scikit-learn is not installed.
    """
    import numpy as np

    need_scikit_learn()
    known = labeled(examples)
    rest = [*validation, *(e for e in examples if e.label == UNKNOWN)]
    started = time.perf_counter()
    labels, train, own = await _embedded(known, embedding, names)
    others = np.asarray(await embedding.embed([e.text for e in rest], kind="query"), np.float32)
    embedded_s = time.perf_counter() - started
    number = {label: i for i, label in enumerate(labels)}
    started = time.perf_counter()
    shrinkage = _shrunk(train, len(labels), seed)
    vocabulary, views = _views(train, own, len(labels), shrinkage)
    held = _Texts([e.text for e in rest], others, np.array([number.get(e.label, -1) for e in rest], dtype=int))
    votes, truth, nearness = _unseen(
        train, own, held, vocabulary, views, len(labels), seed, bool(validation), shrinkage
    )
    plane, side = _parted(views, train, held, seed, bool(validation))
    views = replace(views, plane=plane)
    mix = _mixed(votes[truth >= 0], truth[truth >= 0])
    scope = _scoped(signals(mix.logits(votes), votes, nearness, side), truth, kept)
    about: dict[str, Any] = {
        "examples": len(known),
        "per_label": dict(Counter(e.label for e in known)),
        "embedded_s": round(embedded_s, 2),
        "fitted_s": round(time.perf_counter() - started, 2),
        "seed": seed,
        "shrinkage": shrinkage,
    }
    return Head(labels, embedding.name, vocabulary, views, mix, scope, about)


async def cross_fitted(
    examples: Sequence[Example], embedding: EmbeddingModel, *, names: bool = True, seed: int = 0
) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels, and how probable each is for each example in the eyes of views that were fitted without it.

    Here ``oos`` is a label like any other.

    Shape: ``(len(examples), len(labels))``; probabilities, a row sums to 1.

    Raises:
        InputError: a label has only one example.
        MissingPackage: scikit-learn is not installed.
    """
    import numpy as np

    need_scikit_learn()
    labels, train, own = await _embedded(examples, embedding, names)
    shrinkage = _shrunk(train, len(labels), seed)
    votes, rows, _ = _out_of_fold(train, own, len(labels), seed, FOLDS, shrinkage)
    found = np.empty((len(examples), len(labels)))
    found[rows] = softmax(_mixed(votes, train.y[rows]).logits(votes))
    return labels, found


def need_scikit_learn() -> None:
    """
    Raises:
        MissingPackage: scikit-learn is not installed; a trained head is used without it.
    """
    if find_spec("sklearn") is None:
        install = 'pip install "touchstone-llm[train]"'
        raise MissingPackage(package="scikit-learn", needed_for="training", install=install)


def labeled(examples: Sequence[Example]) -> list[Example]:
    """The examples that belong to a label, sorted by it.

    Raises:
        InputError: fewer than two labels.
    """
    known = sorted((e for e in examples if e.label != UNKNOWN), key=lambda e: e.label)
    if len(labels := {e.label for e in known}) < 2:
        raise InputError(reason="bad_value", name="labels", value=", ".join(labels), allowed="2 …")
    return known


async def _embedded(
    examples: Sequence[Example], embedding: EmbeddingModel, names: bool
) -> tuple[tuple[str, ...], _Texts, _Texts]:
    """The labels, the examples and, where wanted, the labels' own names."""
    import numpy as np

    labels = tuple(dict.fromkeys(e.label for e in examples))
    number = {label: i for i, label in enumerate(labels)}
    called = [(i, name) for i, label in enumerate(labels) if names and (name := spoken(label))]

    async def made(texts: list[str], y: list[int]) -> _Texts:
        vectors = np.asarray(await embedding.embed(texts, kind="query"), np.float32)
        return _Texts(texts, vectors, np.array(y, dtype=int))

    train = await made([e.text for e in examples], [number[e.label] for e in examples])
    return labels, train, await made([name for _, name in called], [i for i, _ in called])


@dataclass(frozen=True, slots=True)
class _Texts:
    texts: list[str]
    vectors: np.ndarray
    y: np.ndarray

    def at(self, rows: np.ndarray) -> _Texts:
        return _Texts([self.texts[i] for i in rows], self.vectors[rows], self.y[rows])

    def sorted_with(self, other: _Texts) -> _Texts:
        import numpy as np

        both = _Texts(
            [*self.texts, *other.texts],
            np.concatenate([self.vectors, other.vectors.reshape(-1, self.vectors.shape[1])]),
            np.concatenate([self.y, other.y]),
        )
        return both.at(np.argsort(both.y, kind="stable"))


def spoken(label: str) -> str:
    """The words of a label's name, or nothing when it has none.

    >>> spoken("card_arrival"), spoken("退货"), spoken("A17")
    ('card arrival', '退货', '')
    """
    words = _CAMEL.sub(" ", label).replace("_", " ").replace("-", " ").strip()
    return words if _WORD.search(words) else ""


def _views(examples: _Texts, own: _Texts, k: int, shrinkage: float) -> tuple[Vocabulary, Views]:
    """Fit every view on the examples and the labels' ``own`` names. Every label has an example."""
    import numpy as np

    train = examples.sorted_with(own)

    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    vocabulary = learn(train.texts)
    indptr, indices, values = vocabulary.rows(train.texts)
    matrix = csr_matrix((values, indices, indptr), shape=(len(train.texts), len(vocabulary.terms)))
    svm = LinearSVC(C=_SVM_C).fit(matrix, train.y)
    center = train.vectors.mean(axis=0)
    vectors = centered(train.vectors, center)
    spread = _spread(_within(vectors, train.y, k), shrinkage)
    vectors = sphered(vectors, spread)
    logistic = LogisticRegression(C=_LOGISTIC_C, max_iter=300).fit(vectors, train.y)
    weights, bias = _both(svm.coef_, svm.intercept_)
    dense, dense_bias = _both(logistic.coef_, logistic.intercept_)
    starts = np.searchsorted(train.y, np.arange(k))
    means = np.add.reduceat(vectors, starts, axis=0)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return vocabulary, Views(
        weights.T.astype(np.float16),
        bias.astype(np.float32),
        center.astype(np.float32),
        dense.T.astype(np.float32),
        dense_bias.astype(np.float32),
        vectors.astype(np.float16),
        starts.astype(np.int32),
        means.astype(np.float32),
        spread.astype(np.float32),
        np.zeros(0, np.float32),
    )


def _shrunk(train: _Texts, k: int, seed: int) -> float:
    """How much the covariance within the labels is shrunk: that under which the means of the labels tell held-out examples best.

    Few examples of many labels say little of how examples differ, and what they say may be chance. With many, or with
    a label that has one example, it is the first of ``_SHRINKAGES``.
    """
    import numpy as np

    if len(train.texts) > _MOST_FOR_FOLDS or np.bincount(train.y).min() < 2:
        return _SHRINKAGES[0]
    fold = _folds(train.y, seed)
    lost = dict.fromkeys(_SHRINKAGES, 0.0)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        center, y = train.vectors[inside].mean(axis=0), train.y[inside]
        known, held = centered(train.vectors[inside], center), centered(train.vectors[outside], center)
        within = _within(known, y, k)
        for shrinkage in _SHRINKAGES:
            spread = _spread(within, shrinkage)
            examples = sphered(known, spread)
            means = np.stack([examples[y == label].mean(axis=0) for label in range(k)])
            means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
            logits = _SHARPNESS * sphered(held, spread) @ means.T
            right = logits[np.arange(len(held)), train.y[outside]]
            lost[shrinkage] += float((np.log(np.exp(logits).sum(axis=1)) - right).sum())
    return min(_SHRINKAGES, key=lost.__getitem__)


def _within(vectors: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """How examples of one label differ: the covariance's eigenvalues, of mean one, and its eigenvectors."""
    import numpy as np

    within = vectors - np.stack([vectors[y == label].mean(axis=0) for label in range(k)])[y]
    covariance = within.T @ within / len(vectors)
    values, turned = np.linalg.eigh(covariance / max(float(np.trace(covariance)) / len(covariance), 1e-9))
    return values, turned


def _spread(within: tuple[np.ndarray, np.ndarray], shrinkage: float) -> np.ndarray:
    """The inverse square root of that covariance, shrunk towards alike in all directions."""
    values, turned = within
    return (turned * (values + shrinkage) ** -0.5) @ turned.T


def _both(weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row per label; with two labels scikit-learn keeps only the second's."""
    import numpy as np

    if len(weights) > 1:
        return weights, bias
    return np.concatenate([-weights, weights]), np.concatenate([-bias, bias])


def _unseen(
    train: _Texts,
    own: _Texts,
    held: _Texts,
    vocabulary: Vocabulary,
    views: Views,
    k: int,
    seed: int,
    given: bool,
    shrinkage: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, labels (-1 for unknown) and nearness of texts that the views which vote were not fitted on."""
    import numpy as np

    parts = []
    if len(held.texts):
        parts.append((views.votes(vocabulary.rows(held.texts), held.vectors), held.y, views.nearness(held.vectors)))
    if not given:
        folds = FOLDS if len(train.texts) <= _MOST_FOR_FOLDS else 1
        told, rows, near = _out_of_fold(train, own, k, seed, folds, shrinkage)
        parts.append((told, train.y[rows], near))
    votes, truth, nearness = (np.concatenate(column) for column in zip(*parts, strict=True))
    return votes, truth, nearness


def _out_of_fold(
    train: _Texts, own: _Texts, k: int, seed: int, folds: int, shrinkage: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, places and nearness of the examples of the first ``folds`` folds, by views fitted on all other folds."""
    import numpy as np

    fold, parts = _folds(train.y, seed), []
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        vocabulary, views = _views(train.at(np.flatnonzero(fold != number)), own, k, shrinkage)
        texts = train.at(rows)
        parts.append((views.votes(vocabulary.rows(texts.texts), texts.vectors), rows, views.nearness(texts.vectors)))
    votes, places, nearness = (np.concatenate(column) for column in zip(*parts, strict=True))
    return votes, places, nearness


def _parted(views: Views, train: _Texts, held: _Texts, seed: int, given: bool) -> tuple[np.ndarray, np.ndarray]:
    """The plane between the examples and the held texts without a label, and the sides of the texts of :func:`_unseen`.

    A side is told by a plane that its text was not fitted on. Shapes as in :class:`Views` and :meth:`Views.side`.
    """
    import numpy as np

    known, others = views.apart(train.vectors), views.apart(held.vectors.reshape(-1, train.vectors.shape[1]))
    fold = np.full(len(known), -1) if given else _folds(train.y, seed)
    told = range(0) if given else range(FOLDS if len(known) <= _MOST_FOR_FOLDS else 1)
    unknown = np.flatnonzero(held.y < 0)
    if len(unknown) < _LEAST_UNKNOWN:
        return views.plane, np.empty((len(others) + sum(int((fold == number).sum()) for number in told), 0))
    plane = _plane(known, others[unknown])
    of_others, of_known = side_of(plane, others), []
    unknown_fold = np.random.default_rng(seed).permutation(len(unknown)) % FOLDS
    for number in range(FOLDS):
        part = _plane(known[fold != number], others[unknown[unknown_fold != number]])
        outside = unknown[unknown_fold == number]
        of_others[outside] = side_of(part, others[outside])
        if number in told:
            of_known.append(side_of(part, known[fold == number]))
    return plane, np.concatenate([of_others, *of_known])


def _plane(known: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    truth = np.arange(len(known) + len(unknown)) < len(known)
    model = LogisticRegression(C=_LOGISTIC_C, class_weight="balanced", max_iter=300)
    model.fit(np.concatenate([known, unknown]), truth)
    return np.concatenate([model.coef_[0], model.intercept_]).astype(np.float32)


def _folds(y: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each example; every label keeps an example in all of the others.

    Raises:
        InputError: a label has only one example.
    """
    import numpy as np

    values, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        raise InputError(reason="bad_value", name="examples", value=1, allowed="2 …")
    random = np.random.default_rng(seed)
    fold = np.zeros(len(y), dtype=int)
    for value in values:
        rows = np.flatnonzero(y == value)
        fold[random.permutation(rows)] = (np.arange(len(rows)) + random.integers(FOLDS)) % FOLDS
    return fold


def _mixed(votes: np.ndarray, truth: np.ndarray) -> Mix:
    """The weights under which the true labels are most likely; never negative. Four numbers, so nothing overfits."""
    import numpy as np
    from scipy.optimize import minimize

    spread = votes.std(axis=(0, 2)) + 1e-9
    scaled = votes / spread[None, :, None]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.einsum("nvk,v->nk", scaled, weights)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        shares /= shares.sum(axis=1, keepdims=True)
        rows = np.arange(len(truth))
        value = -np.log(shares[rows, truth] + 1e-12).mean()
        gradient = np.einsum("nvk,nk->v", scaled, shares) - scaled[rows, :, truth].sum(axis=0)
        return float(value), gradient / len(truth)

    found = minimize(loss, np.ones(len(VIEWS)), jac=True, bounds=[(0, 50)] * len(VIEWS), method="L-BFGS-B")
    return Mix(tuple(float(w) for w in found.x / spread))


def _scoped(found: np.ndarray, truth: np.ndarray, kept: float) -> Scope:
    """Learn the scope. Without unknown texts every signal counts the same, and only the threshold is learned."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    inside = truth >= 0
    center, scale = found[inside].mean(axis=0), found[inside].std(axis=0) + 1e-9
    z = (found - center) / scale
    weights, bias = np.full(z.shape[1], 1 / z.shape[1]), 2.0
    if (~inside).sum() >= _LEAST_UNKNOWN:
        model = LogisticRegression(C=1.0, class_weight="balanced").fit(z, inside)
        weights, bias = model.coef_[0], float(model.intercept_[0])
    known = 1 / (1 + np.exp(-(z @ weights + bias)))
    threshold = float(np.quantile(known[inside], 1 - kept))
    return Scope(tuple(map(float, center)), tuple(map(float, scale)), tuple(map(float, weights)), bias, threshold)
