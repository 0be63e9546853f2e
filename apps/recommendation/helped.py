"""The chat model at work on a list: asked once for the same, left alone after its first failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from apps.recommendation import assistant, preferences
from apps.recommendation.catalogue import Catalogue
from apps.recommendation.generators import History
from apps.recommendation.log import Array
from apps.recommendation.preferences import Said
from core.errors import TouchstoneError
from core.i18n import message
from core.providers.sync import run

if TYPE_CHECKING:
    from apps.recommendation.lists import Pick
    from apps.recommendation.service import Recommender

log = logging.getLogger(__name__)
T = TypeVar("T")
REMEMBERED, TOLD = 256, 10  # answers of the chat model, and events of a history that it is told


class Help:
    """The chat model at work on one list. After its first failure it is not asked again."""

    def __init__(self, service: Recommender, found: Catalogue, language: str) -> None:
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
