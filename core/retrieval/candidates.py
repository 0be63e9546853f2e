"""What both legs find for a query, each candidate scored by both, fused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.retrieval import fuse, tokens
from core.retrieval.allowed import Allowed
from core.retrieval.bm25 import Terms
from core.retrieval.follow import Near
from core.retrieval.names import Names
from core.retrieval.search import VectorLeg
from core.retrieval.segment_views import View

if TYPE_CHECKING:
    import numpy as np

ASKED_IN, ASKED_IN_LEAST = 0.01, 20  # share and number of the passages that must hold a question word to make it count
LEAST = fuse.SCALE_OVER  # taken from each leg, so that the scales never depend on how many hits are asked for


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Passages that either leg found, one at each place of the arrays.

    ``by_word`` is BM25, 0 where no term occurs; ``by_meaning`` the cosine with the query; nan where a leg was not
    asked or has no vector. Ranks are each leg's own, 0 for none. ``best`` are the places in fused order; ``spread`` is
    mean and deviation of the cosines at large. Equal scores stand in order of the numbers, in each leg and in all.
    """

    numbers: np.ndarray
    by_word: np.ndarray
    by_meaning: np.ndarray
    fused: np.ndarray
    word_ranks: np.ndarray
    meaning_ranks: np.ndarray
    best: np.ndarray
    spread: tuple[float, float] | None = None


def terms_of(query: str, frequency: Callable[[Sequence[str]], Mapping[str, int]], passages: int) -> list[str]:
    """The terms a query is searched by: what carries meaning, and question words where the passages ask, too.

    In a manual 怎么 stands nowhere and would weigh most of all; among the questions of a FAQ it tells 怎么关闭 from
    为什么关闭.

    Args:
        frequency: in how many passages each term occurs.
    """
    asking = tokens.asking_terms(query)
    if not asking:
        return tokens.query_terms(query)
    held, least = frequency(asking), max(ASKED_IN * passages, ASKED_IN_LEAST)
    return tokens.query_terms(query) + [term for term in asking if held[term] >= least]


def gather(
    db: sqlite3.Connection,
    collection: int,
    terms: Terms,
    depth: int,
    leg: VectorLeg | None = None,
    vector: np.ndarray | None = None,
    *,
    view: View,
    allowed: Allowed | None = None,
) -> Candidates:
    """The best ``depth`` passages of each leg, scored by both.

    Args:
        terms: none leave the vector leg alone; no ``leg`` leaves the keyword leg alone.
        view: the keyword index as the transaction under way sees it, of which the terms are.
        allowed: the only passages that may be found.
    """
    import numpy as np

    depth = max(depth, LEAST)
    only = allowed.numbers if allowed is not None else None
    words, word_scores = terms.best(depth, allowed=only)
    near = Near(np.empty(0, np.int64), np.empty(0))
    if leg is not None and vector is not None:
        near = leg.search(vector, depth, also=words, allowed=allowed)
    names = Names(db, collection, view)
    numbers = np.concatenate([words, near.numbers])
    numbers.sort()
    once = np.ones(len(numbers), bool)
    once[1:] = numbers[1:] != numbers[:-1]
    numbers = numbers[once]
    places = view.places(numbers)
    lengths = names.lengths(numbers, places)
    if len(numbers) and lengths.min() < 0:  # memory may be a commit ahead of this transaction
        numbers = numbers[lengths >= 0]
        places, lengths = view.places(numbers), lengths[lengths >= 0]
    by_word, by_meaning = np.full(len(numbers), np.nan), np.full(len(numbers), np.nan)
    word_ranks = _put(by_word, numbers, words, word_scores)
    meaning_ranks = _put(by_meaning, numbers, near.numbers, near.cosines)
    if terms.terms:
        by_word[:] = terms.scores(numbers, places)
    fused = fuse.mixed(by_word, by_meaning, fuse.keyword_weight(lengths))
    best = (-fused).argsort(kind="stable")
    return Candidates(numbers, by_word, by_meaning, fused, word_ranks, meaning_ranks, best, near.spread)


def _put(target: np.ndarray, numbers: np.ndarray, ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Write ``values`` where those of ``ranked`` (best first) stand in the ascending ``numbers``, and return their ranks."""
    import numpy as np

    ranks = np.zeros(len(numbers), np.int64)
    places = numbers.searchsorted(ranked)
    if len(numbers):
        there = numbers.take(places, mode="clip") == ranked
        places = places[there]
        target[places] = values[there]
        ranks[places] = np.arange(1, len(places) + 1)
    return ranks


def ranks(scores: Mapping[str, float]) -> dict[str, int]:
    """Ranks from 1."""
    return {id_: rank for rank, id_ in enumerate(fuse.ranked(scores), 1)}
