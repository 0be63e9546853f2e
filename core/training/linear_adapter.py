"""A linear adapter: one matrix over the vectors of an embedding model, learned from pairs of texts that belong together.

    learned = learn(pairs, held_out, epochs=8, …)      # seconds: numpy alone
    learned.matrix                                      # both sides are turned by it, then brought back to norm 1

The matrix begins as the identity, so that all stays that the model knows, and learns by multiple negatives ranking: of a
batch a text's own partner must be nearer than all others', and nearer than the texts that are named as wrong for it; and
the other way round, a partner's own text nearer than all others'.
What is kept is the moment with the lowest loss on held-out pairs, which may be the beginning: then nothing is gained, and
nothing lost. Source of the loss: Henderson et al. 2017, https://arxiv.org/abs/1705.00652; of the steps: Kingma and Ba
2015, https://arxiv.org/abs/1412.6980.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WARMUP = 0.1  # share of all steps in which the learning rate rises
LEAST_STEPS, LEAST_BATCH = 16, 16  # an epoch of few pairs has so many steps, down to batches of so many
HELD_OUT = 2_000  # pairs at most that a moment is judged on: each is compared with all others
_MEANS = (0.9, 0.999)  # how much Adam's two means keep of what was
_OUT = -1e9  # the logit of what must not count


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of texts by number, and the vectors of the texts; those of one text are the same row.

    ``queries`` are the vectors of first texts, shape ``(q, d)``, ``documents`` those of their partners and of wrong texts,
    ``(p, d)``, all of norm 1. A row ``(i, k)`` of ``own`` says that document k belongs to query i. ``wrong`` has for each
    query the documents that do not, ``same`` the document with the very words of a query.
    """

    queries: np.ndarray
    documents: np.ndarray
    own: np.ndarray
    wrong: Sequence[Sequence[int]]
    same: Sequence[int | None]

    def right(self) -> list[set[int]]:
        """For each query the documents that are no strangers to it."""
        found = [{place} if place is not None else set() for place in self.same]
        for query, document in self.own.tolist():
            found[query].add(document)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """``matrix`` has shape ``(d, d)``; ``before`` and ``after`` are the held-out loss of the identity and of the matrix."""

    matrix: np.ndarray
    before: float
    after: float
    epoch: int  # that it is of; 0 is the identity


def turned(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``vectors`` of shape ``(n, d)`` as the adapter has them: float32, of norm 1."""
    import numpy as np

    found = vectors @ matrix.T
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), np.float32)


def learn(
    pairs: Pairs,
    held_out: Pairs,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    scale: float,
    seed: int = 0,
    told: Callable[[int, int, float, float, bool], None] | None = None,
) -> Learned:
    """Learn a matrix from ``pairs``.

    Args:
        scale: of the cosines before the softmax.
        told: is told the epoch, how many there are, its loss, that on ``held_out`` and whether it is the lowest; may raise to stop.
    """
    import numpy as np

    matrix: np.ndarray = np.eye(pairs.queries.shape[1], dtype=np.float32)
    first, second = (np.zeros_like(matrix) for _ in _MEANS)  # Adam's means of the gradient and of its square
    before = held_out_loss(matrix, held_out, scale)
    best = Learned(matrix, before, before, 0)
    random, right = np.random.default_rng(seed), pairs.right()
    size = min(batch_size, max(LEAST_BATCH, len(pairs.own) // LEAST_STEPS))
    steps, step = epochs * -(-len(pairs.own) // size), 0
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in _batches(random.permutation(len(pairs.own)), size):
            step += 1
            loss, gradient = _gradient(matrix, pairs, rows, right, scale)
            losses.append(loss)
            first = _MEANS[0] * first + (1 - _MEANS[0]) * gradient
            second = _MEANS[1] * second + (1 - _MEANS[1]) * gradient**2
            rate = learning_rate * min(1.0, step / (WARMUP * steps)) * (1 - (step - 1) / steps)
            spread = np.sqrt(second / (1 - _MEANS[1] ** step)) + 1e-8
            matrix = matrix - rate * (first / (1 - _MEANS[0] ** step)) / spread
        after = held_out_loss(matrix, held_out, scale)
        if after < best.after:
            best = Learned(matrix, before, after, epoch)
        if told:
            told(epoch, epochs, float(np.mean(losses)), after, best.epoch == epoch)
    return best


def held_out_loss(matrix: np.ndarray, pairs: Pairs, scale: float) -> float:
    """Mean negative log-likelihood, in nats, of each query's own document among those of all pairs, and the other way."""
    import numpy as np

    rows = np.arange(min(len(pairs.own), HELD_OUT))
    loss, _ = _gradient(matrix, pairs, rows, pairs.right(), scale)
    return loss


def _batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _gradient(
    matrix: np.ndarray, pairs: Pairs, rows: np.ndarray, right: Sequence[set[int]], scale: float
) -> tuple[float, np.ndarray]:
    """The loss of the pairs ``rows`` among each other, and its derivative by the matrix, of shape ``(d, d)``."""
    import numpy as np

    asked, own = pairs.own[rows].T
    named = [document for query in asked for document in pairs.wrong[query]]
    others, places = np.unique(np.concatenate([own, np.array(named, own.dtype)]), return_inverse=True)
    mine = places[: len(own)]
    queries, documents = pairs.queries[asked], pairs.documents[others]
    turned_q, turned_d = queries @ matrix.T, documents @ matrix.T
    length_q, length_d = (np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (turned_q, turned_d))
    unit_q, unit_d = turned_q / length_q, turned_d / length_d
    logits = scale * (unit_q @ unit_d.T)  # (rows, distinct documents)
    at = {document: place for place, document in enumerate(others.tolist())}
    for row, query in enumerate(asked.tolist()):  # what is right, too, is no stranger
        logits[row, [at[k] for k in right[query] if k in at and at[k] != mine[row]]] = _OUT
    there, by_logits = _softmax(logits, mine)
    back, by_own = _softmax(logits[:, mine].T, np.arange(len(rows)))
    np.add.at(by_logits.T, mine, by_own)
    by_logits *= scale / (2 * len(rows))
    by_q, by_d = by_logits @ unit_d, by_logits.T @ unit_q
    by_q = (by_q - unit_q * (unit_q * by_q).sum(axis=1, keepdims=True)) / length_q  # through the norm
    by_d = (by_d - unit_d * (unit_d * by_d).sum(axis=1, keepdims=True)) / length_d
    return (there + back) / 2, by_q.T @ queries + by_d.T @ documents


def _softmax(logits: np.ndarray, mine: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood of column ``mine[i]`` in row i, and its derivative by each row's logits."""
    import numpy as np

    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    each = np.arange(len(mine))
    loss = float(-np.log(np.maximum(shares[each, mine], 1e-30)).mean())
    shares[each, mine] -= 1
    return loss, shares
