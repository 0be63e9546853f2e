"""Recommendation as plain Python: open a catalogue, ask for somebody, tell what was right; no page and no HTTP.

>>> from apps.recommendation.service import Recommender            # doctest: +SKIP
>>> shelf = Recommender.open().recommend(says="像《星环信使》但轻松一点")   # doctest: +SKIP
>>> [pick.item.title("zh") for pick in shelf.picks]                # doctest: +SKIP
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.recommendation import assistant, preferences, sample
from apps.recommendation.data import Event, Findings, Item, read_events, read_items, with_years
from apps.recommendation.diversity import DEFAULT, Likeness, arranged, explored, fame
from apps.recommendation.fusion import Fused, evened, fit
from apps.recommendation.generators import History, centered
from apps.recommendation.log import Array, Log
from apps.recommendation.preferences import Said
from apps.recommendation.reasons import Reason, from_history
from apps.recommendation.store import Store
from core.errors import InputError, NotFound, TouchstoneError
from core.i18n import message
from core.providers.sync import run
from core.retrieval.meaning import Meaning
from core.runtime import Runtime, open_runtime
from core.settings import Settings
from core.types import LOCAL, Caller

log = logging.getLogger(__name__)
T = TypeVar("T")
SAMPLE = "sample"
SENTENCE_LIMIT = 500  # characters
STARTERS = 20  # of each kind, for somebody new to choose from
FEEDBACK = {"like": 1.5, "own": 0.5, "not_interested": -1.0, "less": -2.0}  # what a click weighs in a history
DAY_S = 86_400.0
# What a sentence weighs, in deviations of the fused score. Set by hand on the sample, not fitted: there is no public
# set of such sentences with right answers.
SAID, WISHED, UNWISHED, NEAR_A_DISLIKE = 1.0, 1.5, 3.0, 1.5
REMEMBERED, TOLD = 256, 10  # answers of the chat model, and events of a history that it is told
NAMED = 2.0  # a title that a sentence names, as an event of the history


@dataclass(frozen=True, slots=True)
class Filters:
    """What may be shown at all. Each drops items for a reason that is counted and told."""

    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # at least one of them
    age: int | None = None  # the person's
    in_stock: bool = True
    repeat_after_days: float | None = None  # what a person had may come again after so long; None: never


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


@dataclass(frozen=True)
class _Catalogue:
    """A catalogue as it was when it was fitted. Never changed: another takes its place."""

    items: list[Item]
    number: Mapping[str, int]
    fused: Fused
    vectors: Array | None  # as the model made them
    near: Array | None  # centered
    titles: preferences.Titles
    source: tuple[Path, int, str]  # see Recommender._source
    counts: Array
    fame: Array
    shows: Mapping[str, Array]  # concept → which items show it
    tags: Counter[str]  # in how many items
    stock: Array  # bool
    age: Array
    kind: Array  # of str
    likeness: Likeness
    tastes: dict[str, list[str]] = field(default_factory=dict)  # tags that stand out, by person, as they are asked for

    @cached_property
    def starters(self) -> list[Item]:
        """Well-known items of every kind that are not alike, the kinds in turn."""
        rows = []
        for kind in dict.fromkeys(item.kind for item in self.items):
            allowed = np.flatnonzero((self.kind == kind) & self.stock)
            order = arranged(self.fame, allowed, self.likeness, count=STARTERS, diversity=0.5, pool=4 * STARTERS)
            rows.append([self.items[number] for number in order.tolist()])
        return [row[i] for i in range(STARTERS) for row in rows if i < len(row)]


class Recommender:
    """Recommends from one catalogue. Safe to share between threads."""

    def __init__(self, runtime: Runtime, *, catalogue: str = SAMPLE, tenant: str = LOCAL.tenant) -> None:
        self.runtime = runtime
        self._tenant, self._name = tenant, catalogue
        self._lock = threading.RLock()
        self._fitted: _Catalogue | None = None
        self.answers: dict[tuple[str, ...], Any] = {}  # of the chat model, the oldest first

    @classmethod
    def open(cls, settings: Settings | None = None, *, catalogue: str = SAMPLE, caller: Caller = LOCAL) -> Recommender:
        """Open with ``settings``, or with those of the current folder and the environment."""
        return cls(open_runtime(settings), catalogue=catalogue, tenant=caller.tenant)

    @property
    def store(self) -> Store:
        """The catalogue in the workspace in use; a runtime that was reloaded may have another."""
        return Store(self.runtime.workspace, self._tenant, self._name)

    def close(self) -> None:
        """Close the runtime."""
        self.runtime.close()

    # --- data -------------------------------------------------------------------------------------

    def import_files(
        self,
        items: Path,
        interactions: Path | None = None,
        *,
        item_columns: Mapping[str, str] | None = None,
        event_columns: Mapping[str, str] | None = None,
    ) -> tuple[Findings, Findings | None]:
        """Put these files in the place of the catalogue, and say what was wrong with them.

        Raises:
            MissingFile, InputError: see :mod:`apps.recommendation.data`, or the catalogue is the sample; then nothing
                has changed.
        """
        if self._name == SAMPLE:
            raise InputError(reason="bad_value", name="catalogue", value=SAMPLE, allowed="own, …")
        listed, of_items = read_items(items, item_columns)
        events: list[Event] = []
        of_events = None
        if interactions is not None:
            known = frozenset(item.id for item in listed)
            events, of_events = read_events(interactions, event_columns, known=known)
        self.store.replace(with_years(listed), events)
        return of_items, of_events

    def fit(self, progress: Callable[[str], None] = lambda _: None) -> Mapping[str, float]:
        """Learn from all events and take the result into use at once; requests meanwhile use the old one.

        Returns:
            The weight of each method.
        """
        made = self._made(progress)
        with self._lock:
            self._fitted = made
        return made.fused.weights

    def prepare(self) -> None:
        """Load the sample into this workspace unless its catalogue is there, and fit what is not fitted yet."""
        self._catalogue()

    def items(self) -> list[Item]:
        return self._catalogue().items

    def item(self, id_: str) -> Item:
        """An item of the catalogue in use. A page asks dozens of times in a run, so only an unknown id looks further.

        Raises:
            NotFound: no such item.
        """
        found = self._fitted
        if found is None or id_ not in found.number:
            found = self._catalogue()
        return found.items[self._number(found, id_)]

    def history(self, user: str) -> list[Event]:
        """What ``user`` did and told, oldest first."""
        if self._fitted is None:
            self._bring_sample()
        return self.store.events(user)

    # --- telling ----------------------------------------------------------------------------------

    def tell(self, user: str, item: str, kind: str) -> None:
        """Keep what ``user`` says of ``item``: ``like``, ``own``, ``not_interested``, ``less``. It counts at once.

        Raises:
            InputError: no such kind. NotFound: no such item.
        """
        if kind not in FEEDBACK:
            raise InputError(reason="bad_value", name="feedback", value=kind, allowed=", ".join(FEEDBACK))
        self._number(self._catalogue(), item)
        self.store.withdraw(user, item)
        self.store.add(Event(user, item, time.time(), 1.0, kind))

    def starters(self, n: int = 9) -> list[Item]:
        """Well-known items that are not alike, for somebody new to choose from; all kinds in turn."""
        return self._catalogue().starters[:n]

    def people(self, limit: int = 50) -> list[str]:
        """People with a history, those with most events first; of the sample, one for each of six tastes."""
        if self._name == SAMPLE:
            return list(sample.PERSONAS)
        return [user for user, _ in self.store.users(limit)]

    def taste(self, user: str, n: int = 2) -> list[str]:
        """The tags that stand out in the history of ``user``, against the whole catalogue."""
        found = self._catalogue()
        if user not in found.tastes:  # a page names people by it, so it stays what it was at the fit
            mine = Counter(
                tag
                for event in self.store.events(user)
                if event.item in found.number
                for tag in found.items[found.number[event.item]].tags
            )
            found.tastes[user] = sorted(mine, key=lambda tag: (-(mine[tag] ** 1.5) / (3 + found.tags[tag]), tag))
        return found.tastes[user][:n]

    def forget(self, user: str, item: str | None = None) -> int:
        """Take back what ``user`` told, of ``item`` or at all; how much it was."""
        return self.store.withdraw(user, item)

    # --- recommending -----------------------------------------------------------------------------

    def recommend(
        self,
        user: str | None = None,
        *,
        likes: Sequence[str] = (),
        says: str = "",
        n: int = 10,
        filters: Filters = Filters(),
        diversity: float = DEFAULT,
        exploration: float = 0.0,
        boosts: Mapping[str, float] | None = None,
        ignored: frozenset[str] = frozenset(),
        language: str = "en",
        now: float | None = None,
        assisted: bool = False,
    ) -> Shelf:
        """A list for a person, for somebody who likes ``likes``, for a sentence, or for all of these at once.

        Args:
            user: whose events count; unknown people have none.
            likes: ids of items that somebody new has chosen, oldest first.
            says: a wish in Chinese or English.
            n: how many, at most.
            diversity, exploration: 0 to 1.
            boosts: added to the score (whose deviation is about 1) by item id or tag; told with each pick.
            ignored: things understood in ``says`` that shall not count, as ``kind:name``.
            language: of quotations, where a text is there in several.
            assisted: let the chat model read the wish, reorder the best candidates and word the reasons; see
                :mod:`apps.recommendation.assistant`. When it fails, the list is made without it and says why.

        Raises:
            InputError: ``says`` is too long, or a number is out of its range.
            NotFound: an item of ``likes``.
        """
        _check(n, diversity, exploration, says)
        found = self._catalogue()
        now = time.time() if now is None else now
        events = [e for e in self.store.events(user) if e.item in found.number] if user is not None else []
        helped = _Help(self, found, language) if assisted else None
        read = helped.read(says) if helped else preferences.understood(says, found.titles)
        said = [one for one in read if f"{one.kind}:{one.name}" not in ignored]
        history, disliked, seen = _histories(found, events, likes, said, now)
        features = found.fused.features(history)
        scores = found.fused.scores(history, features)
        words = self._said(found, says, read, said)
        if words is not None:
            scores = scores + words
        for number, weight in disliked.items():
            scores = scores - weight * NEAR_A_DISLIKE * _like_it(found, number)
        added = _boosted(found.items, boosts or {})
        allowed, left_out = _allowed(found, filters, seen, said, now)
        ranked = explored(scores + added, exploration, zlib.crc32(f"{user}{int(now // DAY_S)}".encode()))
        count = max(n, assistant.CANDIDATES) if helped else n
        order = arranged(ranked, allowed, found.likeness, count=count, diversity=diversity, fame=found.fame)
        if helped:
            order = helped.reordered(order, history, says)[:n]
        cited = from_history(found.fused, history, features, order)
        plain = set(allowed[np.argsort(-scores[allowed], kind="stable")[: 2 * n]].tolist()) if exploration else None
        picks = []
        for number, event in zip(order.tolist(), cited, strict=True):
            reasons = list(_by_words(found.items[number], said, language))
            if event is not None:
                named = any(s.kind == "title" and found.number[s.name] == event for s in said)
                reasons.append(Reason("title" if named else "history", item=found.items[event].id))
            if added[number]:
                reasons.append(Reason("boosted", text=_boost_name(found.items[number], boosts or {})))
            if plain is not None and number not in plain:
                reasons.append(Reason("explored"))
            if not reasons:
                reasons.append(_otherwise(found, number, words))
            picks.append(
                Pick(found.items[number], float(scores[number] + added[number]), tuple(reasons), float(added[number]))
            )
        if helped:
            picks = helped.worded(picks)
        error = helped.error if helped else None
        return Shelf(tuple(picks), tuple(said), left_out, len(events), found.vectors is not None, error)

    def in_words(self, reason: Reason, language: str) -> str:
        """A reason as a plain sentence."""
        params: dict[str, object] = {"count": reason.count, "name": reason.text}
        if reason.item:
            params["title"] = self.item(reason.item).title(language)
        if reason.kind == "quote":
            params["wish"] = message(f"recommendation.concept.{reason.concept}", language)
            params["quote"] = reason.text[reason.start : reason.end]
        return message(f"recommendation.reason.{reason.kind}", language, **params)

    def similar(self, id_: str, n: int = 10) -> Shelf:
        """Items like one: taken by the same people, and of like text. Raises NotFound."""
        return self.recommend(likes=[id_], n=n, diversity=0.0)

    # --- inside -----------------------------------------------------------------------------------

    def _catalogue(self) -> _Catalogue:
        """The catalogue in use; fitted anew when files were imported since, or the models have changed."""
        with self._lock:
            if self._fitted is None or self._fitted.source != self._source():
                self._bring_sample()
                self._fitted = self._made(lambda _: None)
            return self._fitted

    def _source(self) -> tuple[Path, int, str]:
        """What a fit depends on besides clicks: the workspace, the number of the import, the embedding model."""
        return self.runtime.workspace.folder, self.store.version(), self.runtime.settings.model("embedding")

    def _bring_sample(self) -> None:
        """Load the sample when this is its catalogue and the workspace does not have it yet."""
        if self._name == SAMPLE and not self.store.version():
            self.store.replace(*sample.load())

    def _made(self, progress: Callable[[str], None]) -> _Catalogue:
        self._bring_sample()
        source, items, events = self._source(), self.store.items(), self.store.events()
        if not items:
            raise NotFound(kind="catalogue", value=self._name)
        number = {item.id: i for i, item in enumerate(items)}
        taken = [e for e in events if e.item in number and FEEDBACK.get(e.kind, 1.0) > 0]
        users = sorted({e.user for e in taken})
        of_user = {user: i for i, user in enumerate(users)}
        taken_log = Log.of(
            users,
            [item.id for item in items],
            [of_user[e.user] for e in taken],
            [number[e.item] for e in taken],
            [e.at for e in taken],
            [e.value for e in taken],
        )
        vectors = self._vectors(items)
        numbers = np.array([np.nan if item.year is None else item.year for item in items], dtype=float)
        fused = fit(taken_log, vectors=vectors, numbers=numbers, progress=progress)
        near = centered(vectors) if vectors is not None else None
        shows = {
            concept.name: np.array([preferences.in_item(concept, item, "") is not None for item in items])
            for concept in preferences.concepts()
        }
        titles, tags = preferences.Titles(items), Counter(tag for item in items for tag in item.tags)
        counts = taken_log.counts()
        stock, age = np.array([item.stock for item in items]), np.array([item.age for item in items])
        kind = np.array([item.kind for item in items])
        return _Catalogue(
            items, number, fused, vectors, near, titles, source, counts, fame(counts), shows, tags, stock, age, kind,
            Likeness.of(near, (item.tags for item in items)),
        )  # fmt: skip

    def _vectors(self, items: Sequence[Item]) -> Array | None:
        """Embeddings of the items' texts; ``None`` when the model that is set cannot make them."""
        try:
            meaning = Meaning(self.runtime.workspace, self.runtime.embedding())
            if self._name == SAMPLE:
                sample.bring_vectors(self.runtime.workspace, meaning.model.name)
            return run(meaning.vectors([item.text() for item in items]))
        except TouchstoneError as error:
            log.warning("recommending without item texts: %s", error)
            return None

    def _said(self, found: _Catalogue, says: str, read: Sequence[Said], said: Sequence[Said]) -> Array | None:
        """What a sentence adds to the score of each item; words that shall not count are cut out of it first."""
        for one in sorted(set(read) - set(said), key=lambda s: -s.start):
            says = says[: one.start] + says[one.end :]
        if not says.strip():
            return None
        added = np.zeros(len(found.items), np.float32)
        if found.vectors is not None:
            meaning = Meaning(self.runtime.workspace, self.runtime.embedding())
            added += SAID * evened(found.vectors @ run(meaning.vectors([says.strip()], kind="query"))[0], 1.0)[0]
        for one in said:
            if one.kind != "concept":
                continue
            shows = found.shows[one.name].astype(np.float32)
            added += (WISHED if one.wanted else -UNWISHED) * shows
            other = preferences.opposite(one.name)
            if other and one.wanted:
                added -= WISHED * found.shows[other]
        return added

    def _number(self, found: _Catalogue, id_: str) -> int:
        if id_ not in found.number:
            raise NotFound(kind="item", value=id_)
        return found.number[id_]


