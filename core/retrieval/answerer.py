"""Answers a question from what a search finds: quotes it, or has a model write from it and checks every sentence."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from core.contracts import ChatModel
from core.errors import InputError, ProviderError, StreamInterrupted, TouchstoneError, code_of
from core.i18n import detect_language, message
from core.prompts.library import PromptLibrary, library
from core.retrieval import calibration, conflict, evidence, tokens
from core.retrieval.answer import QUESTION_LIMIT, AnswerDone, AnswerEvent, Notice, SentenceReady, SourcesFound
from core.retrieval.check import check
from core.retrieval.meaning import Meaning
from core.retrieval.records import Found
from core.retrieval.sentences import spans
from core.retrieval.units import Unit, units
from core.telemetry.trace import current_trace, trace
from core.types import (
    Answer,
    Citation,
    Done,
    Event,
    Hit,
    Language,
    Message,
    Passage,
    Queued,
    Sentence,
    Switched,
    TextDelta,
    Timings,
    content_text,
)

CANDIDATES = 16  # passages whose units are weighed
MOST_UNITS = 32  # units that are embedded for a question
QUOTES = 3  # sentences of an extractive answer
NEAR = 12  # units in which a contradiction of the first is looked for
MARGIN = 3.5  # a further quote may score this much less than the first (log-odds)
TIED, MOST_ROWS = 1.0, 6  # rows of a table that the question tells apart by no more than this are quoted as one
REFUSE_BELOW = 0.12  # confidence, where the collection is not calibrated; docs/decisions/0009-answers-that-stand-out.md
HOPELESS = 0.25  # a model is not even asked below this share of the threshold
SOURCES = 6  # passages a model is given
PROMPT = "grounded_answer"
Mode = Literal["extractive", "generated", "refused"]
_MARKS = re.compile(r"(?:\s*[\[【［]\s*\d[\d,，、\s]*[\]】］])+")
_BULLET = re.compile(r"^(?:[-*•]\s+|\d{1,2}[.)、]\s+)")
_POINTS_BACK = re.compile(r"(?:it|they|this|that|these|those|he|she|such|then|however|but|otherwise|in that case)\b|其[中他]?|它|该|这|那|此|但|不过|否则|同时|另外|超过的|逾期", re.IGNORECASE)  # fmt: skip
_SAYS_NOTHING = re.compile(r"(?:资料|文档|来源)[中里]?(?:没有|未)(?:说明|提及|提到|给出|涉及)|(?:documents?|sources?) (?:do|does) not (?:say|mention|contain|cover|state)", re.IGNORECASE)  # fmt: skip


class Searchable(Protocol):
    """A collection, or several as one."""

    async def find(self, query: str, top_k: int = 8, *, terms_from: str | None = None) -> Found: ...

    def meaning(self) -> Meaning | None:
        """The embedding model with its memory; ``None`` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was found for a question, its units best first, and how likely the answer is among them."""

    found: Found
    hits: tuple[Hit, ...]  # in the order of their best units
    ranked: Sequence[evidence.Scored]
    evidence: evidence.Evidence
    notices: tuple[str, ...] = ()


@dataclass
class _Draft:
    """An answer as it grows: citations get their numbers in the order they are first used."""

    question: str
    language: Language
    started: float
    sentences: list[Sentence] = field(default_factory=list)
    units: dict[int, Unit] = field(default_factory=dict)  # by number of the citation
    citations: dict[tuple[str, int, int], Citation] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    differing: tuple[int, int] | None = None  # citations that contradict each other
    removed: int = 0
    first_s: float | None = None
    threshold: float = REFUSE_BELOW

    def add(self, text: str, carried: Iterable[tuple[Unit, float | None]]) -> SentenceReady:
        numbers, fresh = [], []
        for unit, score in carried:
            key = (unit.passage.id, unit.start, unit.end)
            if key not in self.citations:
                self.citations[key] = citation(unit, len(self.citations) + 1, score)
                self.units[len(self.citations)] = unit
                fresh.append(self.citations[key])
            numbers.append(self.citations[key].number)
        sentence = Sentence(text, tuple(dict.fromkeys(numbers)))
        self.sentences.append(sentence)
        if self.first_s is None:
            self.first_s = time.perf_counter() - self.started
        return SentenceReady(sentence, tuple(fresh))

    def quoted(self) -> set[tuple[str, int, int]]:
        return set(self.citations)


class Answerer:
    """Answers from ``index``; ``chat`` writes the answer when it is able to."""

    def __init__(self, index: Searchable, chat: ChatModel | None = None, *, prompts: PromptLibrary = library) -> None:
        self.index = index
        self.chat = chat if chat is not None and chat.capabilities.grounded else None
        self.prompts = prompts

    async def ask(
        self,
        question: str,
        *,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer ``question`` as events that end in one ``AnswerDone``; see :meth:`core.retrieval.library.Library.ask`."""
        asked = checked_question(question)
        chosen: Language = language or ("zh" if detect_language(asked) == "zh" else "en")
        draft = _Draft(asked, chosen, time.perf_counter())
        weighed = await self.weigh(
            asked, await self.index.find(searched(asked, history), max(top_k, CANDIDATES), terms_from=asked)
        )
        ranked, hits = weighed.ranked, weighed.hits
        calibrated = await asyncio.to_thread(calibration.in_force, self.index)
        confidence = weighed.evidence.confidence
        if calibrated is not None:
            confidence, draft.threshold = calibrated.confidence(confidence), calibrated.threshold
        if weighed.notices:
            draft.notices.extend(weighed.notices)
            yield Notice(weighed.notices[0])
        yield SourcesFound(hits[:top_k])
        if not weighed.found.passages:
            yield AnswerDone(nothing_indexed(draft))
            return
        written: Answer | None = None
        if self.chat is not None and confidence >= HOPELESS * draft.threshold:
            async with aclosing(self._written(draft, hits, confidence)) as events:
                async for event in events:
                    if isinstance(event, AnswerDone):
                        written = event.answer
                    else:
                        yield event
        if written is not None and written.mode == "generated" and "answer_incomplete" not in draft.notices:
            yield AnswerDone(written)
            return
        if written is not None and written.mode == "refused":
            yield AnswerDone(refused(draft, ranked, confidence, written))
            return
        if confidence < draft.threshold and not draft.sentences:
            yield AnswerDone(refused(draft, ranked, confidence))
            return
        mode: Mode = "generated" if draft.sentences else "extractive"
        for scored, unit in chosen_quotes(ranked, draft.quoted()):
            yield draft.add(ended(unit.shown), [(unit, scored.hit.score)])
        if notice := differing(draft):
            yield notice
        done = finished(draft, mode, confidence)
        if written is not None and mode == "generated":
            done = replace(done, model=written.model, prompt=written.prompt)
        yield AnswerDone(done)

    async def weigh(self, question: str, found: Found) -> Weighed:
        """Weigh the units of what was found: which of them answer the question, and whether any does."""
        ask = evidence.Ask(question, found.weights)
        pairs = await asyncio.to_thread(_worth_weighing, ask, found.hits, found.passages)
        meaning = self.index.meaning() if found.vector is not None and pairs else None
        notices = found.notices
        scale = vectors = None
        if meaning is not None:
            try:
                scale = await meaning.scale()
                scale = scale if scale.tells(ask.language) else None
                vectors = await meaning.vectors([evidence.unit_text(unit) for _, unit in pairs])
            except ProviderError:
                scale, notices = None, ("embedding_down",)
        ranked = await asyncio.to_thread(
            evidence.rank, ask, pairs, vectors, found.vector, scale, passages=found.passages
        )
        judged = await asyncio.to_thread(evidence.judge, ask, ranked, found.passages)
        return Weighed(found, reordered(found.hits, ranked), ranked, judged, notices)

    async def _written(
        self, draft: _Draft, hits: Sequence[Hit], confidence: float
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Let the model write, and hand on each sentence that its sources carry. Ends in ``AnswerDone`` if it ended."""
        assert self.chat is not None  # noqa: S101  # asked only then
        passages = [hit.passage for hit in hits[:SOURCES]]
        scores = {hit.passage.id: hit.score for hit in hits}
        prompt = self.prompts.get(PROMPT)
        sources = [{"title": p.title, "heading": p.heading, "text": source_text(p)} for p in passages]
        messages = prompt.render(language=draft.language, question=draft.question, sources=sources)
        buffer, model, refuses, done = "", self.chat.name, False, False
        try:
            async with aclosing(_within(prompt.ref, self.chat.stream(messages))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        buffer += event.text
                    elif isinstance(event, Queued | Switched):
                        yield event
                        continue
                    elif isinstance(event, Done):
                        model, done = f"{event.completion.provider}:{event.completion.model}", True
                        buffer += "" if draft.sentences or buffer or draft.removed else event.completion.text
                    ready, buffer = finished_sentences(buffer, done)
                    for sentence in ready:
                        if _SAYS_NOTHING.search(sentence):
                            refuses = refuses or not draft.sentences
                            continue
                        outcome = check(sentence, passages, draft.question)
                        if outcome.failed is not None:
                            draft.removed += 1
                            continue
                        if not refuses:
                            yield draft.add(outcome.text, [(u, scores[u.passage.id]) for u in outcome.support.values()])
        except TouchstoneError as error:
            code = "answer_incomplete" if draft.sentences else "generator_down"
            if isinstance(error, StreamInterrupted) and error.partial and not draft.sentences:
                code = "answer_incomplete"
            draft.notices.append(code)
            yield Notice(
                code, {"model": self.chat.name, "reason": code_of(error), "detail": error.text(draft.language)}
            )
            if draft.sentences:
                if notice := differing(draft):
                    yield notice
                yield AnswerDone(replace(finished(draft, "generated", confidence), model=model, prompt=prompt.ref))
            return
        if refuses and not draft.sentences:
            yield AnswerDone(replace(finished(draft, "refused", confidence), model=model, prompt=prompt.ref))
        elif draft.sentences:
            if notice := differing(draft):
                yield notice
            yield AnswerDone(replace(finished(draft, "generated", confidence), model=model, prompt=prompt.ref))
        else:
            draft.notices.append("nothing_supported")
            yield Notice("nothing_supported", {"removed": draft.removed})


# --- the question -----------------------------------------------------------------------------------


def checked_question(question: str) -> str:
    """The question without surrounding space.

    Raises:
        InputError: empty_question, question_too_long.
    """
    asked = question.strip()
    if not any(c.isalnum() for c in asked):
        raise InputError(reason="empty_question")
    if len(asked) > QUESTION_LIMIT:
        raise InputError(reason="question_too_long", length=len(asked), limit=QUESTION_LIMIT)
    return asked


def searched(question: str, history: Sequence[Message]) -> str:
    """What is searched for: a short question that leans on the one before it takes that one along.

    Only a question with hardly any content of its own, or one that begins by pointing back, is a follow-up; a
    product it names takes the place of the one named before.
    """
    before = next((content_text(m.content).strip() for m in reversed(history) if m.role == "user"), "")
    if not before:
        return question
    leans = len(tokens.content_terms(question)) <= 2 or _FOLLOWS.match(question.strip())
    if not leans:
        return question
    if tokens.codes(question):
        before = _CODE.sub(" ", before)
    return f"{before[:500]} {question}"


_FOLLOWS = re.compile(r"那|还有|另外|它|这个|这种|换成|如果|and\b|but\b|what about|how about|what if|it\b|they\b|does it|is it|can it|for\b", re.IGNORECASE)  # fmt: skip
_CODE = re.compile(r"\b[A-Za-z]{1,5}-?\d{1,4}\b(?: (?:pro|max|plus|mini)\b)?", re.IGNORECASE)


# --- the sources ------------------------------------------------------------------------------------


def _worth_weighing(ask: evidence.Ask, hits: Sequence[Hit], passages: int) -> list[tuple[Hit, Unit]]:
    """The units of the hits; of too many, those of the best passages and those that share most words."""
    pairs = [(hit, unit) for hit in hits for unit in units(hit.passage)]
    if len(pairs) <= MOST_UNITS:
        return pairs
    rows = evidence.rank(ask, pairs, passages=passages)
    kept = {(s.unit.passage.id, s.unit.position) for s in rows[:MOST_UNITS]}
    return [pair for pair in pairs if (pair[1].passage.id, pair[1].position) in kept]


def reordered(hits: Sequence[Hit], ranked: Sequence[evidence.Scored]) -> tuple[Hit, ...]:
    """The hits in the order of their best units."""
    best: dict[str, int] = {}
    for place, scored in enumerate(ranked):
        best.setdefault(scored.hit.passage.id, place)
    return tuple(sorted(hits, key=lambda hit: best.get(hit.passage.id, len(ranked))))


def source_text(passage: Passage) -> str:
    """A passage as a model reads it: with the header of its table when that stands elsewhere."""
    header = str(passage.metadata.get("table_header", ""))
    return f"{header}\n{passage.text}" if header and header not in passage.text else passage.text


def chosen_quotes(
    ranked: Sequence[evidence.Scored], quoted: set[tuple[str, int, int]]
) -> list[tuple[evidence.Scored, Unit]]:
    """Up to three units to quote: the best, and others nearly as good that say something more."""
    chosen: list[tuple[evidence.Scored, Unit]] = []
    seen: list[set[str]] = []
    ranked = rows_together(ranked)
    for scored in ranked:
        if len(chosen) == QUOTES or scored.score < ranked[0].score - MARGIN:
            break
        unit = understandable(scored.unit)
        terms = set(tokens.content_terms(unit.shown))
        if (unit.passage.id, unit.start, unit.end) in quoted or any(_same(terms, other) for other in seen):
            continue
        chosen.append((scored, unit))
        seen.append(terms)
    if chosen and (other := _against(chosen[0][1], ranked)) and all(other.unit is not unit for _, unit in chosen):
        chosen = [*chosen[: QUOTES - 1], (other, other.unit)]
    return chosen


def rows_together(ranked: Sequence[evidence.Scored]) -> list[evidence.Scored]:
    """``ranked`` with neighboring rows of a table as one unit where the question does not tell them apart.

    "What is the limit for hotels?" is answered by all the limits. Scores are log-odds against the other units, so that
    of rows together is the logarithm of their summed odds.
    """
    rows = {(s.unit.passage.id, s.unit.position): s for s in ranked if s.unit.kind == "row"}
    taken: set[tuple[str, int]] = set()
    found: list[evidence.Scored] = []
    for scored in ranked:
        id_, at = scored.unit.passage.id, scored.unit.position
        if scored.unit.kind != "row":
            found.append(scored)
            continue
        if (id_, at) in taken:
            continue
        group = [scored]
        for step in (-1, 1):
            place = at + step
            while (id_, place) not in taken and (row := rows.get((id_, place))) and _tied(row, scored):
                group.append(row)
                place += step
        group = group if len(group) <= MOST_ROWS else [scored]
        taken |= {(id_, row.unit.position) for row in group}
        found.append(_as_one(group))
    return sorted(found, key=lambda s: -s.score)  # stable: of equals the better comes first


def _tied(row: evidence.Scored, best: evidence.Scored) -> bool:
    return row.unit.lead == best.unit.lead and row.score >= best.score - TIED


def _as_one(group: Sequence[evidence.Scored]) -> evidence.Scored:
    if len(group) == 1:
        return group[0]
    best, units_ = group[0], sorted((row.unit for row in group), key=lambda unit: unit.position)
    passage, start, end = best.unit.passage, units_[0].start, units_[-1].end
    gap = "" if passage.language == "zh" else " "
    unit = replace(
        units_[0],
        end=end,
        text=passage.text[start - passage.start : end - passage.start],
        shown=gap.join(ended(unit.shown) for unit in units_),
    )
    return replace(best, unit=unit, score=best.score + math.log(sum(math.exp(r.score - best.score) for r in group)))


def _against(unit: Unit, ranked: Sequence[evidence.Scored]) -> evidence.Scored | None:
    """The first of the next best units that contradicts ``unit``; it is quoted whatever its score."""
    near = ranked[1:NEAR]
    return next((s for s in near if conflict.between([unit, s.unit]) is not None), None)


def understandable(unit: Unit) -> Unit:
    """``unit`` with the sentence before it when it points back to that one: "It must be unused." """
    if unit.kind != "sentence" or not unit.position or not _POINTS_BACK.match(unit.text):
        return unit
    before = units(unit.passage)[unit.position - 1]
    if before.kind != "sentence":
        return unit
    text = unit.passage.text[before.start - unit.passage.start : unit.end - unit.passage.start]
    gap = "" if unit.passage.language == "zh" else " "
    return replace(unit, start=before.start, text=text, shown=f"{before.shown}{gap}{unit.shown}")


def ended(text: str) -> str:
    """``text`` with a full stop, which rows and list items lack."""
    if text[-1:] in '。！？.!?…:：;；”"':
        return text
    return f"{text}。" if detect_language(text) == "zh" else f"{text}."


def _same(terms: set[str], other: set[str]) -> bool:
    return bool(terms) and len(terms & other) >= 0.8 * min(len(terms), len(other)) and len(terms) <= 1.3 * len(other)


def citation(unit: Unit, number: int, score: float | None) -> Citation:
    p = unit.passage
    return Citation(
        number, p.id, p.document_id, p.title, p.source, unit.text, unit.start, unit.end, p.heading, p.page, score
    )


# --- the answer -------------------------------------------------------------------------------------


def finished_sentences(buffer: str, done: bool) -> tuple[list[str], str]:
    """The whole sentences at the start of ``buffer`` with the marks that follow them, and the rest.

    A sentence is whole when something other than a mark has come after it, or nothing more will come.

    >>> finished_sentences("15 天内可退。[1] 运费由买家", False)
    (['15 天内可退。[1]'], ' 运费由买家')
    """
    ready: list[str] = []
    start = 0
    for _, end in spans(buffer):
        match = _MARKS.match(buffer, end)
        end = match.end() if match else end
        rest = buffer[end:]
        if end <= start:
            continue
        if not done and not rest.startswith("\n") and rest.strip()[:1] in ("", "[", "【", "［"):
            break
        ready.append(_BULLET.sub("", buffer[start:end].strip()))
        start = end
    return [sentence for sentence in ready if sentence], buffer[start:]


async def _within(prompt: str, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """``events``, each asked for with ``prompt`` in the trace, so that the ledger's row names it."""
    async with aclosing(events):
        while True:
            with trace(prompt=prompt):
                try:
                    event = await anext(events)
                except StopAsyncIteration:
                    return
            yield event


def differing(draft: _Draft) -> Notice | None:
    """The notice that two of the cited sources answer with different values; noted in the draft, too."""
    found = conflict.between(list(draft.units.values()))
    if found is None:
        return None
    one, other = (number for number, unit in draft.units.items() if any(unit is u for u in found))
    draft.differing = (one, other)
    draft.notices.append("sources_differ")
    return Notice("sources_differ", {"one": one, "other": other})


def finished(draft: _Draft, mode: Mode, confidence: float) -> Answer:
    text = framed(draft) if mode == "extractive" else joined(draft)
    if draft.differing:
        one, other = draft.differing
        text = f"{text}\n{message('notice.sources_differ', draft.language, one=one, other=other)}"
    return Answer(
        draft.question,
        mode,
        text,
        tuple(draft.sentences),
        tuple(draft.citations.values()),
        round(confidence, 3),
        draft.language,
        draft.removed,
        tuple(dict.fromkeys(draft.notices)),
        trace_id=current_trace().trace_id,
        timings=Timings(draft.first_s, time.perf_counter() - draft.started),
        threshold=draft.threshold,
    )


def marks(sentence: Sentence) -> str:
    return "".join(f"[{n}]" for n in sentence.citations)


def joined(draft: _Draft) -> str:
    gap = "" if draft.language == "zh" else " "
    return gap.join(s.text + marks(s) for s in draft.sentences)


def framed(draft: _Draft) -> str:
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


def refused(
    draft: _Draft, ranked: Sequence[evidence.Scored], confidence: float, written: Answer | None = None
) -> Answer:
    """The documents do not say; what they do cover is named, with a citation each."""
    near: dict[str, evidence.Scored] = {}
    for scored in ranked:
        near.setdefault(scored.unit.passage.document_id, scored)
    draft.sentences.clear()
    draft.citations.clear()
    for scored in list(near.values())[:3]:
        draft.add("", [(scored.unit, scored.hit.score)])
    draft.sentences.clear()
    titles = message("answer.and", draft.language).join(
        message("answer.title", draft.language, title=c.title) for c in draft.citations.values()
    )
    text = message("answer.refused", draft.language) + (
        message("answer.covers", draft.language, titles=titles) if titles else ""
    )
    answer = replace(finished(draft, "refused", confidence), text=text)
    return replace(answer, model=written.model, prompt=written.prompt) if written else answer


def nothing_indexed(draft: _Draft) -> Answer:
    draft.notices.append("nothing_indexed")
    return replace(finished(draft, "refused", 0.0), text=message("answer.nothing_indexed", draft.language))
