"""What the graph carries from step to step: what a step reads of it, and how a step ends the turn with a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

from apps.customer_service.hearing import Heard
from apps.customer_service.replies import Reply
from apps.customer_service.talk import Talk, Task, to_data
from core.types import Caller


class State(TypedDict, total=False):
    """What the graph carries: ``talk`` lasts, ``turn`` is the message in hand, ``reply`` what came of it."""

    talk: dict[str, Any]
    turn: dict[str, Any]
    reply: dict[str, Any]
    next: str


def caller(state: State) -> Caller:
    """The customer, who has none of the roles of those who work here."""
    tenant, user = state["turn"]["caller"]
    return Caller(tenant, user, frozenset())


def in_hand(talk: Talk) -> Task:
    """The task in hand, at a step that only follows one which began it."""
    if talk.task is None:
        raise RuntimeError("there is no task in hand")
    return talk.task


def choices_shown(talk: Talk) -> Sequence[Mapping[str, str]]:
    """The choices on the newest card."""
    card = talk.last.get("card") or {}
    return card["options"] if card.get("kind") == "choices" else ()


def is_choice(talk: Talk, heard: Heard) -> bool:
    """Whether a message is what one of the choices is called: a button says so, whatever else the words could mean."""
    return any(heard.text in choice.values() for choice in choices_shown(talk))


def done(talk: Talk, reply: Reply) -> State:
    """The turn ends with ``reply``; what is said can be asked for again."""
    if reply.kind == "say":
        talk = replace(talk, last={"text": reply.text, "card": reply.card})
    return {"talk": to_data(talk), "reply": asdict(reply), "next": "end"}


def hand_off(talk: Talk, cause: str, intent: str = "", detail: str = "", *, text: str = "") -> State:
    """A person takes over; the task in hand is told to them and waits for nothing more. ``text`` is said before."""
    task = talk.task
    values = {"intent": intent or (task.intent if task else ""), "slots": dict(task.slots) if task else {}, "detail": detail, "proved": sorted(talk.proved), "by_model": list(task.by_model) if task else []}  # fmt: skip
    talk = replace(talk, task=None, aside=(), offer=None, misses=0, anger=0)
    return {"talk": to_data(talk), "reply": asdict(Reply("hand_off", text, cause=cause, values=values)), "next": "end"}
