"""What the assistant says and shows in the flow: texts of the catalogue and the policy, and cards as plain data.

A card is kept with its message and drawn by the page: ``confirm`` (with the id of the confirmation), ``choices``,
``order``, ``orders``, ``handed_over``, ``handed_back``, ``agent``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.customer_service.policy import IntentRule, Policy, SlotRule, Texts, in_language
from apps.customer_service.slots import Value
from core.i18n import message
from core.types import Language

Kind = Literal["say", "answer", "hand_off"]
Card = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a turn ends in. ``answer``: the documents are asked ``question``, and ``text`` comes after their answer.

    ``cause`` is why a person takes over. ``done`` is the tool that was called with success.
    """

    kind: Kind
    text: str = ""
    card: Card | None = None
    question: str = ""
    cause: str = ""
    done: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def both(first: Reply, second: Reply) -> Reply:
    """What two wishes of one message came to, as one reply; a person who takes over comes last."""
    text = "\n\n".join(filter(None, (first.text, second.text)))
    return replace(second, text=text, card=one_card(first.card, second.card), done=second.done or first.done)


def one_card(first: Card | None, second: Card | None) -> Card | None:
    """The card of a message that would have two: two orders side by side, else the second."""
    if first and second and first["kind"] == second["kind"] == "order":
        return {"kind": "orders", "orders": [first, second]}
    return second or first


def say(key: str, language: Language, **params: Any) -> str:
    return message(f"customer_service.flow.{key}", language, **params)


def ask(
    rule: IntentRule, slot: SlotRule, language: Language, choices: Sequence[Mapping[str, str]] = ()
) -> tuple[str, Card | None]:
    """The question for a slot, with what can be chosen."""
    options = list(choices) or [
        {"value": value, **{name: in_language(labels, name) for name in ("zh", "en")}}
        for value, labels in slot.labels.items()
    ]
    return in_language(slot.ask, language), {"kind": "choices", "options": options} if options else None


def which(candidates: Sequence[Mapping[str, str]], language: Language) -> tuple[str, Card]:
    """The question which of a few is meant."""
    options = [{"value": row["value"], **_both_names(row)} for row in candidates]
    *first, last = [option[language] for option in options]
    names = say("which_or", language, first=say("which_mark", language).join(first), last=last) if first else last
    return say("which", language, names=names), {"kind": "choices", "options": options}


def _both_names(row: Mapping[str, str]) -> dict[str, str]:
    return {"zh": row.get("zh") or row["en"], "en": row.get("en") or row["zh"]}


def confirmation(
    policy: Policy, rule: IntentRule, card_id: str, values: Mapping[str, Any], language: Language
) -> tuple[str, Card]:
    """The card of a write and its text. The card keeps both languages: the page may be in the other one."""
    texts = {name: filled(rule.confirm, values, name) for name in ("zh", "en")}
    card = {"kind": "confirm", "id": card_id, "title": dict(rule.title), "text": texts}
    return say("confirm", language, text=texts[language]), card


def offer(rule: IntentRule, language: Language) -> tuple[str, Card]:
    """The question when an intent is likely and not sure."""
    options = [
        {"value": "yes", "zh": say("yes", "zh"), "en": say("yes", "en")},
        {"value": "no", "zh": say("no_question", "zh"), "en": say("no_question", "en")},
    ]
    text = say("offer", language, title=in_language(rule.title, language))
    return text, {"kind": "choices", "options": options}


def clarification(policy: Policy, rule: IntentRule, language: Language) -> tuple[str, Card]:
    titles = {name: policy.intents[name].title for name in rule.options}
    options = [
        {"value": name, "zh": in_language(title, "zh"), "en": in_language(title, "en")}
        for name, title in titles.items()
    ]
    return say("clarify", language), {"kind": "choices", "options": options}


def filled(texts: Texts, values: Mapping[str, Any], language: str) -> str:
    """A template of the policy with a tool's values; of a value with both languages the one of ``language``."""
    spoken = {
        name: in_language(value, language) if isinstance(value, Mapping) and set(value) <= {"zh", "en"} else value
        for name, value in values.items()
    }
    return in_language(texts, language).format_map(_Dash(spoken))


class _Dash(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def promise(at: datetime) -> str:
    """When people are back, with the zone's own name, for a customer who may be elsewhere."""
    return f"{at:%Y-%m-%d %H:%M} ({at.tzinfo})"


def labels(policy: Policy, rule: IntentRule, slots: Mapping[str, Value], language: Language) -> dict[str, str]:
    """Slots by their argument, with the words of a choice, for the person who takes over."""
    told = {}
    for need in rule.needs:
        if need.argument in slots:
            value = str(slots[need.argument])
            told[need.argument] = in_language(policy.slots[need.slot].labels.get(value, {}), language) or value
    return told
