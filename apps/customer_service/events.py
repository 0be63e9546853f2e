"""What a question in progress tells its reader: the answering events of core, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.retrieval.answer import AnswerDone, Notice, SentenceReady, SourcesFound
from core.types import Queued, Sentence, Switched


@dataclass(frozen=True, slots=True)
class Begun:
    """Question and unfinished answer are stored under these ids. Comes first, when a conversation is kept."""

    conversation_id: str
    question_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Carded:
    """The answer under way carries a card (see :mod:`apps.customer_service.replies`)."""

    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Added:
    """A message of its own, stored after the answer: back to a task, or a person takes over."""

    text: str
    card: Mapping[str, Any] | None = None


Event = Begun | Carded | Added | Queued | Switched | Notice | SourcesFound | SentenceReady | AnswerDone


def joined(sentences: Sequence[Sentence]) -> str:
    """The text of ``sentences``, with a space between two unless the first ends in Chinese; under what each answers.

    >>> joined([Sentence("可以退货。"), Sentence("Within 15 days."), Sentence("Keep the box.")])
    '可以退货。Within 15 days. Keep the box.'
    """
    text = ""
    for sentence in sentences:
        if sentence.asked:
            text += ("\n\n" if text else "") + heading(sentence.asked)
        elif text and ord(text[-1]) < 0x2E80:
            text += " "
        text += sentence.text
    return text


def heading(asked: str) -> str:
    """The line over what answers one of several questions."""
    return f"“{asked}”\n"
