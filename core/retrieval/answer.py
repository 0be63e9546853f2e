"""Answers made of cited sentences, streamed as events.

The same stream comes from both ways of answering. Extractive: the sentences of the sources that answer the
question, quoted. Generated: a model writes from the sources, and every sentence is checked against what it
cites before anybody sees it. Both refuse when the evidence is weak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.types import Answer, Citation, Hit, Queued, Sentence, Switched

QUESTION_LIMIT = 8000  # characters


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """The passages the answer is made from, best first. Comes before any sentence."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class SentenceReady:
    """One checked sentence, with the citations it brings that no sentence before it had.

    ``text`` is what to show, without ``[n]`` marks; the numbers are in ``sentence.citations``.
    """

    sentence: Sentence
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know, as a message code (``notice.<code>`` in the catalogues)."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """The whole answer; always the last event."""

    answer: Answer


AnswerEvent = SourcesFound | SentenceReady | Notice | Queued | Switched | AnswerDone
