"""The classifier that a head has to beat: TF-IDF and a linear SVM, as scikit-learn's own pages build it.

Source: https://scikit-learn.org/stable/auto_examples/text/plot_document_classification_20newsgroups.html with words,
pairs of words and pieces of words; a text whose highest margin is low counts as out of scope, the threshold learned
as the head learns its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.training.fit import KEPT, UNKNOWN, labeled, need_scikit_learn
from core.types import Example

if TYPE_CHECKING:
    import numpy as np


class TfidfSvm:
    """Made by :func:`fit_tfidf_svm`."""

    def __init__(self, pipeline: Any, threshold: float) -> None:
        self._pipeline, self._threshold = pipeline, threshold

    def predict(self, texts: Sequence[str]) -> list[tuple[str, bool]]:
        """``(label, whether it is in scope)`` of each text."""
        import numpy as np

        margins = _margins(self._pipeline, texts)
        classes = self._pipeline.classes_
        best = margins.argmax(axis=1)
        inside = margins[np.arange(len(best)), best] >= self._threshold
        return [(str(classes[b]), bool(i)) for b, i in zip(best, inside, strict=True)]


def fit_tfidf_svm(
    examples: Sequence[Example], *, validation: Sequence[Example] = (), kept: float = KEPT, seed: int = 0
) -> TfidfSvm:
    """Train on the labeled ``examples``; the threshold comes from ``validation``, else from a fifth of them."""
    import numpy as np

    need_scikit_learn()
    known = labeled(examples)
    held = [e for e in validation if e.label != UNKNOWN]
    model = _fitted(known, seed)
    judge = model
    if not held:
        chosen = np.random.default_rng(seed).random(len(known)) < 0.2
        held = [e for e, out in zip(known, chosen, strict=True) if out]
        judge = _fitted([e for e, out in zip(known, chosen, strict=True) if not out], seed)
    margins = _margins(judge, [e.text for e in held]).max(axis=1)
    return TfidfSvm(model, float(np.quantile(margins, 1 - kept)))


def _fitted(examples: Sequence[Example], seed: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),  # noqa: S106  (words of one letter count)
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    return make_pipeline(features, LinearSVC(random_state=seed)).fit(
        [e.text for e in examples], [e.label for e in examples]
    )


def _margins(pipeline: Any, texts: Sequence[str]) -> np.ndarray:
    """Shape: ``(len(texts), labels)``; with two labels scikit-learn gives one column."""
    import numpy as np

    found = np.asarray(pipeline.decision_function(list(texts)))
    return found if found.ndim == 2 else np.stack([-found, found], axis=1)
