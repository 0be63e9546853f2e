"""Answers a question from what a search finds: quotes it, or has a model write from it and checks every sentence."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from core.contracts import ChatModel, EmbeddingModel
from core.errors import ProviderError, StreamInterrupted, TouchstoneError, code_of
from core.i18n import detect_language
from core.prompts.library import PromptLibrary, library
from core.retrieval import calibration, evidence, in_force, introductions
from core.retrieval.answer import AnswerDone, AnswerEvent, Notice, SourcesFound
from core.retrieval.check import checked
from core.retrieval.draft import Draft, Mode, finished, nothing_indexed, refused, remarks
from core.retrieval.judge import Judge
from core.retrieval.meaning import Meaning
from core.retrieval.nearest import nearest
from core.retrieval.question import checked_question, searched
from core.retrieval.quotes import MARGIN, chosen_quotes, ended
from core.retrieval.records import Found
from core.retrieval.sentences import spans
from core.retrieval.units import Unit, units
from core.telemetry.trace import trace
from core.types import Answer, Done, Event, Hit, Language, Message, Passage, Queued, Switched, TextDelta

CANDIDATES = 16  # passages whose units are weighed
MOST_UNITS = 32  # units that are embedded for a question
HOPELESS = 0.25  # a model is not even asked below this share of the threshold
SOURCES = 6  # passages a model is given, at most
SHARE = 4  # and one in so many of the tokens it reads at once: a small model takes ten seconds for each thousand on a laptop
_TOKEN_BYTES = 4  # of UTF-8, about: a Chinese character has three and is most of a token
PROMPT = "grounded_answer"
_MARKS = re.compile(r"(?:\s*[\[【［]\s*\d[\d,，、\s]*[\]】］])+")
_BULLET = re.compile(r"^(?:[-*•]\s+|\d{1,2}[.)、]\s+)")
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


class Answerer:
    """Answers from ``index``; ``chat`` writes the answer when it is able to, and ``judge`` says of its sentences which are said."""

    def __init__(
        self,
        index: Searchable,
        chat: ChatModel | None = None,
        judge: Judge | None = None,
        *,
        prompts: PromptLibrary = library,
    ) -> None:
        self.index = index
        self.judge = judge
        self.chat = chat if chat is not None and chat.capabilities.grounded else None
        self.prompts = prompts

    async def ask(
        self,
        question: str,
        *,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
        first: int = 1,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer ``question`` as events that end in one ``AnswerDone``; see :meth:`core.retrieval.library.Library.ask`.

        ``first`` is the number of its first citation: an answer to several questions numbers them on.
        """
        asked = checked_question(question)
        chosen: Language = language or ("zh" if detect_language(asked) == "zh" else "en")
        draft = Draft(asked, chosen, time.perf_counter(), first=first)
        weighed = await self.weigh(
            asked, await self.index.find(searched(asked, history), max(top_k, CANDIDATES), terms_from=asked)
        )
        ranked, hits = in_force.kept(weighed.ranked, weighed.hits, asked, MARGIN)
        calibrated = await asyncio.to_thread(calibration.in_force, self.index)
        confidence = weighed.evidence.confidence
        if calibrated is not None:
            confidence, draft.threshold = calibrated.confidence(confidence), calibrated.threshold
        if weighed.notices:
            draft.notices.extend(weighed.notices)
            yield Notice(weighed.notices[0])
        asked_for = introductions.products(asked)
        beside = await introductions.introduced(self.index, asked_for, chosen) if asked_for else []
        if beside:
            ids = [hit.passage.id for hit, _ in beside]
            hits = (*(hit for hit, _ in beside), *(hit for hit in hits if hit.passage.id not in ids))
        yield SourcesFound(hits[:top_k])
        if not weighed.found.passages:
            yield AnswerDone(nothing_indexed(draft))
            return
        written: Answer | None = None
        if self.chat is not None and (beside or confidence >= HOPELESS * draft.threshold):
            async with aclosing(self._written(draft, hits, confidence)) as events:
                async for event in events:
                    if isinstance(event, AnswerDone):
                        written = event.answer
                    else:
                        yield event
        if written is not None and written.mode == "generated" and "answer_incomplete" not in draft.notices:
            yield AnswerDone(written)
            return
        declined = written if written is not None and written.mode == "refused" else None
        if declined or (confidence < draft.threshold and not draft.sentences and not beside):
            asking = evidence.Ask(asked, weighed.found.weights)
            near = await asyncio.to_thread(nearest, asking, ranked, weighed.found.passages)
            yield AnswerDone(refused(draft, near, confidence, declined))
            return
        mode: Mode = "generated" if draft.sentences else "extractive"
        quotes = [(scored.hit, unit) for scored, unit in chosen_quotes(ranked, draft.quoted(), chosen)]
        if beside and asked_for and mode == "extractive":
            together = introductions.naming_all(ranked, asked_for, chosen)
            quotes = [*beside, *((s.hit, s.unit) for s in together if all(s.unit.text != u.text for _, u in beside))]
        for hit, unit in quotes:
            yield draft.add(ended(unit.shown), [(unit, hit.score)])
        for notice in remarks(draft):
            yield notice
        done = finished(draft, mode, None if beside and mode == "extractive" else confidence)
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

    def _embedding(self) -> EmbeddingModel | None:
        """What settles doubts about a claim, where it can be had: the search has told of the lack."""
        try:
            meaning = self.index.meaning()
        except TouchstoneError:
            return None
        return None if meaning is None else meaning.model

    async def _written(self, draft: Draft, hits: Sequence[Hit], confidence: float) -> AsyncGenerator[AnswerEvent, None]:
        """Let the model write, and hand on each sentence that its sources carry. Ends in ``AnswerDone`` if it ended."""
        assert self.chat is not None  # noqa: S101  # asked only then
        passages = fitting([hit.passage for hit in hits[:SOURCES]], self.chat.capabilities.context_tokens)
        scores = {hit.passage.id: hit.score for hit in hits}
        prompt = self.prompts.get(PROMPT)
        sources = [{"title": p.title, "heading": p.heading, "text": source_text(p)} for p in passages]
        messages = prompt.render(language=draft.language, question=draft.question, sources=sources)
        embedding = self._embedding()
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
                        outcome = await checked(sentence, passages, draft.question, model=embedding, judge=self.judge)
                        if outcome.unjudged and "judge_down" not in draft.notices:
                            draft.notices.append("judge_down")
                            yield Notice("judge_down", {"reason": outcome.unjudged})
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
                for notice in remarks(draft):
                    yield notice
                yield AnswerDone(replace(finished(draft, "generated", confidence), model=model, prompt=prompt.ref))
            return
        if refuses and not draft.sentences:
            yield AnswerDone(replace(finished(draft, "refused", confidence), model=model, prompt=prompt.ref))
        elif draft.sentences:
            for notice in remarks(draft):
                yield notice
            yield AnswerDone(replace(finished(draft, "generated", confidence), model=model, prompt=prompt.ref))
        else:
            draft.notices.append("nothing_supported")
            yield Notice("nothing_supported", {"removed": draft.removed})


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


def fitting(passages: Sequence[Passage], context_tokens: int | None) -> Sequence[Passage]:
    """The first of ``passages`` that leave a model of ``context_tokens`` room to answer; one in any case."""
    if context_tokens is None:
        return passages
    room = context_tokens // SHARE * _TOKEN_BYTES
    for count, passage in enumerate(passages):
        room -= len(source_text(passage).encode())
        if room < 0 and count:
            return passages[:count]
    return passages


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
