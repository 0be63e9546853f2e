"""What a question in progress tells its reader, besides the core events of a model."""

from __future__ import annotations

from dataclasses import dataclass

from core.types import Answer, Queued, Switched, TextDelta


@dataclass(frozen=True, slots=True)
class Begun:
    """Question and unfinished answer are stored under these ids."""

    conversation_id: str
    question_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer, checked. Its text counts; streamed text that the check removed is not in it."""

    answer: Answer


Event = Begun | Queued | Switched | TextDelta | Answered
