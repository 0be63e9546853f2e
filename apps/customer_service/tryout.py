"""What would the assistant do with a message, and why? Nothing is kept, no tool is called, no journal written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from apps.customer_service.assistant import Assistant
from apps.customer_service.calling import unsettled
from apps.customer_service.dialog import SmallTalk, language_in, small_talk
from apps.customer_service.hearing import Heard
from apps.customer_service.policy import IntentRule, Need, Policy, in_language
from apps.customer_service.slots import Value
from apps.customer_service.steps import Steps
from apps.customer_service.talk import Talk, Task, from_data, to_data
from core.types import Caller, Language

What = Literal["small_talk", "answer", "tool", "clarify", "offer", "hand_off", "say"]
# asked: for a person; command: nothing is open that it could mean; sure, value, unsure: see Policy; question: the
# intent is answered from the documents; below: no intent is likely enough; strange: out of scope
Why = Literal[
    "small_talk", "asked", "command", "frustration", "sure", "value", "unsure", "question", "strange", "below"
]


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument of the tool. ``value`` is what the message says of it; ``looked_up``: it is chosen from a list.

    ``by_model``: no rule found the value, the embedding model did.
    """

    argument: str
    asks: str
    value: Value | None
    optional: bool
    looked_up: bool
    by_model: bool = False


@dataclass(frozen=True, slots=True)
class Tryout:
    """``intent`` is that of ``rule``, or the one that is offered; ``values`` are by slot, whatever rule uses them.

    ``identity`` names the argument whose account must be proved first, ``confirm`` the question before a write.
    ``parts``: what it asks and wishes, where that is several; each is dealt with by itself, and this is about all of it.
    ``in_doubt``: a chat model that calls tools would be asked; ``model`` is its name, empty where none is set.
    """

    text: str
    language: Language
    heard: Heard
    small_talk: SmallTalk | None
    what: What
    why: Why
    rule: IntentRule | None
    reply: str
    values: Mapping[str, Value]
    slots: Sequence[Slot]
    identity: str
    confirm: str
    in_doubt: bool = False
    model: str = ""
    parts: Sequence[str] = ()

    @property
    def missing(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.value is None and not slot.optional]


async def try_out(assistant: Assistant, caller: Caller, text: str, default: str) -> Tryout:
    """``text`` as the first message of a conversation; ``default`` is its language when it has none of its own."""
    language = language_in(text, (), default)
    parts = await assistant.parts(caller, "", text, language)
    found = await _whole(assistant, caller, text, language)
    return replace(found, parts=parts) if len(parts) > 1 else found


async def _whole(assistant: Assistant, caller: Caller, text: str, language: Language) -> Tryout:
    kind = small_talk(text)
    heard = await assistant.hear(text, language, caller)
    steps, policy = assistant.flow.steps, assistant.policy
    values = {name: value for name in policy.slots if (value := steps.find(name, heard)) is not None}
    if kind:
        return Tryout(text, language, heard, kind, "small_talk", "small_talk", None, "", values, (), "", "")
    state = _decided(steps, heard)
    asks: dict[str, Any] = {"in_doubt": unsettled(steps, Talk(), heard, state), "model": assistant.calling_model()}
    if state.get("next") != "end":  # a tool's task was begun
        task = from_data(state["talk"]).task
        rule = policy.intents[task.intent] if task else None
        slots = [_slot(policy, need, task, language) for need in rule.needs] if rule and task else []
        confirm = in_language(rule.confirm, language) if rule and rule.confirm else ""
        why: Why = "sure" if rule and heard.probability >= policy.sure and heard.intent == rule.name else "value"
        return Tryout(
            text,
            language,
            heard,
            None,
            "tool",
            why,
            rule,
            "",
            values,
            slots,
            rule.identity if rule else "",
            confirm,
            **asks,
        )
    reply, offer = state["reply"], from_data(state["talk"]).offer
    named = policy.intents.get(reply["values"].get("intent", "") if reply["kind"] == "hand_off" else heard.intent or "")
    what, why = _ended(reply["kind"], offer, heard, policy, reply["cause"])
    return Tryout(text, language, heard, None, what, why, named, reply["text"], values, (), "", "", **asks)


def _decided(steps: Steps, heard: Heard) -> Mapping[str, Any]:
    turn = {"heard": asdict(heard), "caller": ["", ""], "conversation": "", "pressed": None, "acts": True}
    return steps.decide({"talk": to_data(Talk()), "turn": turn})


def _slot(policy: Policy, need: Need, task: Task, language: Language) -> Slot:
    asks, value = in_language(policy.slots[need.slot].ask, language), task.slots.get(need.argument)
    return Slot(need.argument, asks, value, need.optional, bool(need.options), need.argument in task.by_model)


def _ended(kind: str, offer: tuple[str, str] | None, heard: Heard, policy: Policy, cause: str) -> tuple[What, Why]:
    """What the first step came to when it began no task."""
    if kind == "hand_off":
        why: Why = "asked" if heard.wants_person else "frustration" if cause == "frustration" else "sure"
        return "hand_off", why
    if kind == "say":
        if offer is None:
            return "say", "command"
        return ("offer", "unsure") if offer[0] else ("clarify", "sure")
    if not heard.in_scope:
        return "answer", "strange"
    rule = policy.intents.get(heard.intent or "")
    return "answer", "question" if rule and rule.do == "answer" else "below"
