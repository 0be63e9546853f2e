"""An answer as it grows, and its text when it is whole: quotes under their titles, written sentences, a refusal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from core.i18n import detect_language, message
from core.retrieval import conflict, in_force
from core.retrieval.answer import Notice, SentenceReady
from core.retrieval.evidence import Scored
from core.retrieval.units import Unit
from core.telemetry.trace import current_trace
from core.types import Answer, Citation, Language, Sentence, Timings

REFUSE_BELOW = 0.12  # confidence, where the collection is not calibrated; docs/decisions/0009-answers-that-stand-out.md
Mode = Literal["extractive", "generated", "refused"]


@dataclass
class Draft:
    """An answer as it grows: citations get their numbers in the order they are first used."""

    question: str
    language: Language
    started: float
    sentences: list[Sentence] = field(default_factory=list)
    units: dict[int, Unit] = field(default_factory=dict)  # by number of the citation
    citations: dict[tuple[str, int, int], Citation] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    differing: tuple[int, int] | None = None  # citations that contradict each other
    over: tuple[int, ...] = ()  # citations of documents that are no longer in force
    removed: int = 0
    first_s: float | None = None
    threshold: float = REFUSE_BELOW
    first: int = 1  # number of the first citation

    def add(self, text: str, carried: Iterable[tuple[Unit, float | None]]) -> SentenceReady:
        numbers, fresh = [], []
        for unit, score in carried:
            key = (unit.passage.id, unit.start, unit.end)
            if key not in self.citations:
                self.citations[key] = citation(unit, len(self.citations) + self.first, score)
                self.units[self.citations[key].number] = unit
                fresh.append(self.citations[key])
            numbers.append(self.citations[key].number)
        sentence = Sentence(text, tuple(dict.fromkeys(numbers)))
        self.sentences.append(sentence)
        if self.first_s is None:
            self.first_s = time.perf_counter() - self.started
        return SentenceReady(sentence, tuple(fresh))

    def quoted(self) -> set[tuple[str, int, int]]:
        return set(self.citations)


def citation(unit: Unit, number: int, score: float | None) -> Citation:
    p = unit.passage
    return Citation(
        number, p.id, p.document_id, p.title, p.source, unit.text, unit.start, unit.end, p.heading, p.page, score
    )


def remarks(draft: Draft) -> list[Notice]:
    """What is to be told of the cited sources: they differ, or are no longer in force; noted in the draft, too."""
    return [notice for notice in (_differing(draft), _over(draft)) if notice is not None]


def _differing(draft: Draft) -> Notice | None:
    found = conflict.between(list(draft.units.values()))
    if found is None:
        return None
    one, other = (number for number, unit in draft.units.items() if any(unit is u for u in found))
    draft.differing = (one, other)
    draft.notices.append("sources_differ")
    return Notice("sources_differ", {"one": one, "other": other})


def _over(draft: Draft) -> Notice | None:
    draft.over = tuple(number for number, unit in draft.units.items() if in_force.is_over(unit.passage))
    if not draft.over:
        return None
    draft.notices.append("no_longer_in_force")
    return Notice("no_longer_in_force", {"sources": _numbers(draft.over)})


def _numbers(numbers: Sequence[int]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def finished(draft: Draft, mode: Mode, confidence: float | None) -> Answer:
    text = framed(draft) if mode == "extractive" else joined(draft)
    if draft.differing:
        one, other = draft.differing
        text = f"{text}\n{message('notice.sources_differ', draft.language, one=one, other=other)}"
    if draft.over:
        text = f"{text}\n{message('notice.no_longer_in_force', draft.language, sources=_numbers(draft.over))}"
    return Answer(
        draft.question,
        mode,
        text,
        tuple(draft.sentences),
        tuple(draft.citations.values()),
        None if confidence is None else round(confidence, 3),
        draft.language,
        draft.removed,
        tuple(dict.fromkeys(draft.notices)),
        trace_id=current_trace().trace_id,
        timings=Timings(draft.first_s, time.perf_counter() - draft.started),
        threshold=draft.threshold,
    )


def marks(sentence: Sentence) -> str:
    return "".join(f"[{n}]" for n in sentence.citations)


def joined(draft: Draft) -> str:
    gap = "" if draft.language == "zh" else " "
    return gap.join(s.text + marks(s) for s in draft.sentences)


def framed(draft: Draft) -> str:
    """Quotes under the titles of their documents, those in the other language marked."""
    by_number = {c.number: c for c in draft.citations.values()}
    lines: list[str] = []
    last = None
    for sentence in draft.sentences:
        source = by_number[sentence.citations[0]]
        text = sentence.text + marks(sentence)
        if source.document_id == last:
            lines[-1] += ("" if draft.language == "zh" else " ") + text
            continue
        written = detect_language(source.quote, draft.language)
        note = "" if written == draft.language else message(f"answer.quoted_{written}", draft.language)
        lines.append(message("answer.according_to", draft.language, title=source.title, note=note, text=text))
        last = source.document_id
    return "\n".join(lines)


def refused(draft: Draft, near: Sequence[Scored], confidence: float, written: Answer | None = None) -> Answer:
    """The documents do not say; those that come ``near`` are named and cited, or it is said that none does."""
    draft.sentences.clear()
    draft.citations.clear()
    for scored in near:
        draft.add("", [(scored.unit, scored.hit.score)])
    draft.sentences.clear()
    titles = message("answer.and", draft.language).join(
        message("answer.title", draft.language, title=c.title) for c in draft.citations.values()
    )
    text = message("answer.nothing_near", draft.language)
    if titles:
        text = message("answer.refused", draft.language) + message("answer.covers", draft.language, titles=titles)
    answer = replace(finished(draft, "refused", confidence), text=text)
    return replace(answer, model=written.model, prompt=written.prompt) if written else answer


def nothing_indexed(draft: Draft) -> Answer:
    draft.notices.append("nothing_indexed")
    return replace(finished(draft, "refused", 0.0), text=message("answer.nothing_indexed", draft.language))
