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
    words, _ = terms.best(depth, allowed=only)
    near = Near(np.empty(0, np.int64), np.empty(0))
    if leg is not None and vector is not None:
        near = leg.search(vector, depth, also=words, allowed=allowed)
    numbers, by_meaning, meaning_ranks, word_ranks = _together(near, words)
    places = view.places(numbers)
    lengths = Names(db, collection, view).lengths(numbers, places)
    if len(numbers) and lengths.min() < 0:  # memory may be a commit ahead of this transaction
        there = lengths >= 0
        numbers, by_meaning, lengths = numbers[there], by_meaning[there], lengths[there]
        meaning_ranks, word_ranks, places = meaning_ranks[there], word_ranks[there], view.places(numbers)
    by_word = terms.scores(numbers, places).astype(float) if terms.terms else np.full(len(numbers), np.nan)
    fused = fuse.mixed(by_word, by_meaning, fuse.keyword_weight(lengths))
    best = (-fused).argsort(kind="stable")
    return Candidates(numbers, by_word, by_meaning, fused, word_ranks, meaning_ranks, best, near.spread)


def _together(near: Near, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of both legs, ascending; their cosines, nan where there is none; ranks in ``near`` and in ``words``."""
    import numpy as np

    every = np.concatenate([near.numbers, words])
    order = every.argsort(kind="stable")
    every = every[order]
    once = np.ones(len(every), bool)
    once[1:] = every[1:] != every[:-1]
    numbers, first = every[once], order[once]  # of a number that stands in both legs, the place in `near`
    word_ranks = np.zeros(len(numbers), np.int64)
    word_ranks[numbers.searchsorted(words)] = np.arange(1, len(words) + 1)
    count = len(near.numbers)
    if len(numbers) == count:  # as nearly always: the words' passages have vectors
        return numbers, near.cosines[first].astype(float), first + 1, word_ranks
    seen = first < count
    by_meaning = np.full(len(numbers), np.nan)
    by_meaning[seen] = near.cosines[first[seen]]
    return numbers, by_meaning, np.where(seen, first + 1, 0), word_ranks


def ranks(scores: Mapping[str, float]) -> dict[str, int]:
    """Ranks from 1."""
    return {id_: rank for rank, id_ in enumerate(fuse.ranked(scores), 1)}
