"""The assistant that acts and hands over: hears a message, runs the flow, opens a case when a person has to take over.

The answers themselves come from the documents (:mod:`apps.customer_service.knowledge`); this decides when.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.customer_service import replies
from apps.customer_service.calling import Called, able, calls_of, read_by
from apps.customer_service.catalogues import Catalogues, Guess
from apps.customer_service.dialog import small_talk
from apps.customer_service.flow import Flow
from apps.customer_service.handover import Case, Cases, brief_of
from apps.customer_service.hearing import Heard, anger_of, command_of, wants_person
from apps.customer_service.intents import EMBEDDING, MODEL, Intents
from apps.customer_service.policy import Policy, in_language
from apps.customer_service.policy_versions import PolicyVersions
from apps.customer_service.questions import joined, pieces
from apps.customer_service.replies import Reply
from apps.customer_service.shop.data import prepare
from apps.customer_service.shop.tools import SHOP_TOOLS
from apps.customer_service.slots import closed_up, in_words, named
from core.conversations import Conversations
from core.errors import TouchstoneError
from core.retrieval.answer import Notice
from core.runtime import Runtime
from core.tools import ToolDefinition, Tools
from core.types import Caller, Language

if TYPE_CHECKING:
    import numpy as np

    from core.training.heads import Head, Prediction

POLICY = Path(__file__).parent / "sample" / "policy.yaml"
WISHED = 0.1  # probability of wishes that need a product, from which a message is compared with the catalogue
BRIEFED = 40  # messages that a hand-off looks back on
log = logging.getLogger(__name__)


class Assistant:
    """One per service. With a policy and tools of your own it acts on your shop; else on the sample."""

    def __init__(
        self,
        runtime: Runtime,
        conversations: Callable[[], Conversations],
        *,
        policy: Path | None = None,
        tools: Iterable[ToolDefinition] | None = None,
        intents: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            policy: the file of your policy; the sample's by default.
            tools: your tools; those of the sample shop by default.
            intents: the folder of a head trained on your intents; the sample's by default.
        """
        self._runtime = runtime
        self._conversations = conversations
        self.is_sample = tools is None
        self._definitions = tuple(SHOP_TOOLS if tools is None else tools)
        self.policies = PolicyVersions(policy or POLICY, self._definitions)
        self._intents = Intents(runtime, intents or MODEL)
        self._catalogues = Catalogues(runtime)
        self.clock = clock
        self._flow: Flow | None = None
        self._making = threading.Lock()
        self._loaded: set[tuple[int, str]] = set()  # the sample shop is in this workspace for this tenant

    @property
    def policy(self) -> Policy:
        """The policy in use; see :class:`PolicyVersions`."""
        return self.policies.current(self._runtime.workspace)

    def head(self) -> Head:
        """The head that tells the intents.

        Raises:
            MissingFile: it is not there.
        """
        return self._intents.head

    @property
    def flow(self) -> Flow:
        """The flow over the workspace in use; a runtime that was reloaded may have another."""
        workspace = self._runtime.workspace
        with self._making:
            if self._flow is None or self._flow.tools.workspace is not workspace:
                if self._flow is not None:
                    self._flow.close()
                self._flow = Flow(self.policy, Tools(self._definitions, workspace), clock=lambda: self.clock())
            self._flow.steps.policy = self.policy
            return self._flow

    def calling_model(self) -> str:
        """The name of the chat model that may call tools; empty where none is set or the policy keeps it out."""
        try:
            model = self._runtime.chat()
        except TouchstoneError:
            return ""
        return model.name if self.policy.tools != "policy" and able(model) else ""

    @property
    def cases(self) -> Cases:
        return Cases(self._runtime.workspace)

    def close(self) -> None:
        if self._flow is not None:
            self._flow.close()

    # --- a message ----------------------------------------------------------------------------

    async def parts(self, caller: Caller, conversation_id: str, text: str, language: Language) -> list[str]:
        """What a message asks and wishes, in its order, for one turn each; mostly it is one thing, and whole.

        A statement is a part where it is a wish, beside a question or another one ("Cancel my order. Do you ship to Canada?").
        """
        found = pieces(text)
        if len(found) < 2:
            return [text]
        steps, talk = self.flow.steps, await asyncio.to_thread(self.flow.talk, conversation_id)
        whole = await self.hear(text, language, caller)
        if steps.of_a_piece(talk, whole):
            return [text]
        heard = [await self.hear(piece.text, language, caller) for piece in found]
        if all(one.asks_only() for one, piece in zip(heard, found, strict=True) if piece.asks):
            wished: str | None = ""
            for number, one in enumerate(heard):
                if not found[number].asks and steps.is_wish(one) and one.intent != wished:
                    wished, found[number] = one.intent, replace(found[number], wish=True)
        if not any(piece.wish for piece in found) and steps.begins_with_a_text(whole):
            return [text]
        parts = [piece.text for piece in joined(found)]
        return parts if len(parts) > 1 else [text]

    async def respond(
        self,
        caller: Caller,
        conversation_id: str,
        text: str,
        language: Language,
        *,
        pressed: tuple[str, bool] | None = None,
        acts: bool = True,
        on_heard: Callable[[Heard], None] = lambda heard: None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> list[Reply]:
        """What comes of a message, a case opened where a person takes over. The last one is the reply to it.

        Args:
            on_heard: told what was understood, before anything comes of it; not called for small talk.
            on_notice: told what a chat model called, or why the policy's rules went on without it.
            pressed: see :meth:`Flow.turn`.
            acts: see :meth:`Flow.turn`.
        """
        kind = small_talk(text)
        if kind and not pressed:
            talk = await asyncio.to_thread(self.flow.talk, conversation_id)
            if (talk.task is None and talk.offer is None) or command_of(text) is None:
                made_up = await asyncio.to_thread(self.flow.make_up, conversation_id)
                return [
                    *self._with_cases(caller, conversation_id, language, text, made_up),
                    Reply("answer", question=text),
                ]
        expected = "" if pressed else await asyncio.to_thread(self._expected, conversation_id)
        heard = await self.hear(text, language, caller, known=bool(pressed), expected=expected)
        on_heard(heard)
        called = await self._called(caller, conversation_id, heard, on_notice) if acts and not pressed else ()
        return await asyncio.to_thread(self._turn, caller, conversation_id, heard, pressed, acts, called)

    async def _called(
        self, caller: Caller, conversation_id: str, heard: Heard, on_notice: Callable[[Notice], None]
    ) -> Sequence[Called]:
        """What the chat model calls for a message that the policy is in doubt about; see :mod:`calling`."""
        policy = self.policy
        try:
            model = self._runtime.chat()
        except TouchstoneError:
            return ()
        if policy.tools == "policy" or not able(model):
            return ()
        said = await asyncio.to_thread(self.flow.in_doubt, caller, conversation_id, heard)
        if not said:
            return ()
        steps = self.flow.steps
        calls = await calls_of(
            model, policy, steps.tools, said, heard.language, today=steps.today(), probabilities=heard.probabilities
        )
        if calls.down:
            on_notice(Notice("tools_model_down", {"detail": calls.down}))
        elif calls.wrong:
            on_notice(Notice("tools_model_wrong", {"detail": calls.wrong}))
        elif calls.made:
            titles = [in_language(policy.intents[call.intent].title, heard.language) for call in calls.made]
            tools = [policy.intents[call.intent].tool for call in calls.made]
            told = [words for call in calls.made for words in read_by(policy, call, heard.language)]
            mark = "、" if heard.language == "zh" else ", "
            on_notice(Notice("tools_by_model", {"tools": ", ".join(tools), "wish": mark.join([*titles, *told])}))
        return calls.made

    async def hear(
        self, text: str, language: Language, caller: Caller, *, known: bool = False, expected: str = ""
    ) -> Heard:
        """A message understood.

        Args:
            known: its meaning is known (a button), so that no model is asked.
            expected: the slot that was asked for.
        """
        text = closed_up(self.policy.slots.values(), text)
        heard = Heard(text, language, None if known else command_of(text), wants_person(text), anger_of(text))
        if known or heard.wants_person or heard.command in ("yes", "no", "cancel", "repeat"):
            return heard
        try:
            found, vector = await self._read(text)
        except TouchstoneError as error:
            log.warning("no intent: %s", error)
            return heard
        heard = replace(
            heard,
            intent=found.label,
            probability=found.probability,
            probabilities=found.probabilities,
            in_scope=found.in_scope,
        )
        slots = self._open_to_meaning(heard, expected)
        return (
            replace(heard, meant=await asyncio.to_thread(self._meant, slots, caller, heard, vector)) if slots else heard
        )

    async def _read(self, text: str) -> tuple[Prediction, np.ndarray]:
        """The intent of a text and its vector.

        A number says little to a model of language, so where no wish is sure and a value stands for something in words
        ("PW26110005 到哪了？", 我的订单到哪了？), that is read, too: a wish that needs the value counts where it is sure there, and surer.
        """
        found, vector = await self._intents.predict(text)
        told = self.policy.intents.get(found.label)
        if told is not None and told.do != "answer" and found.probability >= self.policy.sure:
            return found, vector
        for rule in self.policy.slots.values():
            if (said := in_words(rule, text)) == text:
                continue
            other, _ = await self._intents.predict(said)
            wish = self.policy.intents.get(other.label)
            needs = wish is not None and any(need.slot == rule.name and not need.optional for need in wish.needs)
            if needs and other.probability >= max(self.policy.sure, found.probability):
                return other, vector
        return found, vector

    def _expected(self, conversation_id: str) -> str:
        """The slot that the task in hand asked for."""
        task = self.flow.talk(conversation_id).task
        needs = self.policy.intents[task.intent].needs if task else ()
        return next((need.slot for need in needs if task and need.argument == task.asked), "")

    def _open_to_meaning(self, heard: Heard, expected: str) -> list[str]:
        """Slots with a catalogue that a message is likely to be about, and that rules find nothing for."""
        policy, found = self.policy, []
        for name, slot in policy.slots.items():
            if not slot.catalogue:
                continue
            wishes = [rule.name for rule in policy.intents.values() if any(need.slot == name for need in rule.needs)]
            likely = sum(heard.probabilities.get(wish, 0.0) for wish in wishes) >= WISHED
            if (likely or name == expected) and self.flow.steps.find(name, heard) is None:
                found.append(name)
        return found

    def _meant(self, slots: Sequence[str], caller: Caller, heard: Heard, vector: Any) -> dict[str, list[Guess]]:
        same = self._intents.head.embedding == EMBEDDING
        found = {}
        for slot in slots:
            rule = self.policy.slots[slot]
            tool, several = self.flow.tools[rule.catalogue], named(rule, heard.text)
            try:
                found[slot] = self._catalogues.guesses(
                    tool, caller, heard.text, vector if same else None, named=several
                )
            except TouchstoneError as error:  # rules are left
                log.warning("no products by meaning: %s", error)
        return found

    def _turn(
        self,
        caller: Caller,
        conversation_id: str,
        heard: Heard,
        pressed: tuple[str, bool] | None,
        acts: bool,
        called: Sequence[Called] = (),
    ) -> list[Reply]:
        if self.is_sample and (key := (id(self._runtime.workspace), caller.tenant)) not in self._loaded:
            prepare(self._runtime.workspace, caller.tenant)
            self._loaded.add(key)
        found = self.flow.turn(caller, conversation_id, heard, pressed=pressed, acts=acts, called=called)
        return self._with_cases(caller, conversation_id, heard.language, heard.text, found)

    def _with_cases(
        self, caller: Caller, conversation_id: str, language: Language, said: str, found: list[Reply]
    ) -> list[Reply]:
        """The replies, with a case opened where one says that a person takes over."""
        return [
            self.hand_off(caller, conversation_id, language, reply, said) if reply.kind == "hand_off" else reply
            for reply in found
        ]

    def waits(self, conversation_id: str) -> bool:
        """Whether the conversation waits for something of the customer: a value, a confirmation, a choice."""
        talk = self.flow.talk(conversation_id)
        return talk.task is not None or talk.offer is not None

    def after_answer(
        self,
        caller: Caller,
        conversation_id: str,
        question: str,
        language: Language,
        *,
        missed: bool | None,
        asks: Reply | None = None,
    ) -> Reply | None:
        """What follows an answer: a person after too many misses, back to the task in hand, or what else one may do.

        Args:
            missed: whether the documents had no answer; ``None`` when they were not asked.
            asks: what a wish in the same message waits for.
        """
        if missed is not None and self.flow.missed(conversation_id, missed):
            talk = self.flow.talk(conversation_id)
            values = {"intent": talk.task.intent, "slots": dict(talk.task.slots)} if talk.task else {}
            self.flow.reset(conversation_id)
            reply = Reply("hand_off", cause="misses", values={**values, "proved": sorted(talk.proved)})
            return self.hand_off(caller, conversation_id, language, reply, question)
        if asks:
            return asks
        waiting = self.flow.remind(conversation_id, language)
        if waiting is None:
            return Reply("say", replies.say("ask_otherwise", language)) if missed else None
        title = in_language(self.policy.intents[self._in_hand(conversation_id)].title, language)
        return Reply("say", replies.say("back_to", language, title=title, ask=waiting[0]), waiting[1])

    def _in_hand(self, conversation_id: str) -> str:
        task = self.flow.talk(conversation_id).task
        return task.intent if task else ""

    # --- a person takes over ------------------------------------------------------------------

    def hand_off(self, caller: Caller, conversation_id: str, language: Language, reply: Reply, said: str) -> Reply:
        """Open a case with all that a person needs; outside of business hours with a ticket and a promise."""
        values, cause = reply.values, reply.cause
        intent = values.get("intent") or None
        messages = self._conversations().messages(caller, conversation_id, limit=BRIEFED)
        brief = brief_of(
            messages, intent=intent, slots=values.get("slots", {}), proved=values.get("proved", ()), said=said
        )
        rule = self.policy.intents.get(intent or "")
        title = in_language(rule.title, language) if rule else ""
        brief |= {
            "by_model": list(values.get("by_model", ())),
            "detail": values.get("detail", ""),
            "suggested": self._suggested(cause, title, brief, language),
        }
        now = self.clock()
        is_open = self.policy.hours.is_open(now)
        case = self.cases.open(
            caller,
            conversation_id,
            cause=cause,  # type: ignore[arg-type]  # one of them
            language=language,
            intent=intent,
            brief=brief,
            after_hours=not is_open,
        )
        words = [reply.text, replies.say(f"hand_off.{cause}", language)]
        if is_open:
            words.append(replies.say("waiting", language))
        else:
            ticket = case.ticket or self._ticket(caller, conversation_id, case, brief)
            when = replies.promise(self.policy.hours.next_open(now))
            key = "promise" if ticket else "promise_without"
            words.append(replies.say(key, language, ticket=ticket, when=when))
        card = {"kind": "handed_over", "case": case.id, "after_hours": case.after_hours}
        return Reply("say", ("" if language == "zh" else " ").join(filter(None, words)), card, cause=cause)

    def _suggested(self, cause: str, title: str, brief: dict[str, Any], language: Language) -> str:
        """Words for the person to begin with, in the customer's language."""
        about = replies.say("suggest_about", language, title=title) if title else ""
        text = replies.say(f"suggest.{cause}", language, about=about, last=brief["last"][:200])
        return " ".join(text.split()) if language == "en" else text

    def _ticket(self, caller: Caller, conversation_id: str, case: Case, brief: dict[str, Any]) -> str:
        if not self.policy.ticket:
            return ""
        calls = self.flow.tools.turn(
            caller, conversation_id=conversation_id, allowed=frozenset({"read", "write"}), steps=1
        )
        try:
            made = calls.call(self.policy.ticket, {"subject": brief["last"][:1000]}, key=f"case-{case.id}").value
        except TouchstoneError as error:  # the case is open all the same, and that is what counts
            log.error("no ticket for case %s: %s", case.id, error)
            return ""
        ticket = str(made.get("ticket", ""))
        self.cases.set_ticket(case, ticket)
        return ticket
