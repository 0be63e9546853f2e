"""From a text to what it says of each company in it: label, probability, the sentence that says so, events.

A long text is not judged whole: for each company the title and the sentences that name it count, with the sentence
after one that names it alone ("Its shares fell"), at most ``MOST_SENTENCES``. The evidence is the sentence that
speaks most clearly for the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from apps.financial_sentiment import lexicon
from apps.financial_sentiment.companies import Company, Dictionary, Mention
from apps.financial_sentiment.events import Event, events
from apps.financial_sentiment.head import Head, Judged, load
from apps.financial_sentiment.masking import Masked, mask
from apps.financial_sentiment.vectors import Vectors, embedded
from core.contracts import EmbeddingModel
from core.retrieval import sentences

if TYPE_CHECKING:
    import numpy as np

MODEL = Path(__file__).parent / "model"
MOST_SENTENCES = 6
TITLE_WEIGHT = 2.0
TEXT_LIMIT = 200_000  # characters that are read; a longer text is cut, and says so


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a text says of one company. All places are places in the text.

    ``events`` stand in the sentences that name the company; ``marks`` are the evidence's pointing words.
    """

    company: Company
    label: str
    probability: float
    mood: float
    evidence: tuple[int, int]
    marks: tuple[lexicon.Mark, ...]
    events: tuple[Event, ...]
    sentences: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A sentence that speaks of a company."""

    start: int
    end: int
    masked: Masked
    title: bool


@cache
def shipped(name: str = "words") -> Head:
    """A head that comes with the app: ``words`` needs no embedding model, ``full`` does.

    Raises:
        MissingFile: it is not there.
    """
    return load(MODEL / name)


def fitting(embedding: str) -> Head:
    """The shipped head for who has this embedding model: ``full`` when it was trained with it, else ``words``."""
    full = shipped("full") if (MODEL / "full").is_dir() else None
    return full if full and full.embedding == embedding else shipped("words")


class Analyzer:
    """A dictionary, a head and, when the head wants one, an embedding model; ``store`` keeps what that made."""

    def __init__(
        self,
        dictionary: Dictionary,
        head: Head,
        embedding: EmbeddingModel | None = None,
        store: Vectors | None = None,
    ) -> None:
        self.dictionary, self.head, self.embedding, self.store = dictionary, head, embedding, store

    async def analyze(self, texts: Sequence[str]) -> list[list[Opinion]]:
        """The opinions of each text, in the order in which it names the companies.

        A text is a title, a line break and the rest, or one of these.
        """
        plans = [
            [(mention, parts(text, mention, mentions)) for mention in mentions] for text, mentions in self._found(texts)
        ]
        flat = [part for plan in plans for _, found in plan for part in found]
        judged = iter(
            self.head.judge([part.masked for part in flat], await self.vectors([part.masked for part in flat]))
        )
        return [
            [opinion(text, mention.company, found, [next(judged) for _ in found]) for mention, found in plan]
            for text, plan in zip(texts, plans, strict=True)
        ]

    def _found(self, texts: Sequence[str]) -> list[tuple[str, list[Mention]]]:
        return [(text, self.dictionary.find(text[:TEXT_LIMIT])) for text in texts]

    async def vectors(self, texts: Sequence[Masked]) -> np.ndarray:
        """What the head wants of ``texts`` beside their words; without columns when that is nothing."""
        import numpy as np

        if not self.head.embedding or self.embedding is None:
            return np.empty((len(texts), 0), np.float32)
        return await embedded([text.spoken for text in texts], self.embedding, store=self.store)


def parts(text: str, mention: Mention, mentions: Sequence[Mention]) -> list[_Part]:
    """The sentences that count for a company, in order, each with its names hidden."""
    others = [span for other in mentions if other is not mention for span in other.spans]
    title_end = text.find("\n")
    chosen: list[_Part] = []
    alone = False
    for start, end in sentences.spans(text[:TEXT_LIMIT]):
        own = _inside(mention.spans, start, end)
        foreign = _inside(others, start, end)
        if own or (alone and not foreign):
            masked = mask(text[start:end], _shifted(own, start), _shifted(foreign, start))
            chosen.append(_Part(start, end, masked, start < title_end))
        alone = bool(own) and not foreign
        if len(chosen) == MOST_SENTENCES:
            break
    if not chosen:  # a name across the end of a sentence: what stands around it
        start, end = max(0, mention.spans[0][0] - 100), min(len(text), mention.spans[0][1] + 100)
        own, foreign = _inside(mention.spans, start, end), _inside(others, start, end)
        chosen = [_Part(start, end, mask(text[start:end], _shifted(own, start), _shifted(foreign, start)), False)]
    return chosen


def opinion(text: str, company: Company, found: Sequence[_Part], judged: Sequence[Judged]) -> Opinion:
    """The weighted mean of what the sentences say; the clearest of them is the evidence."""
    weights = [TITLE_WEIGHT if part.title else 1.0 for part in found]
    whole = sum(weights)
    labels = judged[0].probabilities
    shares = {
        label: sum(w * j.probabilities[label] for w, j in zip(weights, judged, strict=True)) / whole for label in labels
    }
    label = max(shares, key=lambda name: shares[name])
    clearest = max(range(len(found)), key=lambda i: (judged[i].probabilities[label], weights[i]))
    start, end = found[clearest].start, found[clearest].end
    named = [
        Event(e.kind, part.start + e.start, part.start + e.end)
        for part in found
        for e in events(text[part.start : part.end])
    ]
    return Opinion(
        company,
        label,
        shares[label],
        shares.get("positive", 0.0) - shares.get("negative", 0.0),
        (start, end),
        tuple(lexicon.Mark(m.start + start, m.end + start, m.sign) for m in lexicon.marks(text[start:end])),
        tuple({e.kind: e for e in reversed(named)}.values()),
        len(found),
    )


def _inside(spans: Sequence[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    return [(a, b) for a, b in spans if start <= a and b <= end]


def _shifted(spans: Sequence[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(a - by, b - by) for a, b in spans]
