"""The customer-service app as plain Python: ask, stream, upload; no page and no HTTP.

>>> from apps.customer_service import CustomerService              # doctest: +SKIP
>>> shop = CustomerService.open()                                  # doctest: +SKIP
>>> print(shop.ask("KT-210 几天内可以退货？").text)                  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.customer_service.answering import Answering, Asked
from apps.customer_service.assistant import Assistant
from apps.customer_service.control import Control
from apps.customer_service.curated import Curated
from apps.customer_service.desk import Desk
from apps.customer_service.dialog import language_in
from apps.customer_service.events import Added, Begun, Carded, Event, joined
from apps.customer_service.facts import Facts
from apps.customer_service.knowledge import Knowledge
from apps.customer_service.manager import Manager
from apps.customer_service.own import own_shop
from apps.customer_service.pace import Bursts
from apps.customer_service.turns import Noting, Turns
from apps.erasure import erase
from core.conversations import Conversations, Draft
from core.errors import InputError, TouchstoneError
from core.providers.sync import iterate, run
from core.retrieval.answer import AnswerDone, Notice, SentenceReady
from core.retrieval.index import ProgressCallback
from core.retrieval.records import DocumentInfo, FileResult, Progress
from core.runtime import Runtime, open_runtime
from core.settings import Settings
from core.telemetry.trace import new_trace_id, trace
from core.tools import ToolDefinition
from core.transcripts import State, StoredMessage
from core.types import LOCAL, Answer, Caller, Citation, Language

APP = "customer_service"
QUESTION_LIMIT = 4000  # characters
REMEMBERED = 12  # messages of a conversation that a follow-up may refer to


class CustomerService:
    """Answers customers' questions from documents, and keeps the conversations."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        policy: Path | None = None,
        tools: Iterable[ToolDefinition] | None = None,
        intents: Path | None = None,
    ) -> None:
        """
        Args:
            policy, tools, intents: those of your own shop (see :class:`Assistant`); the sample's by default.
        """
        self.runtime = runtime
        self.knowledge = Knowledge(runtime)
        self.curated = Curated(runtime)
        self.assistant = Assistant(runtime, lambda: self.conversations, policy=policy, tools=tools, intents=intents)
        self.answering = Answering(self.assistant, self.knowledge, self.curated)

    @classmethod
    def open(cls, settings: Settings | None = None, **own: Any) -> CustomerService:
        """Open with ``settings``, or with those of the current folder and the environment; ``own`` as above.

        Without ``own`` it is the shop that ``support.shop`` of the settings names.

        Raises:
            InvalidSetting: ``support.shop`` names no package with a shop.
        """
        runtime = open_runtime(settings)
        return cls(runtime, **(own or own_shop(runtime.settings)))

    def close(self) -> None:
        """Close the service and its runtime."""
        self.knowledge.close()
        self.assistant.close()
        self.runtime.close()

    @property
    def conversations(self) -> Conversations:
        return Conversations(self.runtime.workspace, APP)

    @property
    def facts(self) -> Facts:
        """What customers agreed to have remembered."""
        return Facts(self.runtime.workspace)

    @property
    def manager(self) -> Manager:
        """What the person sees who is answerable for the assistant."""
        return Manager(self.assistant, self.runtime)

    @property
    def control(self) -> Control:
        """What that person changes and tries out."""
        return Control(self.assistant, self.knowledge, self.curated, self.runtime)

    @property
    def desk(self) -> Desk:
        """What people do who take conversations over."""
        return Desk(self.assistant, self.conversations, self.curated)

    def able(self) -> bool:
        """Whether the chat model set can write answers from sources; else answers are made of quotes."""
        try:
            return self.runtime.chat().capabilities.grounded
        except TouchstoneError:
            return False

    def forget(self, caller: Caller) -> Mapping[str, int]:
        """Delete a customer everywhere: conversations with what people wrote in them, cases, proposals made of them,
        thumbs, consents, facts, uploads, the journal of tools, and what the other apps keep of the same person.

        Returns:
            How much there was, by table.
        """
        return erase(self.knowledge.library, caller)

    # --- asking -------------------------------------------------------------------------------

    def ask(
        self,
        question: str,
        *,
        caller: Caller = LOCAL,
        conversation_id: str | None = None,
        language: Language | None = None,
        sample: bool = True,
    ) -> Answer:
        """The whole answer, its text with what the assistant adds to it. Arguments and errors as in :meth:`stream`."""
        events = self.stream(question, caller=caller, conversation_id=conversation_id, language=language, sample=sample)
        return run(last_answer(events))

    def iterate(
        self, events: AsyncGenerator[Event, None], *, tick_s: float | None = None
    ) -> Generator[Event | None, None, None]:
        """Read :meth:`stream` or :meth:`again` from synchronous code; ``None`` whenever ``tick_s`` pass in silence.

        Closing the iterator stops the answer.
        """
        return iterate(events, tick_s=tick_s) if tick_s is not None else iterate(events)

    async def stream(
        self,
        question: str,
        *,
        caller: Caller = LOCAL,
        conversation_id: str | None = None,
        language: Language | None = None,
        sample: bool = True,
        pressed: tuple[str, bool] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Answer as events, the last of which is ``AnswerDone``.

        In a conversation the assistant may act and hand over to a person; without one, documents answer. While a
        person has the conversation the message is kept and the answer is empty.

        With a conversation, question and answer are kept in it: text is stored before it is handed on, closing
        the generator keeps what has come as ``stopped``, an error keeps it as ``failed``.

        Args:
            conversation_id: the conversation to continue; without one nothing is kept.
            language: of the frame text and of a generated answer; by default that of the question.
            sample: whether the sample shop is searched and acted on too; with a shop of your own it never is.
            pressed: the id of a confirmation's card, and whether it was agreed to; ``question`` is what the button says.

        Raises:
            InputError: the question is empty or too long.
            NotFound: the caller has no such conversation.
            ProviderError: the answer broke off.
        """
        question = checked(question)
        trace_id = new_trace_id()
        earlier: Sequence[StoredMessage] = ()
        draft = None
        if conversation_id is not None:
            store = self.conversations
            if await asyncio.to_thread(self._silent, caller, conversation_id):
                said = await asyncio.to_thread(store.say, caller, conversation_id, "user", question)
                yield Begun(conversation_id, said, 0)
                yield AnswerDone(Answer(question, "frame", "", trace_id=trace_id))
                return
            earlier = await asyncio.to_thread(store.messages, caller, conversation_id, limit=REMEMBERED)
            draft = await asyncio.to_thread(store.ask, caller, conversation_id, question, trace_id=trace_id)
        kept = self._kept(question, earlier, draft, trace_id, caller, language, sample, pressed)
        async with aclosing(kept) as events:
            async for event in events:
                yield event

    def _end(self, caller: Caller, draft: Draft, noting: Noting, added: Sequence[Added]) -> None:
        """Note what became of a turn, and store what the assistant adds."""
        noting.kept = True
        Turns(self.runtime.workspace).note(caller, draft.conversation_id, draft.question_id, noting)
        for item in added:
            self.conversations.say(caller, draft.conversation_id, "assistant", item.text, card=item.card)

    async def _broken(
        self,
        draft: Draft | None,
        state: Literal["failed", "stopped"],
        so_far: Answer,
        caller: Caller,
        noting: Noting,
        error: TouchstoneError | None = None,
    ) -> None:
        """Keep an answer that broke off, unless it was whole before."""
        if draft is None or noting.kept:
            return
        await _finish(draft, state, so_far, error)
        noting.outcome = state
        noting.parts.clear()
        await asyncio.shield(asyncio.to_thread(self._end, caller, draft, noting, ()))

    def _silent(self, caller: Caller, conversation_id: str) -> bool:
        """Whether a person has the caller's conversation, or is about to."""
        self.conversations.get(caller, conversation_id)
        case = self.assistant.cases.of_conversation(caller, conversation_id)
        return case is not None and case.silences

    async def again(
        self, question_id: int, *, caller: Caller = LOCAL, language: Language | None = None, sample: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Answer a kept question anew; the new answer takes the place of the old one. Events as in :meth:`stream`."""
        trace_id = new_trace_id()
        store = self.conversations
        asked = await asyncio.to_thread(store.message, caller, question_id)
        earlier = await asyncio.to_thread(
            store.messages, caller, asked.conversation_id, limit=REMEMBERED, before=question_id
        )
        question, draft = await asyncio.to_thread(store.again, caller, question_id, trace_id=trace_id)
        kept = self._kept(question, earlier, draft, trace_id, caller, language, sample, repeated=True)
        async with aclosing(kept) as events:
            async for event in events:
                yield event

    def _asked(
        self, question: str, earlier: Sequence[StoredMessage], caller: Caller, language: Language | None, sample: bool
    ) -> Asked:
        before = [turn.text for turn in earlier if turn.role == "user"]
        spoken = language or language_in(question, before, self.runtime.settings.language)
        return Asked(question, before, caller, spoken, sample and self.assistant.is_sample)

    async def _kept(
        self,
        question: str,
        earlier: Sequence[StoredMessage],
        draft: Draft | None,
        trace_id: str,
        caller: Caller,
        language: Language | None,
        sample: bool,
        pressed: tuple[str, bool] | None = None,
        repeated: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """The events of an answer, each stored in ``draft`` before it is handed on."""
        said: list[SentenceReady] = []
        notices: dict[str, Mapping[str, Any]] = {}
        card: Mapping[str, Any] | None = None
        added: list[Added] = []
        conversation_id = draft.conversation_id if draft else None
        noting = Noting(time.monotonic())
        with trace(caller=caller, trace_id=trace_id):
            asked = self._asked(question, earlier, caller, language, sample)
            noting.language = asked.language
            asked = replace(asked, conversation_id=conversation_id, pressed=pressed, repeated=repeated)
            answered = self.answering.events(asked, noting)
            bursts = Bursts(answered)
        try:
            if draft:
                yield Begun(draft.conversation_id, draft.question_id, draft.message_id)
            async for burst in bursts.read():
                new = [event for event in burst if isinstance(event, SentenceReady)]
                if new or any(isinstance(event, AnswerDone) for event in burst):
                    noting.spoke()
                said += new
                if draft and new:
                    so_far = partial(question, said)
                    await asyncio.to_thread(draft.write, so_far.text, so_far)
                for event in burst:
                    if isinstance(event, Notice):
                        notices[event.code] = event.params
                    elif isinstance(event, Carded):
                        card = event.card
                    elif isinstance(event, Added):
                        added.append(event)
                    elif isinstance(event, AnswerDone):
                        told = tuple(dict.fromkeys((*event.answer.notices, *notices)))  # before the answer too
                        event = AnswerDone(replace(event.answer, trace_id=trace_id, notices=told))
                        await _finish(draft, "done", event.answer, notices=notices, card=card)
                        if draft:
                            await asyncio.to_thread(self._end, caller, draft, noting, added)
                    yield event
        except TouchstoneError as error:
            await self._broken(draft, "failed", partial(question, said), caller, noting, error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            await self._broken(draft, "stopped", partial(question, said), caller, noting)
            raise
        except BaseException:
            await self._broken(draft, "failed", partial(question, said), caller, noting)
            raise
        finally:
            await bursts.aclose()

    # --- documents ----------------------------------------------------------------------------

    def prepare(self, progress: ProgressCallback | None = None) -> None:
        """Load the sample shop into this workspace, unless it is there."""
        self.knowledge.prepare(progress)

    def upload(self, name: str, data: bytes, caller: Caller = LOCAL) -> FileResult:
        """Add a document that only ``caller`` finds; one of the same name is replaced.

        Words find it when this returns; its vectors are made in the background (:meth:`embedding`).

        Raises:
            InputError: no text in it, not a supported kind, too large, or too many documents.
        """
        return self.knowledge.uploads.add(name, data, caller)

    def documents(self, caller: Caller = LOCAL) -> list[DocumentInfo]:
        """The documents ``caller`` uploaded, newest first."""
        return self.knowledge.uploads.documents(caller)

    def remove(self, document_id: str, caller: Caller = LOCAL) -> None:
        """Forget an uploaded document.

        Raises:
            NotFound: the caller has uploaded no such document.
        """
        self.knowledge.uploads.remove(document_id, caller)

    def embedding(self, caller: Caller = LOCAL) -> Progress | None:
        """How far the vectors of the caller's uploads are; ``None`` when none are being made."""
        return self.knowledge.uploads.embedding(caller)

    def surroundings(self, citation: Citation, caller: Caller = LOCAL) -> tuple[str, str]:
        """The document's text just before and just after a citation's quote; empty when it has changed since."""
        return self.knowledge.surroundings(citation, caller)


def checked(question: str) -> str:
    """``question`` without outer white space.

    Raises:
        InputError: it is empty or too long.
    """
    question = question.strip()
    if not question:
        raise InputError(reason="empty_question")
    if len(question) > QUESTION_LIMIT:
        raise InputError(reason="question_too_long", length=len(question), limit=QUESTION_LIMIT)
    return question


def partial(question: str, said: Sequence[SentenceReady]) -> Answer:
    """An answer as far as it has come."""
    sentences = tuple(event.sentence for event in said)
    citations = tuple(citation for event in said for citation in event.citations)
    return Answer(question, "extractive", joined(sentences), sentences, citations)


async def _finish(
    draft: Draft | None,
    state: State,
    answer: Answer,
    error: TouchstoneError | None = None,
    notices: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    card: Mapping[str, Any] | None = None,
) -> None:
    if draft:
        await asyncio.shield(
            asyncio.to_thread(draft.finish, state, answer.text, answer=answer, error=error, notices=notices, card=card)
        )


async def last_answer(events: AsyncGenerator[Event, None]) -> Answer:
    """The answer that ``events`` end in; below its text stands what was added, such as a question that a wish waits for."""
    added = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Added):
                added.append(event.text)
            elif isinstance(event, AnswerDone):
                return replace(event.answer, text="\n\n".join(filter(None, [event.answer.text, *added])))
    raise RuntimeError("the events of an answer ended without it")