class _Help:
    """The chat model at work on one list. After its first failure it is not asked again."""

    def __init__(self, service: Recommender, found: _Catalogue, language: str) -> None:
        self._service, self._found, self._language = service, found, language
        self.error: TouchstoneError | None = None

    def read(self, says: str) -> list[Said]:
        found = self._found
        concepts = [name for name, shown in found.shows.items() if shown.any()]
        known = {kind.name for kind in preferences.kinds()} & set(found.kind.tolist())

        def ask() -> list[Said]:
            return run(assistant.read(self._service.runtime.chat(), says, found.titles, concepts, sorted(known)))

        plain = preferences.understood(says, found.titles)
        return self._asked(("read", says), ask, plain) if says.strip() else plain

    def reordered(self, order: Array, history: History, says: str) -> Array:
        if len(order) < 2 or not (len(history.items) or says.strip()):
            return order
        items, language = self._found.items, self._language
        liked = [f"- {items[number].title(language)}" for number in history.items[-TOLD:].tolist()]
        person = message("recommendation.model.person", language, liked="\n".join(liked) or "-", says=says or "-")
        head = order[: assistant.CANDIDATES]
        texts = [" · ".join((items[i].title(language), *items[i].tags[:3])) for i in head.tolist()]

        def ask() -> Array:
            return run(assistant.preferred(self._service.runtime.decision(), person, texts, language))

        shares = self._asked(("order", person, *texts), ask, None)
        return order if shares is None else np.concatenate([assistant.reordered(head, shares), order[len(head) :]])

    def worded(self, picks: Sequence[Pick]) -> list[Pick]:
        language = self._language
        given = [
            (p.item.title(language), p.item.about(language), [self._service.in_words(r, language) for r in p.reasons])
            for p in picks
        ]

        def ask() -> list[str | None]:
            return run(assistant.all_worded(self._service.runtime.chat(), given, language))

        nothing: list[str | None] = [None] * len(picks)
        words = self._asked(("word", repr(given)), ask, nothing)
        return [replace(pick, words=told or "") for pick, told in zip(picks, words, strict=True)]

    def _asked(self, key: tuple[str, ...], ask: Callable[[], T], otherwise: T) -> T:
        """What ``ask`` gives, remembered: a page asks the same at every click."""
        if self.error is not None:
            return otherwise
        whole = (self._service.runtime.settings.model("chat"), self._language, str(self._found.source), *key)
        answers = self._service.answers
        try:
            if whole not in answers:
                answers[whole] = ask()
                while len(answers) > REMEMBERED:
                    answers.pop(next(iter(answers)), None)
            return answers[whole]
        except TouchstoneError as error:
            log.warning("recommending without the chat model: %s", error)
            self.error = error
            return otherwise


