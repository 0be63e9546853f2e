"""What both legs find for a query, each candidate scored by both, fused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.retrieval import fuse, keyword, tokens
from core.retrieval.allowed import Allowed
from core.retrieval.search import VectorLeg

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
    allowed: Allowed | None = None,
) -> Candidates:
    """The best ``depth`` passages of each leg, scored by both.

    Args:
        terms: none leave the vector leg alone; no ``leg`` leaves the keyword leg alone.
        allowed: the only passages that may be found.
    """
    depth = max(depth, LEAST)
    words = dict(keyword.search(db, collection, terms, depth, allowed=allowed.numbers if allowed is not None else None))
    rows = list(_rows(db, "number", words))
    by_word = {row["id"]: words[row["number"]] for row in rows}
    word_ranks = ranks(by_word)
    by_meaning: dict[str, float] = {}
    spread = None
    if leg is not None and vector is not None:
        by_meaning, spread = leg.search(vector, depth, also=by_word, allowed=allowed)
        others = list(_rows(db, "id", by_meaning.keys() - by_word.keys())) if terms else []
        scores = keyword.scores(db, collection, terms, [row["number"] for row in others])
        by_word |= {row["id"]: scores[row["number"]] for row in others}
        rows += others
    weight = fuse.keyword_weight([row["length"] for row in rows])
    fused = fuse.mix(by_word, by_meaning, weight)
    return Candidates(by_word, by_meaning, fused, word_ranks, ranks(by_meaning), spread)


def ranks(scores: Mapping[str, float]) -> dict[str, int]:
    """Ranks from 1."""
    return {id_: rank for rank, id_ in enumerate(fuse.ranked(scores), 1)}


def _rows(db: sqlite3.Connection, column: str, values: Iterable[int | str]) -> Iterator[sqlite3.Row]:
    asked = list(values)
    for at in range(0, len(asked), 500):
        chunk = asked[at : at + 500]
        marks = ",".join("?" * len(chunk))
        yield from db.execute(
            f"SELECT number, id, length(text) AS length FROM passages WHERE {column} IN ({marks})", chunk
        )
