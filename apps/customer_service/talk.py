"""Where a conversation stands: the task in hand, those put aside, what was proved, how often nothing was understood.

Plain data, which LangGraph's checkpointer keeps as it is; the texts of the conversation are in the messages' table.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.customer_service.slots import Value

PROVED_S = 1800.0  # how long a proof of identity counts
PUT_ASIDE = 2  # tasks that are remembered when the topic changes


@dataclass(frozen=True, slots=True)
class Task:
    """A wish being worked on. ``slots`` are by the tool's argument; ``asked`` is the argument that was asked for.

    ``said`` is the message it began with, which may name what can only be looked up later, and ``hints`` what a model
    read from it of that. ``card`` is the id of the open confirmation and the idempotency key of the write it stands for.
    ``queued``: wished for in one message with another, and not begun. ``meant`` is what of a slot's catalogue the message
    it began with may mean; ``by_model`` are the arguments that the embedding model filled.
    """

    intent: str
    slots: Mapping[str, Value] = field(default_factory=dict)
    asked: str = ""
    tries: int = 0
    card: str = ""
    said: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)
    queued: bool = False
    meant: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    by_model: tuple[str, ...] = ()

    def with_slots(self, **values: Value) -> Task:
        kept = tuple(name for name in self.by_model if name not in values)
        return replace(self, slots={**self.slots, **values}, by_model=kept)

    def with_read(self, argument: str, value: Value) -> Task:
        """With a value that a model read."""
        told = self.with_slots(**{argument: value})
        return replace(told, by_model=(*told.by_model, argument))


@dataclass(frozen=True, slots=True)
class Talk:
    """``proved`` holds accounts with the time of their proof, ``known`` the last value of a slot by its name.

    ``offer`` is the intent that was asked about when in doubt, with the message it was about; ``last`` what was said
    last, to be repeated.
    """

    task: Task | None = None
    aside: tuple[Task, ...] = ()
    proved: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, Value] = field(default_factory=dict)
    wrong_proofs: int = 0
    misses: int = 0
    anger: int = 0
    offer: tuple[str, str] | None = None
    last: Mapping[str, Any] = field(default_factory=dict)

    def is_proved(self, account: Value | None, now: float) -> bool:
        return account is not None and now - self.proved.get(str(account), -PROVED_S) < PROVED_S

    def within(self, intents: Container[str]) -> Talk:
        """Without what a policy that has changed since no longer knows."""
        task = self.task if self.task and self.task.intent in intents else None
        aside = tuple(waiting for waiting in self.aside if waiting.intent in intents)
        offer = self.offer if self.offer and (not self.offer[0] or self.offer[0] in intents) else None
        same = task is self.task and offer is self.offer and len(aside) == len(self.aside)
        return self if same else replace(self, task=task, aside=aside, offer=offer)

    def put_aside(self) -> Talk:
        """The task in hand waits until the next one is done."""
        if self.task is None:
            return self
        return replace(self, task=None, aside=(*self.aside, replace(self.task, tries=0))[-PUT_ASIDE:])

    def without_task(self) -> Talk:
        """The task in hand is done or dropped; the one put aside last comes back."""
        back = self.aside[-1] if self.aside else None
        return replace(self, task=back, aside=self.aside[:-1])


def to_data(talk: Talk) -> dict[str, Any]:
    def told(task: Task) -> dict[str, Any]:
        return {name: getattr(task, name) for name in Task.__slots__} | {
            "slots": dict(task.slots),
            "hints": dict(task.hints),
            "meant": {slot: [dict(guess) for guess in guesses] for slot, guesses in task.meant.items()},
            "by_model": list(task.by_model),
        }

    return {
        "task": told(talk.task) if talk.task else None,
        "aside": [told(task) for task in talk.aside],
        "proved": dict(talk.proved),
        "known": dict(talk.known),
        "wrong_proofs": talk.wrong_proofs,
        "misses": talk.misses,
        "anger": talk.anger,
        "offer": list(talk.offer) if talk.offer else None,
        "last": dict(talk.last),
    }


def from_data(data: Mapping[str, Any] | None) -> Talk:
    if not data:
        return Talk()
    offer = data["offer"]

    def read(task: Mapping[str, Any]) -> Task:
        return Task(**{**task, "by_model": tuple(task.get("by_model", ()))})

    return Talk(
        **{
            **data,
            "task": read(data["task"]) if data["task"] else None,
            "aside": tuple(read(task) for task in data["aside"]),
            "offer": (offer[0], offer[1]) if offer else None,
        }
    )
