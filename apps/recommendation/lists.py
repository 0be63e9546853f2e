"""A list for somebody: what it consists of, and what speaks for and against items before they are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from apps.recommendation import preferences
from apps.recommendation.catalogue import Catalogue
from apps.recommendation.data import Event, Item
from apps.recommendation.fusion import evened
from apps.recommendation.generators import History
from apps.recommendation.log import Array, dots
from apps.recommendation.preferences import Said
from apps.recommendation.reasons import Reason
from core.errors import InputError, NotFound, TouchstoneError
from core.providers.sync import run
from core.retrieval.meaning import Meaning
from core.runtime import Runtime

SENTENCE_LIMIT = 500  # characters
FEEDBACK = {"like": 1.5, "own": 0.5, "not_interested": -1.0, "less": -2.0}  # what a click weighs in a history
# What a sentence weighs, in deviations of the fused score. Set by hand on the sample, not fitted: there is no public
# set of such sentences with right answers.
SAID, OPPOSITE, UNWISHED, NEAR_A_DISLIKE = 1.0, 1.5, 3.0, 1.5
# What an item gains that shows any of the wishes, and what it gains for each of them, by its rarity; where wishes are all
# that is known of somebody, and beside other things. Chosen on validation (docs/decisions/0036).
ALONE, BESIDE = (2.0, 0.8), (1.0, 0.5)
NAMED = 2.0  # a title that a sentence names, as an event of the history


@dataclass(frozen=True, slots=True)
class Pick:
    """An item of the list. ``boost`` is the part of the score that the business added, ``words`` a model's sentence
    for the reasons, empty where there is none that they bear out."""

    item: Item
    score: float
    reasons: tuple[Reason, ...]
    boost: float = 0.0
    words: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A list for somebody. ``left_out`` counts items by what kept them out: seen, stock, age, kind, tags."""

    picks: tuple[Pick, ...]
    understood: tuple[Said, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    known_events: int = 0  # of the person
    reads_text: bool = True  # whether texts of items and sentences were understood by an embedding model
    unassisted: TouchstoneError | None = None  # why the chat model that was asked to help did not


def check(n: int, says: str, **sliders: float) -> None:
    if not 1 <= n <= 100:
        raise InputError(reason="bad_value", name="n", value=n, allowed="1-100")
    for name, value in sliders.items():
        if not 0 <= value <= 1:
            raise InputError(reason="bad_value", name=name, value=value, allowed="0-1")
    if len(says) > SENTENCE_LIMIT:
        raise InputError(reason="question_too_long", length=len(says), limit=SENTENCE_LIMIT)


def histories(
    found: Catalogue, events: Sequence[Event], likes: Sequence[str], said: Sequence[Said], now: float
) -> tuple[History, dict[int, float], dict[int, float]]:
    """What speaks for items, what against (number → weight), and when each item was last seen."""
    items, weights = [], []
    disliked: dict[int, float] = {}
    seen: dict[int, float] = {}
    for event in events:
        number, weight = found.number[event.item], FEEDBACK.get(event.kind, 1.0)
        seen[number] = event.at
        if weight > 0:
            items.append(number)
            weights.append(weight)
        else:
            disliked[number] = -weight
    for id_ in likes:
        if id_ not in found.number:
            raise NotFound(kind="item", value=id_)
        items.append(found.number[id_])
        weights.append(FEEDBACK["like"])
        seen[items[-1]] = now
    for one in said:
        if one.kind == "title":
            number = found.number[one.name]
            seen[number] = now
            if one.wanted:
                items.append(number)
                weights.append(NAMED)
            else:
                disliked[number] = 1.0
    kept = [i for i, number in enumerate(items) if number not in disliked]
    history = History.of([items[i] for i in kept], now, np.array([weights[i] for i in kept]))
    return history, disliked, seen


def spoken_for(
    runtime: Runtime, found: Catalogue, says: str, read: Sequence[Said], said: Sequence[Said], *, stranger: bool
) -> Array | None:
    """What a sentence adds to the score of each item; words that shall not count are cut out of it first.

    Its meaning counts where it says more than the words that were understood: by itself “I would like something” is near
    to anything (docs/decisions/0029). Of a ``stranger`` the wishes are then all that is known, and they count for more. What
    shows none of them stands behind; a wish that much of the catalogue shows says little beyond that, and leaves the order
    to what else is known, or to what everybody takes.
    """
    sentence = says
    for one in sorted(set(read) - set(said), key=lambda s: -s.start):
        says = says[: one.start] + says[one.end :]
    if not says.strip():
        return None
    added = np.zeros(len(found.items), np.float32)
    any_, rare = ALONE if stranger else BESIDE
    if found.vectors is not None and preferences.says_more(sentence, read):
        any_, rare = BESIDE
        meaning = Meaning(runtime.workspace, runtime.embedding())
        wish = run(meaning.vectors([says.strip()], kind="query"))[0]
        added += SAID * evened(dots(found.vectors, wish), 1.0)[0]
    wishes = [one for one in said if one.kind == "concept"]
    added += any_ * np.any([found.shows[one.name] for one in wishes if one.wanted], axis=0)
    for one in wishes:
        shows = found.shows[one.name].astype(np.float32)
        added += (rare * rarity(shows) if one.wanted else -UNWISHED) * shows
        other = preferences.opposite(one.name)
        if other and one.wanted:
            added -= OPPOSITE * found.shows[other]
    return added


def rarity(shows: Array) -> float:
    """The logarithm of the odds that an item does not show a wish: what half of the items show tells nothing apart, 0.

    >>> round(rarity(np.array([1, 0, 0, 0, 0])), 2)
    1.39
    """
    share = max(float(shows.mean()), 1 / len(shows))
    return float(np.log(1 / share - 1)) if share < 0.5 else 0.0


def by_words(item: Item, said: Sequence[Said], language: str) -> list[Reason]:
    """Quotations of the item that show what was wished, at most two."""
    found = []
    for one in said:
        if one.kind != "concept" or not one.wanted:
            continue
        concept = next(c for c in preferences.concepts() if c.name == one.name)
        if shown := preferences.in_item(concept, item, language):
            text, start, end = shown
            found.append(Reason("quote", concept=one.name, text=text, start=start, end=end))
    return found[:2]


def otherwise(found: Catalogue, number: int, words: Array | None) -> Reason:
    """What is left to say of a pick that rests on no single event and no word."""
    if words is not None and words[number] > 0:
        return Reason("said")
    count = int(found.counts[number])
    return Reason("popular", count=count) if count else Reason("new")
