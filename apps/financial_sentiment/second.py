"""A second opinion: what a decision model, by default the chat model of the settings, says of an item and a company.

It stands beside the head's judgment and never replaces it: no figure, series or alert is computed from it. Where the
two differ is worth a look; how often they differ is told per language.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.financial_sentiment.public import LABELS
from core.contracts import DecisionModel
from core.i18n import message
from core.providers.sync import run
from core.types import LOCAL, Caller, Decision, Question

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk, Reported

TEXT_LIMIT = 1_200  # characters of an item that are shown to the model


@dataclass(frozen=True, slots=True)
class Second:
    """``first`` is the head's label; ``probability`` is the decision model's of its own ``label``."""

    item_id: int
    company: str
    model: str
    label: str
    probability: float
    asked_at: float
    first: str
    language: str

    @property
    def agrees(self) -> bool:
        return self.label == self.first


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two judges agree on ``count`` texts of a language; ``kappa`` takes off what agrees by chance (Cohen 1960)."""

    language: str
    count: int
    agreed: int
    kappa: float


async def decide(model: DecisionModel, text: str, company: str, language: str) -> Decision:
    """What ``model`` says of ``company`` in ``text``; the answer is one of ``LABELS``.

    The company stands in the state, so that the question is always the same and is calibrated once.
    """
    spoken = {message(f"financial_sentiment.label.{label}", language): label for label in LABELS}
    question = Question("mood", "choice", message("financial_sentiment.second.question", language), tuple(spoken))
    state = message("financial_sentiment.second.state", language, company=company, text=text[:TEXT_LIMIT])
    found = (await model.decide(state, [question]))["mood"]
    shares = {spoken[label]: share for label, share in found.probabilities.items()}
    return Decision("mood", spoken[str(found.answer)], found.probability, shares, found.model)


class SecondOpinions:
    """The second opinions of a desk, kept with the time at which they were asked for."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._workspace = desk.runtime.workspace

    def ask(
        self, listed: Sequence[Reported], caller: Caller = LOCAL, *, model: DecisionModel | None = None
    ) -> list[Second]:
        """Ask about each of ``listed`` and keep the answers; one that the same model gave before is given again.

        Raises:
            ProviderError: the model cannot answer; what it said before that is kept.
        """
        model = model or self.desk.runtime.decision()
        known = {(s.item_id, s.company): s for s in self._of(caller, time.time()) if s.model == model.name}
        found = []
        for reported in listed:
            key = reported.item.id, reported.mood.company
            if key not in known:
                known[key] = self._asked(reported, caller, model)
            found.append(known[key])
        return found

    def _asked(self, reported: Reported, caller: Caller, model: DecisionModel) -> Second:
        item, mood = reported.item, reported.mood
        name = self.desk.company(mood.company, caller).name(item.language)
        said = run(decide(model, item.body, name, item.language))
        made = Second(
            item.id,
            mood.company,
            model.name,
            str(said.answer),
            said.probability,
            time.time(),
            mood.label,
            item.language,
        )
        with self._workspace.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO news_second_opinions VALUES (?, ?, ?, ?, ?, ?)",
                (made.item_id, made.company, made.model, made.label, made.probability, made.asked_at),
            )
        return made

    def of(
        self, item_ids: Iterable[int], caller: Caller = LOCAL, *, at: float | None = None
    ) -> dict[tuple[int, str], Second]:
        """By item and company, the newest that was asked for by ``at``."""
        wanted = set(item_ids)
        found = self._of(caller, time.time() if at is None else at)
        return {(s.item_id, s.company): s for s in found if s.item_id in wanted}

    def agreement(
        self, caller: Caller = LOCAL, *, at: float | None = None, model: str | None = None
    ) -> tuple[list[Agreement], list[Second]]:
        """How head and second opinion agree, per language, and where they do not, the surest first."""
        listed = [s for s in self._of(caller, time.time() if at is None else at) if model in (None, s.model)]
        by_language: dict[str, list[Second]] = defaultdict(list)
        for second in listed:
            by_language[second.language].append(second)
        told = [agreement(lang, [(s.first, s.label) for s in found]) for lang, found in sorted(by_language.items())]
        return told, sorted((s for s in listed if not s.agrees), key=lambda s: -s.probability)

    def _of(self, caller: Caller, at: float) -> list[Second]:
        """In the order in which they were asked for."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT s.*, m.label AS first, i.language FROM news_second_opinions s JOIN news_items i ON i.id = s.item_id"
                " JOIN news_moods m ON m.item_id = s.item_id AND m.company = s.company"
                " WHERE i.tenant = ? AND s.asked_at <= ? ORDER BY s.asked_at",
                (caller.tenant, at),
            ).fetchall()
        return [Second(**dict(row)) for row in rows]


def agreement(language: str, pairs: Sequence[tuple[str, str]]) -> Agreement:
    """
    >>> agreement("en", [("a", "a"), ("a", "a"), ("b", "b"), ("b", "a")])
    Agreement(language='en', count=4, agreed=3, kappa=0.5)
    """
    agreed = sum(first == second for first, second in pairs)
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(firsts[label] * seconds[label] for label in firsts) / max(1, len(pairs)) ** 2
    kappa = (agreed / len(pairs) - by_chance) / (1 - by_chance) if pairs and by_chance < 1 else 0.0
    return Agreement(language, len(pairs), agreed, kappa)
