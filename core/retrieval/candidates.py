"""What both legs find for a query, each candidate scored by both, fused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.retrieval import fuse, keyword, tokens
from core.retrieval.allowed import Allowed
from core.retrieval.names import Names
from core.retrieval.search import VectorLeg
from core.retrieval.segment_views import View

if TYPE_CHECKING:
    import numpy as np

ASKED_IN, ASKED_IN_LEAST = 0.01, 20  # share and number of the passages that must hold a question word to make it count
LEAST = fuse.SCALE_OVER  # taken from each leg, so that the scales never depend on how many hits are asked for


@dataclass(frozen=True, slots=True)
class Candidates:
    """Scores by passage id. ``by_word`` are BM25's, 0 where no term occurs; ``by_meaning`` cosines with the query.

    The ranks are each leg's own; ``spread`` is mean and deviation of the cosines at large.
    """

    by_word: Mapping[str, float]
    by_meaning: Mapping[str, float]
    fused: Mapping[str, float]
    word_ranks: Mapping[str, int]
    meaning_ranks: Mapping[str, int]
    spread: tuple[float, float] | None = None


def terms_of(query: str, frequency: Callable[[Sequence[str]], Mapping[str, int]], passages: int) -> list[str]:
    """The terms a query is searched by: what carries meaning, and question words where the passages ask, too.

    In a manual 怎么 stands nowhere and would weigh most of all; among the questions of a FAQ it tells 怎么关闭 from
    为什么关闭.

    Args:
        frequency: in how many passages each term occurs.
    """
    asking = tokens.asking_terms(query)
    held, least = frequency(asking), max(ASKED_IN * passages, ASKED_IN_LEAST)
    return tokens.query_terms(query) + [term for term in asking if held[term] >= least]


def gather(
    db: sqlite3.Connection,
    collection: int,
    terms: Sequence[str],
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
        view: the keyword index as the transaction under way sees it.
        allowed: the only passages that may be found.
    """
    depth = max(depth, LEAST)
    only = allowed.numbers if allowed is not None else None
    words = dict(keyword.search(db, collection, terms, depth, allowed=only, view=view))
    names = Names(db, collection, view)
    numbers = {id_: number for number, id_ in names.ids(words).items()}
    by_word = {id_: words[number] for id_, number in numbers.items()}
    word_ranks = ranks(by_word)
    by_meaning: dict[str, float] = {}
    spread = None
    if leg is not None and vector is not None:
        by_meaning, spread = leg.search(vector, depth, also=by_word, allowed=allowed)
        others = names.numbers(by_meaning.keys() - by_word.keys()) if terms else {}
        scores = keyword.scores(db, collection, terms, others.values(), view=view)
        by_word |= {id_: scores[number] for id_, number in others.items()}
        numbers |= others
    weight = fuse.keyword_weight(names.lengths(numbers.values()))
    fused = fuse.mix(by_word, by_meaning, weight)
    return Candidates(by_word, by_meaning, fused, word_ranks, ranks(by_meaning), spread)


def ranks(scores: Mapping[str, float]) -> dict[str, int]:
    """Ranks from 1."""
    return {id_: rank for rank, id_ in enumerate(fuse.ranked(scores), 1)}
