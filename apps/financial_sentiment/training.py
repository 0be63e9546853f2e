"""Fits a head for sentiment on labeled texts; needs scikit-learn (``touchstone-llm[train]``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.financial_sentiment.head import VIEWS, Head, Near, dense_features, likeness
from apps.financial_sentiment.masking import Masked, has_han
from core.errors import InputError
from core.training.fit import need_scikit_learn
from core.training.heads import centered
from core.training.ngrams import Vocabulary, learn

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Nearness:
    """Kernel ridge regression over the embedding: ``width`` of the kernel, ``ridge``, and the most examples it keeps."""

    width: float = 1.0
    ridge: float = 0.3
    most: int = 12_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What was chosen on validation data. ``terms`` is the most n-grams a view keeps, ``folds`` are for calibration.

    With ``han_terms`` the texts with Han characters choose that many of their own, for where most texts are English nearly
    all of the commonest n-grams are, and have an intercept of their own in the calibration and a center of their embeddings.
    """

    c: float = 0.3
    terms: tuple[int, int, int, int] = (24_000, 12_000, 6_000, 6_000)
    han_terms: tuple[int, int, int, int] | None = None
    weights: tuple[float, ...] = (1.0, 0.7, 0.5, 0.5, 1.0, 1.5)
    folds: int = 3
    near: Nearness | None = None


RECIPE = Recipe()


@dataclass(frozen=True, slots=True)
class Labeled:
    """Texts to learn from. ``groups`` keeps what is alike on one side of every fold; ``usual`` says which texts are like
    those that will be judged: the calibration learns from them, and from all when it is empty."""

    texts: Sequence[Masked]
    labels: Sequence[str]
    groups: Sequence[int]
    vectors: np.ndarray
    usual: Sequence[bool] = ()

    def at(self, rows: np.ndarray) -> Labeled:
        return Labeled(
            [self.texts[i] for i in rows], [self.labels[i] for i in rows], [self.groups[i] for i in rows],
            self.vectors[rows], [self.usual[i] for i in rows] if len(self.usual) else (),
        )  # fmt: skip


def fit(
    data: Labeled,
    *,
    embedding: str,
    recipe: Recipe = RECIPE,
    before: Head | None = None,
    seed: int = 0,
    about: dict[str, Any] | None = None,
) -> Head:
    """Train on ``data``: the margins on all of it, the calibration on margins of parts that were left out.

    Args:
        before: a head whose margins count too. It must not have learned from ``data``.

    Raises:
        InputError: fewer than two labels.
        MissingPackage: scikit-learn is not installed.
    """
    import numpy as np

    need_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    names = tuple(sorted(set(data.labels)))
    if len(names) < 2:
        raise InputError(reason="bad_value", name="labels", value=", ".join(names), allowed="2 …")
    y = np.array([names.index(label) for label in data.labels])
    fold = _folds(data.groups, recipe.folds, seed)
    margins = np.zeros((len(y), 0))
    for number in range(recipe.folds):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        part = _uncalibrated(data.at(inside), y[inside], names, embedding, recipe, seed)
        left = data.at(outside)
        found = part.margins(left.texts, left.vectors)
        if not margins.shape[1]:
            margins = np.zeros((len(y), found.shape[1]))
        margins[outside] = found
    if before:
        margins = np.hstack([margins, before.margins(data.texts, data.vectors)])
    usual = np.array(data.usual, bool) if len(data.usual) else np.ones(len(y), bool)
    if len(set(y[usual])) < len(set(y)):
        usual[:] = True
    logistic = LogisticRegression(C=10.0, max_iter=1000).fit(margins[usual], y[usual])
    weights, bias = logistic.coef_, logistic.intercept_
    if len(names) == 2:
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    calibration = np.vstack([weights.T, bias]).astype(np.float32)
    head = _uncalibrated(data, y, names, embedding, recipe, seed)
    return Head(**{**vars(head), "calibration": calibration, "about": dict(about or {}), "before": before})


