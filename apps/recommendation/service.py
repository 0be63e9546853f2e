"""Recommendation as plain Python: open a catalogue, ask for somebody, tell what was right; no page and no HTTP.

>>> from apps.recommendation.service import Recommender            # doctest: +SKIP
>>> shelf = Recommender.open().recommend(says="像《星环信使》但轻松一点")   # doctest: +SKIP
>>> [pick.item.title("zh") for pick in shelf.picks]                # doctest: +SKIP
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.recommendation import assistant, closer, finding, preferences, sample
from apps.recommendation.catalogue import EVERYTHING, Catalogue, Filters, allowed, boosted
from apps.recommendation.closer import Shown, Similar
from apps.recommendation.data import SAMPLE, Event, Findings, Item, read_events, read_items, with_years
from apps.recommendation.diversity import DEFAULT
from apps.recommendation.fits import Fits, Source
from apps.recommendation.folders import Recognized
from apps.recommendation.generators import DAY_S
from apps.recommendation.health import Health, health
from apps.recommendation.helped import Help
from apps.recommendation.learning import embed, learnt
from apps.recommendation.lists import FEEDBACK, Shelf, check, histories
from apps.recommendation.quality import Quality, measured
from apps.recommendation.reasons import Reason
from apps.recommendation.scoring import scored
from apps.recommendation.store import Store
from core.errors import InputError, NotFound
from core.i18n import message
from core.providers.sync import run
from core.retrieval.meaning import Meaning
from core.retrieval.records import Progress
from core.runtime import Runtime, open_runtime
from core.settings import Settings
from core.types import LOCAL, Caller

MOST_BOOST = 5.0  # deviations of the score


class Recommender:
    """Recommends from one catalogue. Safe to share between threads."""

    def __init__(self, runtime: Runtime, *, catalogue: str = SAMPLE, tenant: str = LOCAL.tenant) -> None:
        self.runtime = runtime
        self._tenant, self._name = tenant, catalogue
        self._fits = Fits(lambda progress: self._made(progress), lambda: self._source())
        self.answers: dict[tuple[str, ...], Any] = {}  # of the chat model, the oldest first

    @classmethod
    def open(cls, settings: Settings | None = None, *, catalogue: str = SAMPLE, caller: Caller = LOCAL) -> Recommender:
        """Open with ``settings``, or with those of the current folder and the environment."""
        return cls(open_runtime(settings), catalogue=catalogue, tenant=caller.tenant)

    @property
    def key(self) -> tuple[str, str]:
        """The tenant and the name of the catalogue."""
        return self._tenant, self._name

    @property
    def store(self) -> Store:
        """The catalogue in the workspace in use; a runtime that was reloaded may have another."""
        return Store(self.runtime.workspace, self._tenant, self._name)

    def close(self) -> None:
        """Wait for a fit in the background and close the runtime."""
        self.wait()
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
        files = Recognized(items, interactions, item_columns or {}, event_columns or {})
        listed, events, found = self._read(files)
        self.store.replace(listed, events)
        return found

    def bring(
        self, files: Recognized, told: Callable[[Progress], None] = lambda _: None
    ) -> tuple[Findings, Findings | None]:
        """:meth:`import_files`, with the texts embedded before and the methods fitted after, so that lists are there at once.

        Args:
            files: what :func:`apps.recommendation.folders.look` found in a folder, or files with their columns.
            told: how far it is: ``files`` to read, ``vectors`` of texts, ``index`` for the fit.

        Raises: as :meth:`import_files`.
        """
        told(Progress("files", 0, 0))
        listed, events, found = self._read(files)
        embed(self.runtime, listed, told)
        told(Progress("index", 0, 0))
        self.store.replace(listed, events)
        self.fit()
        return found

    def _read(self, files: Recognized) -> tuple[list[Item], list[Event], tuple[Findings, Findings | None]]:
        if self._name == SAMPLE:
            raise InputError(reason="bad_value", name="catalogue", value=SAMPLE, allowed="own, …")
        listed, of_items = read_items(files.items, files.item_columns)
        if files.interactions is None:
            return with_years(listed), [], (of_items, None)
        known = frozenset(item.id for item in listed)
        events, of_events = read_events(files.interactions, files.event_columns, known=known)
        return with_years(listed), events, (of_items, of_events)

    def fit(self, progress: Callable[[str], None] = lambda _: None) -> Mapping[str, float]:
        """Learn from all events and take the result into use at once; requests meanwhile use the old one.

        Returns:
            The weight of each method.
        """
        return self._fits.anew(progress).fused.weights

    def refit(self) -> bool:
        """Learn from all events in the background; until then, and when that fails, the last good fit serves.

        It begins by itself after every :data:`apps.recommendation.fits.REFIT_AFTER` things told. Failures are kept in
        ``refit_error``.

        Returns:
            Whether it was begun; not while one is under way.
        """
        return self._fits.begin()

    @property
    def refit_error(self) -> Exception | None:
        """Why the last fit in the background came to nothing."""
        return self._fits.error

    def wait(self) -> None:
        """Until the fit in the background is through."""
        self._fits.wait()

    def prepare(self) -> None:
        """Load the sample into this workspace unless its catalogue is there, and fit what is not fitted yet."""
        self.catalogue()

    def items(self) -> list[Item]:
        return self.catalogue().items

    def item(self, id_: str) -> Item:
        """An item of the catalogue in use. A page asks dozens of times in a run, so only an unknown id looks further.

        Raises:
            NotFound: no such item.
        """
        found = self._fits.last
        if found is None or id_ not in found.number:
            found = self.catalogue()
        return found.items[self._number(found, id_)]

    def taken(self, id_: str) -> int:
        """Events with an item at the time of the fit. Raises NotFound."""
        found = self.catalogue()
        return int(found.counts[self._number(found, id_)])

    def history(self, user: str) -> list[Event]:
        """What ``user`` did and told, oldest first."""
        if self._fits.last is None:
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
        self._number(self.catalogue(), item)
        self.store.withdraw(user, item)
        self.store.add(Event(user, item, time.time(), 1.0, kind))
        self._fits.told()

    def starters(self, n: int = 9) -> list[Item]:
        """Well-known items that are not alike, for somebody new to choose from; all kinds in turn."""
        return self.catalogue().starters[:n]

    def people(self, limit: int = 50) -> list[str]:
        """People with a history, those with most events first; of the sample, one for each of six tastes."""
        if self._name == SAMPLE:
            return list(sample.PERSONAS)
        return [user for user, _ in self.store.users(limit)]

    def taste(self, user: str, n: int = 2) -> list[str]:
        """The tags that stand out in the history of ``user``, against the whole catalogue."""
        found = self.catalogue()
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

    def erase(self, user: str) -> int:
        """Delete all that is known of ``user``: every event in every catalogue of the tenant, those of files too.

        What was learnt from all people together is learnt anew without them, in the background.

        Returns:
            How many events there were.
        """
        count = self.store.erase(user)
        self.answers.clear()
        if (found := self._fits.last) is not None:
            found.tastes.pop(user, None)
            if count:
                self.refit()
        return count

    # --- recommending -----------------------------------------------------------------------------

    def recommend(
        self,
        user: str | None = None,
        *,
        likes: Sequence[str] = (),
        says: str = "",
        n: int = 10,
        filters: Filters = EVERYTHING,
        diversity: float = DEFAULT,
        novelty: float = 0.0,
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
            says: a wish in Chinese or English; of a conversation a sentence a line, of which later ones take back what
                earlier ones said (:func:`apps.recommendation.preferences.current`).
            n: how many, at most.
            diversity, novelty, exploration: 0 to 1: how little alike the items shall be, how little known, and how far
                chance decides.
            boosts: added to the score (whose deviation is 1) by item id or tag, on top of those that are kept
                (:meth:`boost`); told with each pick.
            ignored: things understood in ``says`` that shall not count, as ``kind:name``.
            language: of quotations, where a text is there in several.
            assisted: let the chat model read the wish, reorder the best candidates and word the reasons; see
                :mod:`apps.recommendation.assistant`. When it fails, the list is made without it and says why.

        Raises:
            InputError: ``says`` is too long, or a number is out of its range.
            NotFound: an item of ``likes``.
        """
        check(n, says, diversity=diversity, novelty=novelty, exploration=exploration)
        found = self.catalogue()
        now = time.time() if now is None else now
        says = preferences.current(says, found.titles)
        helped = Help(self, found, language) if assisted else None
        read = helped.read(says) if helped else preferences.understood(says, found.titles)
        events = self._events(found, user) if user is not None else []
        asked = scored(
            self.runtime, found, events, likes=likes, says=says, read=read, ignored=ignored, filters=filters,
            boosts={**self.store.boosts(), **(boosts or {})}, now=now,
        )  # fmt: skip
        seed = zlib.crc32(f"{user}{int(now // DAY_S)}".encode())
        order = asked.order(n, diversity=diversity, novelty=novelty, exploration=exploration, seed=seed)
        if helped:  # the list as it is without the model, then the next candidates: so it stays when the model fails
            wider = max(n, assistant.CANDIDATES)
            more = asked.order(wider, diversity=diversity, novelty=novelty, exploration=exploration, seed=seed)
            order = np.concatenate([order, more[~np.isin(more, order)]])
            order = helped.reordered(order, asked.history, says)[:n]
        picks = asked.picks(order, language, plain=asked.best(2 * n) if exploration else None)
        if helped:
            picks = helped.worded(picks)
        error = helped.error if helped else None
        return Shelf(tuple(picks), tuple(asked.said), asked.left_out, len(events), found.vectors is not None, error)

    def in_words(self, reason: Reason, language: str) -> str:
        """A reason as a plain sentence."""
        params: dict[str, object] = {"count": reason.count, "name": reason.text}
        if reason.item:
            params["title"] = self.item(reason.item).title(language)
        if reason.kind == "quote":
            params["wish"] = message(f"recommendation.concept.{reason.concept}", language)
            params["quote"] = reason.text[reason.start : reason.end]
        return message(f"recommendation.reason.{reason.kind}", language, **params)

    def similar(self, id_: str, n: int = 10) -> list[Similar]:
        """Items like one, the best first, with what likeness rests on.

        Raises:
            NotFound: no such item.
        """
        picks = self.recommend(likes=[id_], n=n, diversity=0.0).picks
        found = self.catalogue()
        return closer.similar(found, self._number(found, id_), [found.number[pick.item.id] for pick in picks])

    def why(self, user: str, id_: str, n: int = 5) -> list[tuple[Event, float]]:
        """The events of ``user`` without which the score of an item would fall, with their shares of these falls.

        Raises:
            NotFound: no such item.
        """
        found = self.catalogue()
        events = self._events(found, user)
        return closer.why(found, events, self._number(found, id_), time.time())[:n]

    def search(self, text: str, n: int = 10) -> list[Item]:
        """Items by a text in Chinese or English: by their words and, where a model can read them, by meaning.

        Raises:
            InputError: the text is too long, or ``n`` is out of its range.
        """
        check(n, text)
        found = self.catalogue()
        if not text.strip():
            return []
        question = None
        if found.vectors is not None:
            meaning = Meaning(self.runtime.workspace, self.runtime.embedding())
            question = run(meaning.vectors([text.strip()], kind="query"))[0]
        numbers = finding.found(found.words, text, found.vectors, question)
        return [found.items[number] for number in numbers[:n]]

    def side_by_side(self, user: str, n: int = 5) -> dict[str, list[Item]]:
        """The best unseen items in stock for ``user`` by every method alone and by all together (``fused``)."""
        found, now = self.catalogue(), time.time()
        history, _, seen = histories(found, self._events(found, user), (), (), now)
        may, _ = allowed(found, EVERYTHING, seen, (), now)
        features = found.fused.features(history)
        scores = {"fused": found.fused.scores(history, features)}
        scores |= dict(zip((g.name for g in found.fused.generators), features.values, strict=True))
        return {
            name: [found.items[i] for i in may[np.argsort(-of[may], kind="stable")[:n]].tolist() if of.any()]
            for name, of in scores.items()
        }

    def health(self) -> Health:
        """What the data of this catalogue have and lack."""
        return health(self.catalogue())

    def quality(self) -> Quality:
        """How good lists would have been, measured once for a fit; see :mod:`apps.recommendation.quality`.

        Raises:
            InputError: nobody has two events.
        """
        found = self.catalogue()
        if "quality" not in found.kept:
            found.kept["quality"] = measured(found, self._name)
        return found.kept["quality"]

    def measured_already(self) -> bool:
        """Whether :meth:`quality` of this fit is there without a wait."""
        return "quality" in self.catalogue().kept

    # --- the shop ---------------------------------------------------------------------------------

    def boosts(self) -> Mapping[str, float]:
        """What is added to scores in every list, by item id or tag."""
        return self.store.boosts()

    def boost(self, name: str, amount: float) -> None:
        """Push an item, or all with a tag, in every list from now on, or hold it back; picks say so. 0 ends it.

        Raises:
            InputError: no item or tag of this name, or an amount out of its range.
        """
        found = self.catalogue()
        if name not in found.number and name not in found.tags:
            raise InputError(reason="bad_value", name="boost", value=name, allowed=", ".join([*found.tags][:20]))
        if not abs(amount) <= MOST_BOOST:
            raise InputError(reason="bad_value", name="amount", value=amount, allowed=f"-{MOST_BOOST}-{MOST_BOOST}")
        self.store.boost(name, amount)

    def shown(self, people: int = 100, n: int = 10) -> Shown:
        """What lists of this catalogue show: for so many people with most events, or for everybody new.

        It costs as many lists, so it is made once for a fit and its boosts.
        """
        found = self.catalogue()
        asked = people, n, tuple(self.store.boosts().items())
        if asked in found.shown:
            return found.shown[asked]
        users = [user for user, _ in self.store.users(people)] or [""]
        lists = [[found.number[p.item.id] for p in self.recommend(user, n=n).picks] for user in users]
        found.shown[asked] = closer.shown(found, lists, boosted(found.items, self.store.boosts()) != 0)
        return found.shown[asked]

    # --- inside -----------------------------------------------------------------------------------

    def catalogue(self) -> Catalogue:
        """The catalogue in use; fitted anew when files were imported since, or the models have changed."""
        return self._fits.current()

    def _events(self, found: Catalogue, user: str) -> list[Event]:
        """What is known of ``user`` about items of the catalogue, oldest first."""
        return [event for event in self.store.events(user) if event.item in found.number]

    def _source(self) -> Source:
        """What a fit depends on besides clicks: the workspace, the number of the import, the embedding model."""
        return self.runtime.workspace.folder, self.store.version(), self.runtime.settings.model("embedding")

    def _bring_sample(self) -> None:
        """Load the sample when this is its catalogue and the workspace does not have it yet."""
        if self._name == SAMPLE and not self.store.version():
            self.store.replace(*sample.load())

    def _made(self, progress: Callable[[str], None]) -> Catalogue:
        self._bring_sample()
        return learnt(self.runtime, self.store, self._source(), progress)

    def _number(self, found: Catalogue, id_: str) -> int:
        if id_ not in found.number:
            raise NotFound(kind="item", value=id_)
        return found.number[id_]
