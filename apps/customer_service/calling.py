"""A chat model calls the shop's tools, and the flow carries the calls out.

The model is given the customer's own words and the tools that the policy has an intent for; no document, no result of a
tool and no proof of identity. A call is a proposal: checked here against the tool's signature and the customer's words,
then a task of the flow like any other, so identity, confirmation, journal and idempotency key are the flow's. What was
wrong with a call is told to the model, which may try again; when nothing comes of it the policy's own rules go on.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.customer_service.hearing import Heard
from apps.customer_service.policy import IntentRule, Need, Policy, in_language
from apps.customer_service.slots import Value, find, folded
from apps.customer_service.talk import PUT_ASIDE, Talk, Task, from_data
from core.contracts import ChatModel
from core.errors import BadArguments, StepLimit, TouchstoneError, UnknownName
from core.i18n import Phrase
from core.prompts.library import library
from core.providers.complete import complete
from core.tools import Tools
from core.tools.schema import checked
from core.types import Deadlines, Language, Message, Options, Tool, ToolCall

if TYPE_CHECKING:
    from apps.customer_service.steps import Steps

REQUESTS = 3  # times a model is asked about one message: once, and twice to put right what was wrong
CALLS = PUT_ASIDE  # tools that one message may call: one in hand, the rest waiting where a change of topic waits
_DEADLINES = Deadlines(first_token_s=15.0, idle_s=10.0, total_s=25.0)
_ROOM = 1000  # tokens of a request's answer
log = logging.getLogger(__name__)
library.add_folder(Path(__file__).parent / "prompts")


@dataclass(frozen=True, slots=True)
class Called:
    """A tool that a model called, as a wish of the policy. ``slots`` are by argument; ``hints`` those chosen from a list
    that can only be looked up once the customer has proved who they are."""

    intent: str
    slots: Mapping[str, Value] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calls:
    """What came of asking a model. ``wrong`` is why its calls were not taken, ``down`` why it could not be asked."""

    made: tuple[Called, ...] = ()
    wrong: TouchstoneError | None = None
    down: TouchstoneError | None = None


def able(model: ChatModel) -> bool:
    """Whether ``model`` may be handed tools: it calls them, in both languages."""
    return model.capabilities.tools and model.capabilities.grounded


def rules_of(policy: Policy, probabilities: Mapping[str, float]) -> dict[str, IntentRule]:
    """The intents that act, by their tool; of two with one tool the likelier."""
    acting = [rule for rule in policy.intents.values() if rule.do == "tool"]
    return {rule.tool: rule for rule in sorted(acting, key=lambda rule: probabilities.get(rule.name, 0.0))}


def offered(policy: Policy, tools: Tools, rules: Mapping[str, IntentRule]) -> tuple[Tool, ...]:
    """The tools as a model is told of them: nothing is required, for what is missing the policy asks the customer."""
    made = []
    for name, rule in rules.items():
        needs = {need.argument: need for need in rule.needs}
        properties = {}
        for argument in tools[name].arguments:
            if argument.name in needs:
                schema = argument.schema()
                words = policy.slots[needs[argument.name].slot].words
                if words and "enum" not in schema:
                    schema = {"type": "string", "enum": list(words), "description": argument.description}
                properties[argument.name] = schema
        parameters = {"type": "object", "properties": properties, "additionalProperties": False}
        made.append(Tool(name, f"{in_language(rule.title, 'en')}. {tools[name].description}", parameters))
    return tuple(made)


async def calls_of(
    model: ChatModel,
    policy: Policy,
    tools: Tools,
    said: Sequence[str],
    language: Language,
    *,
    today: date,
    probabilities: Mapping[str, float],
) -> Calls:
    """The calls that ``model`` makes for a customer's words ``said``, oldest first; every failure is a value."""
    rules = rules_of(policy, probabilities)
    said = [without_proofs(policy, text) for text in said]
    prompt = library.get("call_tools").render(language=language, said=list(said), today=today.isoformat())
    messages = list(prompt)
    options = Options(tools=offered(policy, tools, rules), tool_choice="auto", max_tokens=_ROOM, deadlines=_DEADLINES)
    last: TouchstoneError | None = None
    for _ in range(REQUESTS):
        try:
            done = await complete(model, messages, replace(options, stream=False))
        except TouchstoneError as error:
            log.warning("no call of a tool by %s: %s", model.name, error)
            return Calls(down=error)
        if not done.tool_calls:
            return Calls(wrong=last)
        made, errors = [], {}
        for number, call in enumerate(done.tool_calls):
            try:
                if number >= CALLS:
                    raise StepLimit(limit=CALLS, tool=call.name)
                made.append(read_call(policy, tools, rules, call, "\n".join(said), today=today))
            except TouchstoneError as error:
                errors[number], last = error, error
        if not errors:
            return Calls(tuple(made))
        messages.append(Message("assistant", done.text, done.tool_calls))
        for number, call in enumerate(done.tool_calls):
            text = json.dumps({"error": errors[number].text(language)} if number in errors else {"ok": True}, ensure_ascii=False)  # fmt: skip
            messages.append(Message("tool", text, tool_call_id=call.id))
    log.warning("calls of %s not taken: %s", model.name, last)
    return Calls(wrong=last)


