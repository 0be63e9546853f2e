"""What the assistant does with which intent: the shop's decisions as data. :mod:`policy_file` reads them from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from apps.customer_service.hours import Hours
from core.types import Language

Do = Literal["answer", "tool", "clarify", "hand_off"]
SlotKind = Literal["pattern", "choice", "text", "date", "amount"]
Calling = Literal["auto", "model", "policy"]  # who reads messages: the model in doubt, whenever it can, or never
Texts = Mapping[str, str]  # by language; either may be missing


@dataclass(frozen=True, slots=True)
class SlotRule:
    """How a value is found in what a customer writes, and how it is asked for.

    ``pattern`` finds a value anywhere, ``asked`` only in the reply to its question, ``after`` are the words that a
    free text follows. ``words`` are those that stand for a choice, ``labels`` what a choice is called. ``catalogue`` names
    a reading tool that lists what can be chosen, so that a message in other words finds it (:mod:`catalogues`). With ``gaps``
    blanks and hyphens may stand in a value of ``pattern``, which knows none. ``stands_for`` is what a value of it is in words.
    """

    name: str
    kind: SlotKind
    ask: Texts
    pattern: str = ""
    asked: str = ""
    after: tuple[str, ...] = ()
    least: int = 1  # characters of a free text
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, Texts] = field(default_factory=dict)
    catalogue: str = ""
    gaps: bool = False
    stands_for: Texts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """An argument of a tool and the slot that fills it. ``options`` names a tool that lists the values to choose from."""

    argument: str
    slot: str
    options: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class IntentRule:
    """What to do when a customer wants ``name``.

    ``identity`` names the slot whose account must have been proved; ``preview`` a reading tool that says what the
    write would do, or refuses before anybody is asked to confirm. ``confirm`` is the question on the card and ``done``
    the reply, both filled from the tool's result. ``options`` are the intents a clarification offers. ``none`` is
    said where what a slot is chosen from is empty, and ``instead`` is the intent that is offered then. ``say`` comes
    before a hand-off; ``asked`` marks the intent that is nothing but the wish for a person.
    """

    name: str
    do: Do
    title: Texts
    tool: str = ""
    preview: str = ""
    needs: tuple[Need, ...] = ()
    identity: str = ""
    confirm: Texts = field(default_factory=dict)
    done: Texts = field(default_factory=dict)
    options: tuple[str, ...] = ()
    none: Texts = field(default_factory=dict)
    instead: str = ""
    say: Texts = field(default_factory=dict)
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """``tool`` is called with the account and the slot ``proof``; after ``tries`` wrong proofs a person takes over."""

    tool: str
    proof: str
    tries: int = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole of it. ``sure``: probability from which an intent is acted on; below ``likely`` it is not offered."""

    intents: Mapping[str, IntentRule]
    slots: Mapping[str, SlotRule]
    hours: Hours = field(default_factory=Hours)
    identity: Identity | None = None
    misses: int = 2
    frustration: bool = True
    sure: float = 0.6
    likely: float = 0.4
    ticket: str = ""  # the tool that opens a ticket when nobody is there
    unsure: tuple[str, ...] = ()  # intents between which a doubt is worth a question
    bare: Mapping[str, str] = field(default_factory=dict)  # slot → intent, for a message that is nothing but its value
    canned: tuple[Texts, ...] = ()
    tools: Calling = "auto"


def in_language(texts: Texts, language: Language | str) -> str:
    """The text of ``language``, or of the other one when there is none."""
    return texts.get(language) or next(iter(texts.values()), "")
