"""One request, scored: what the score of every item consists of, which items may be shown, and why those in a list are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.recommendation.catalogue import Catalogue, Filters, allowed, boost_name, boosted, like_it
from apps.recommendation.data import Event
from apps.recommendation.diversity import arranged, explored, lesser_known
from apps.recommendation.fusion import Features, leveled
from apps.recommendation.generators import History
from apps.recommendation.lists import NEAR_A_DISLIKE, Pick, by_words, histories, otherwise, spoken_for
from apps.recommendation.log import Array
from apps.recommendation.preferences import Said
from apps.recommendation.reasons import Reason, from_history
from core.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Scored:
    """What a request comes to, before a list is chosen.

    Shape: ``scores`` without boosts, ``words`` what the sentence added to them, ``added`` by boosts: ``(items,)``;
    ``allowed`` numbers of items. ``left_out`` counts the others by what kept them out.
    """

    found: Catalogue
    said: Sequence[Said]
    history: History
    features: Features
    scores: Array
    words: Array | None
    boosts: Mapping[str, float]
    added: Array
    allowed: Array
    left_out: Mapping[str, int]

    def order(
        self, count: int, *, diversity: float, novelty: float = 0.0, exploration: float = 0.0, seed: int = 0
    ) -> Array:
        """The numbers of ``count`` items that may be shown, best first."""
        found = self.found
        worth = lesser_known(explored(self.scores + self.added, exploration, seed), novelty, found.standing.fame)
        return arranged(worth, self.allowed, found.likeness, count=count, diversity=diversity, standing=found.standing)

    def picks(self, order: Array, language: str, *, plain: frozenset[int] | None = None) -> list[Pick]:
        """Items with their reasons. What is not in ``plain``, where that is given, is there by exploration."""
        items = self.found.items
        cited = from_history(self.found.fused, self.history, self.features, order)
        named = {self.found.number[one.name] for one in self.said if one.kind == "title"}
        picks = []
        for number, event in zip(order.tolist(), cited, strict=True):
            reasons = list(by_words(items[number], self.said, language))
            if event is not None:
                reasons.append(Reason("title" if event in named else "history", item=items[event].id))
            if self.added[number]:
                reasons.append(Reason("boosted", text=boost_name(items[number], self.boosts)))
            if plain is not None and number not in plain:
                reasons.append(Reason("explored"))
            if not reasons:
                reasons.append(otherwise(self.found, number, self.words))
            score = float(self.scores[number] + self.added[number])
            picks.append(Pick(items[number], score, tuple(reasons), float(self.added[number])))
        return picks

    def best(self, count: int) -> frozenset[int]:
        """The items of a list by score alone, without boosts."""
        first = np.argsort(-self.scores[self.allowed], kind="stable")[:count]
        return frozenset(self.allowed[first].tolist())


def scored(
    runtime: Runtime,
    found: Catalogue,
    events: Sequence[Event],
    *,
    likes: Sequence[str],
    says: str,
    read: Sequence[Said],
    ignored: frozenset[str],
    filters: Filters,
    boosts: Mapping[str, float],
    now: float,
) -> Scored:
    """What ``events``, ``likes`` and a sentence say of every item.

    Args:
        read: what was understood in ``says``; ``ignored`` are those of them that shall not count, as ``kind:name``.

    Raises:
        NotFound: an item of ``likes``.
    """
    said = [one for one in read if f"{one.kind}:{one.name}" not in ignored]
    history, disliked, seen = histories(found, events, likes, said, now)
    features = found.fused.features(history)
    scores = leveled(found.fused.scores(history, features))
    words = spoken_for(runtime, found, says, read, said, stranger=not len(history.items))
    if words is not None:
        scores = scores + words
    for number, weight in disliked.items():
        scores = scores - weight * NEAR_A_DISLIKE * like_it(found, number)
    may, left_out = allowed(found, filters, seen, said, now)
    added = boosted(found.items, boosts)
    return Scored(found, said, history, features, scores, words, boosts, added, may, left_out)