def _check(n: int, diversity: float, exploration: float, says: str) -> None:
    if not 1 <= n <= 100:
        raise InputError(reason="bad_value", name="n", value=n, allowed="1-100")
    for name, value in (("diversity", diversity), ("exploration", exploration)):
        if not 0 <= value <= 1:
            raise InputError(reason="bad_value", name=name, value=value, allowed="0-1")
    if len(says) > SENTENCE_LIMIT:
        raise InputError(reason="question_too_long", length=len(says), limit=SENTENCE_LIMIT)


def _histories(
    found: _Catalogue, events: Sequence[Event], likes: Sequence[str], said: Sequence[Said], now: float
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


def _allowed(
    found: _Catalogue, filters: Filters, seen: Mapping[int, float], said: Sequence[Said], now: float
) -> tuple[Array, dict[str, int]]:
    """Numbers of the items that may be shown, and how many each rule kept out."""
    wanted = {s.name for s in said if s.kind == "kind" and s.wanted}
    unwanted = [s.name for s in said if s.kind == "kind" and not s.wanted]
    kinds = list(set(filters.kinds) or (wanted & set(found.kind.tolist())))
    again_s = filters.repeat_after_days * DAY_S if filters.repeat_after_days is not None else float("inf")
    nothing = np.zeros(len(found.items), dtype=bool)
    had = nothing.copy()
    had[[number for number, at in seen.items() if now - at < again_s]] = True
    rules = {
        "seen": had,
        "stock": ~found.stock if filters.in_stock else nothing,
        "age": found.age > filters.age if filters.age is not None else nothing,
        "kind": np.isin(found.kind, unwanted) | (~np.isin(found.kind, kinds) if kinds else nothing),
        "tags": np.array([not {*filters.tags} & {*item.tags} for item in found.items]) if filters.tags else nothing,
    }
    left_out, out = {}, nothing
    for name, mask in rules.items():
        if count := int((mask & ~out).sum()):
            left_out[name] = count
        out = out | mask
    return np.flatnonzero(~out), left_out


def _like_it(found: _Catalogue, number: int) -> Array:
    """How like each item is to one that is disliked: by text, else by who takes both.

    Shape: ``(items,)``; 1 is the most alike there is, whatever the model's cosines are.
    """
    if found.near is not None:
        alike = np.maximum(found.near @ found.near[number], 0)
    else:
        alike = found.fused.generator("item_item").scores(History.of([number], 0.0)).copy()
    alike[number] = 0
    return alike / max(float(alike.max()), 1e-9)


def _boosted(items: Sequence[Item], boosts: Mapping[str, float]) -> Array:
    added = np.zeros(len(items), np.float32)
    if boosts:
        for number, item in enumerate(items):
            added[number] = sum(boosts.get(name, 0.0) for name in (item.id, *item.tags))
    return added


def _boost_name(item: Item, boosts: Mapping[str, float]) -> str:
    return next(name for name in (item.id, *item.tags) if name in boosts)


def _by_words(item: Item, said: Sequence[Said], language: str) -> list[Reason]:
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


def _otherwise(found: _Catalogue, number: int, words: Array | None) -> Reason:
    """What is left to say of a pick that rests on no single event and no word."""
    if words is not None and words[number] > 0:
        return Reason("said")
    count = int(found.counts[number])
    return Reason("popular", count=count) if count else Reason("new")