def read_call(
    policy: Policy, tools: Tools, rules: Mapping[str, IntentRule], call: ToolCall, said: str, *, today: date
) -> Called:
    """A call as a wish of the policy.

    Raises:
        UnknownName: no such tool was offered.
        BadArguments: an argument is unknown, not allowed, or nothing that the customer said.
    """
    rule = rules.get(call.name)
    if rule is None:
        raise UnknownName(kind="tool", value=call.name, allowed=", ".join(rules) or "–")
    needs = {need.argument: need for need in rule.needs}
    arguments = [replace(a, required=False) for a in tools[call.name].arguments if a.name in needs]
    values = checked(arguments, _told(call.arguments), tool=call.name)
    slots: dict[str, Value] = {}
    hints: dict[str, str] = {}
    for name, value in values.items():
        plain = _plain(policy, needs[name], value, said, today)
        if needs[name].options:
            hints[name] = str(plain)
        else:
            slots[name] = plain
    return Called(rule.name, slots, hints)


def without_proofs(policy: Policy, text: str) -> str:
    """``text`` with a proof of identity in it hidden: what proves a customer goes to no model."""
    slot = policy.slots.get(policy.identity.proof) if policy.identity else None
    return re.sub(slot.pattern, "•••", text, flags=re.IGNORECASE) if slot and slot.pattern else text


def _told(arguments: str) -> Mapping[str, Any] | str:
    """The arguments without those that were left empty, as models do with what they do not know."""
    try:
        given = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    if not isinstance(given, Mapping):
        return arguments
    return {name: value for name, value in given.items() if value is not None and value != ""}


def _plain(policy: Policy, need: Need, value: Any, said: str, today: date) -> Value:
    """A checked value as a slot holds it; numbers and texts must be the customer's own."""
    slot = policy.slots[need.slot]
    if isinstance(value, date | datetime):
        return value.isoformat()[:10]
    if slot.kind == "choice" and value not in slot.words and not need.options:
        raise _wrong(need, value, ", ".join(slot.words))
    if slot.kind == "pattern" and find(slot, str(value), today=today, asked=True) != value:
        raise _wrong(need, value, Phrase("policy.own_words"))
    if slot.kind in ("pattern", "text") and _squeezed(str(value)) not in _squeezed(said):
        raise _wrong(need, value, Phrase("policy.own_words"))
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(need, value, Phrase("word.text"))
    return value


def _wrong(need: Need, value: Any, allowed: Any) -> BadArguments:
    return BadArguments(reason="value", name=need.argument, value=repr(value), allowed=allowed)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\-]+", "", folded(text)).casefold()


def read_by(policy: Policy, call: Called, language: Language) -> list[str]:
    """The choices that a model made for a customer, in words, so that the customer sees them."""
    needs = {need.argument: policy.slots[need.slot] for need in policy.intents[call.intent].needs}
    return [
        in_language(needs[name].labels.get(str(value), {}), language) or str(value)
        for name, value in {**call.slots, **call.hints}.items()
        if needs[name].kind == "choice"
    ]


# --- when -------------------------------------------------------------------------------------


def unsettled(steps: Steps, before: Talk, heard: Heard, state: Mapping[str, Any]) -> bool:
    """Whether a model may know better what to do with a message than the policy, which came to ``state``.

    In doubt that is: a value is missing that words may say, a reply was not understood, or it is uncertain whether the
    customer wants something done. With ``tools: model`` it is every message but a command and a proof of identity.
    """
    policy = steps.policy
    if policy.tools == "policy" or heard.command in ("yes", "no", "cancel", "repeat") or heard.wants_person:
        return False
    reply, after = state.get("reply") or {}, from_data(state["talk"])
    if reply.get("kind") == "hand_off":
        return bool(reply["cause"] == "misses")
    if before.task and before.task.asked == "proof" and state["next"] == "account":
        return False
    if policy.tools == "model":
        return True
    if state["next"] == "account" and after.task:
        if before.task and before.task.intent == after.task.intent:  # it said what was asked for
            return False
        needs = policy.intents[after.task.intent].needs
        return any(_may_say(steps, need, after.task, heard) or _several(policy, need, heard) for need in needs)
    if reply.get("kind") == "say":  # an offer, a choice of wishes, or a reply that was not understood
        return after.offer is not None or (after.task is not None and before.task is not None)
    acting = sum(heard.probabilities.get(rule.name, 0.0) for rule in policy.intents.values() if rule.do == "tool")
    return acting >= policy.likely


def _may_say(steps: Steps, need: Need, task: Task, heard: Heard) -> bool:
    """Whether a message may say a value that no rule finds in it; a number is made of digits."""
    if need.argument in task.slots or (need.options and steps.find(need.slot, heard) is not None):
        return False
    kind = steps.policy.slots[need.slot].kind
    return not need.optional and (kind != "pattern" or any(letter.isdigit() for letter in heard.text))


def _several(policy: Policy, need: Need, heard: Heard) -> bool:
    """Whether a message names more than one of what a wish is about, such as two orders: rules take the first."""
    pattern = policy.slots[need.slot].pattern
    return bool(pattern) and len({found[0] for found in re.finditer(pattern, folded(heard.text).upper())}) > 1
