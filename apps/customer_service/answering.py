"""What comes of a message: all that it asks and wishes in its order, one turn for each part, told as one answer.

A wish that waits for something of the customer, such as an order number, asks for it after the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.customer_service.assistant import Assistant
from apps.customer_service.curated import Curated
from apps.customer_service.dialog import small_talk
from apps.customer_service.events import Added, Carded, Event
from apps.customer_service.hearing import Heard
from apps.customer_service.knowledge import Knowledge
from apps.customer_service.questions import divided, with_subject
from apps.customer_service.replies import Card, Reply, one_card
from apps.customer_service.together import cited, headed, together
from apps.customer_service.turns import Noting
from core.i18n import message
from core.retrieval.answer import AnswerDone, Notice, SentenceReady
from core.types import Answer, Caller, Language


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, or a part of it. ``earlier`` are the questions before it, oldest first.

    Args:
        pressed, conversation_id, sample: see :meth:`CustomerService.stream`.
        repeated: it was answered before, so that it is no second miss.
        goes_on: a wish that goes on stands before it in the same message, and it may belong to that.
    """

    text: str
    earlier: Sequence[str]
    caller: Caller
    language: Language
    sample: bool
    conversation_id: str | None = None
    pressed: tuple[str, bool] | None = None
    repeated: bool = False
    goes_on: bool = False


@dataclass(slots=True)
class _Told:
    """What was said to a part. ``reply`` is the flow's, where it said something itself, ``waits`` whether that asks for
    something; ``missed``: the documents had no answer, ``None`` where they were not asked."""

    part: str
    answer: Answer
    reply: Reply | None = None
    waits: bool = False
    missed: bool | None = None


class Answering:
    """Over the assistant that acts, what the documents know and what people of the house wrote."""

    def __init__(self, assistant: Assistant, knowledge: Knowledge, curated: Curated) -> None:
        self._assistant = assistant
        self._knowledge = knowledge
        self._curated = curated

    async def events(self, asked: Asked, noting: Noting) -> AsyncGenerator[Event, None]:
        """The answer as events, the last of which is ``AnswerDone``; what became of it is noted in ``noting``."""
        parts, all_told = await self._parts(asked), list[_Told]()
        for number, part in enumerate(parts):
            noting.begin()
            one = replace(
                asked,
                text=with_subject(part, parts[:number]),
                earlier=[*asked.earlier, *parts[:number]],
                goes_on=bool(all_told and all_told[-1].waits),
            )
            told = _Told(part, self._framed(one, ""))
            under = part if len(parts) > 1 else ""
            first = 1 + cited([before.answer for before in all_told])
            async with aclosing(self._part(one, told, noting, first)) as events:
                async for event in events:
                    if isinstance(event, SentenceReady) and under:
                        event, under = replace(event, sentence=replace(event.sentence, asked=under)), ""
                    yield event
            told.answer = replace(told.answer, question=part)
            if under and not told.waits:
                yield SentenceReady(headed(told.answer).sentences[0])
            all_told.append(told)
            if len(parts) > 1:
                noting.part(part)
            if told.reply and told.reply.cause:  # a person takes over, who reads the rest
                break
        for event in await self._ended(asked, all_told):
            yield event

    async def _parts(self, asked: Asked) -> list[str]:
        if asked.conversation_id is None:
            return divided(asked.text)
        if asked.pressed:
            return [asked.text]
        return await self._assistant.parts(asked.caller, asked.conversation_id, asked.text, asked.language)

    async def _part(self, asked: Asked, told: _Told, noting: Noting, first: int) -> AsyncGenerator[Event, None]:
        """What comes of one part; its answer, whose first source is number ``first``, is put into ``told``."""
        question = asked.text
        if asked.conversation_id is not None:
            reply, before = await self._heard(asked, noting)
            for event in before:
                yield event
            if reply.kind == "say":
                noting.outcome = "handed_over" if reply.cause else "done" if reply.done else "said"
                told.reply, told.answer = reply, self._framed(asked, reply.text)
                told.waits = await asyncio.to_thread(self._assistant.waits, asked.conversation_id)
                return
            question = reply.question or question
        if kind := small_talk(question):
            noting.outcome = "small_talk"
            told.answer = self._framed(asked, message(f"customer_service.small_talk.{kind}", asked.language))
            return
        noting.outcome, told.missed = "answered", False
        if entry := await self._curated.find(asked.caller, question, asked.language):
            if not asked.repeated:
                await asyncio.to_thread(self._curated.hit, asked.caller, entry.id)
            told.answer = Answer(asked.text, "curated", entry.text, language=asked.language)
            return
        answers = self._knowledge.answer(
            question,
            asked.earlier,
            caller=asked.caller,
            language=asked.language,
            sample=asked.sample,
            first=first,
            goes_on=asked.goes_on,
        )
        async with aclosing(answers) as events:
            async for event in events:
                if isinstance(event, AnswerDone):
                    told.answer = event.answer
                    told.missed = event.answer.mode == "refused"
                    noting.outcome = "refused" if told.missed else "answered"
                else:
                    yield event

    async def _heard(self, asked: Asked, noting: Noting) -> tuple[Reply, list[Event]]:
        """What the flow replies, and what is told before it: of a model that read the message, of an action made up for."""
        assert asked.conversation_id is not None  # noqa: S101  # asked only then
        notices: list[Notice] = []

        def heard(found: Heard) -> None:
            noting.intent, noting.probability = found.intent, found.probability if found.intent else None

        *made_up, reply = await self._assistant.respond(
            asked.caller,
            asked.conversation_id,
            asked.text,
            asked.language,
            pressed=asked.pressed,
            acts=asked.sample or not self._assistant.is_sample,
            on_heard=heard,
            on_notice=notices.append,
        )
        return reply, [*notices, *(Added(item.text, item.card) for item in made_up)]

    async def _ended(self, asked: Asked, all_told: Sequence[_Told]) -> list[Event]:
        """The card, what is added after the answer, and the answer to all parts."""
        newest = all_told[-1]
        asking = next((told for told in reversed(all_told) if told.waits), None)
        shown = [told for told in all_told if not told.waits] or [newest]
        events: list[Event] = []
        card: Card | None = None
        for told in shown:
            card = one_card(card, told.reply.card if told.reply else None)
        if card:
            events.append(Carded(card))
        if asked.conversation_id is not None and (more := await self._after(asked, shown, asking, all_told)):
            events.append(Added(more.text, more.card))
        return [*events, AnswerDone(together(asked.text, [told.answer for told in shown], asked.language))]

    async def _after(
        self, asked: Asked, shown: Sequence[_Told], asking: _Told | None, all_told: Sequence[_Told]
    ) -> Reply | None:
        """What the assistant adds: what a wish beside the questions waits for, or what follows an answer."""
        assert asked.conversation_id is not None  # noqa: S101  # asked only then
        asks = asking.reply if asking and asking not in shown else None
        if all(told.reply for told in all_told):
            return asks
        missed = [told.missed for told in all_told if told.missed is not None]
        return await asyncio.to_thread(
            self._assistant.after_answer,
            asked.caller,
            asked.conversation_id,
            asked.text,
            asked.language,
            missed=None if asked.repeated or not missed else all(missed),  # the same question is no second miss
            asks=asks,
        )

    def _framed(self, asked: Asked, text: str) -> Answer:
        return Answer(asked.text, "frame", text, language=asked.language)