def _uncalibrated(
    data: Labeled, y: np.ndarray, names: tuple[str, ...], embedding: str, recipe: Recipe, seed: int
) -> Head:
    """The head with a calibration that changes nothing, and without the head before it."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack

    vocabularies, blocks = [], []
    for number in range(len(VIEWS)):
        listed = [text.views[number] for text in data.texts]
        vocabulary = _float16(_vocabulary(listed, number, recipe))
        indptr, indices, values = vocabulary.rows(listed)
        values = values * recipe.weights[number]
        blocks.append(csr_matrix((values, indices, indptr), shape=(len(listed), len(vocabulary.terms))))
        vocabularies.append(vocabulary)
    vectors = data.vectors if recipe.weights[-1] else data.vectors[:, :0]
    center = _center(data.texts, vectors, by_script=recipe.han_terms is not None)
    dense = dense_features(data.texts, vectors, center, recipe.weights)
    matrix = hstack([*blocks, csr_matrix(dense)]).tocsr()
    weights, bias = _one_against_rest(matrix, y, len(names), recipe.c, seed)
    v = matrix.shape[1] - dense.shape[1]
    return Head(
        names, embedding, tuple(vocabularies), recipe.weights, center,
        weights.T[:v].astype(np.float16), weights.T[v:].astype(np.float16), bias.astype(np.float32),
        np.vstack([np.eye(len(names)), np.zeros(len(names))]).astype(np.float32),
        near=_near(data.vectors, y, len(names), recipe.near, seed) if recipe.near else None,
        by_script=recipe.han_terms is not None,
    )  # fmt: skip


def _center(texts: Sequence[Masked], vectors: np.ndarray, *, by_script: bool) -> np.ndarray:
    """As a head has it. Embeddings of two languages lie apart: around the middle of English texts all Chinese ones are alike."""
    import numpy as np

    han = np.array([has_han(text.whole) for text in texts])
    if by_script and 0 < han.sum() < len(han):
        return np.stack([vectors[~han].mean(axis=0), vectors[han].mean(axis=0)]).astype(np.float32)
    return vectors.mean(axis=0, keepdims=True).astype(np.float32)


def _vocabulary(listed: Sequence[str], view: int, recipe: Recipe) -> Vocabulary:
    import numpy as np

    if recipe.han_terms is None:
        return learn(listed, most=recipe.terms[view])
    other = learn([text for text in listed if not has_han(text)], most=recipe.terms[view])
    han = learn([text for text in listed if has_han(text)], most=recipe.han_terms[view])
    own = [i for i, term in enumerate(han.terms) if term not in other.index]
    return Vocabulary((*other.terms, *(han.terms[i] for i in own)), np.concatenate([other.idf, han.idf[own]]))


def _near(vectors: np.ndarray, y: np.ndarray, k: int, chosen: Nearness, seed: int) -> Near:
    """Beyond ``chosen.most`` examples a sample of them is learned: the cost grows with the third power."""
    import numpy as np
    from scipy.linalg import solve

    kept = np.arange(len(y))
    if len(y) > chosen.most:
        kept = np.sort(np.random.default_rng(seed).permutation(len(y))[: chosen.most])
    center = vectors.mean(axis=0).astype(np.float32)
    examples = centered(vectors[kept], center).astype(np.float16)
    wanted = 2 * np.eye(k, dtype=np.float32)[y[kept]] - 1
    alike = likeness(examples, examples, chosen.width)
    alike[np.diag_indices(len(kept))] += chosen.ridge
    votes = solve(alike, wanted - wanted.mean(axis=0), assume_a="pos", overwrite_a=True)
    return Near(examples, votes.astype(np.float32), center, chosen.width)


def _one_against_rest(matrix: Any, y: np.ndarray, k: int, c: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(k, features)`` and bias ``(k,)``. A label that no row of ``y`` has is always rejected, with the margin
    -1 of a plain no: the rarest labels are missing where a fold is left out.
    """
    import numpy as np
    from sklearn.svm import LinearSVC

    present = np.unique(y)
    weights, bias = np.zeros((k, matrix.shape[1])), np.full(k, -1.0)
    if len(present) == 1:
        bias[present] = 1.0
        return weights, bias
    svm = LinearSVC(C=c, random_state=seed).fit(matrix, y)
    one_sided = len(present) == 2
    weights[present] = np.concatenate([-svm.coef_, svm.coef_]) if one_sided else svm.coef_
    bias[present] = np.concatenate([-svm.intercept_, svm.intercept_]) if one_sided else svm.intercept_
    return weights, bias


def _float16(vocabulary: Vocabulary) -> Vocabulary:
    """As it will be read from the file."""
    import numpy as np

    return Vocabulary(vocabulary.terms, vocabulary.idf.astype(np.float16).astype(np.float32))


def _folds(groups: Sequence[int], folds: int, seed: int) -> np.ndarray:
    import numpy as np

    values, inverse = np.unique(np.array(groups), return_inverse=True)
    return np.random.default_rng(seed).integers(0, folds, len(values))[inverse]
