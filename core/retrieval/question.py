"""A question as it is asked, and as it is searched for when it leans on the one before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.errors import InputError
from core.retrieval import tokens
from core.retrieval.answer import QUESTION_LIMIT
from core.types import Message, content_text

_FOLLOWS = re.compile(r"那|还有|另外|它|这个|这种|换成|如果|and\b|but\b|what about|how about|what if|it\b|they\b|does it|is it|can it|for\b", re.IGNORECASE)  # fmt: skip


def checked_question(question: str) -> str:
    """The question without surrounding space.

    Raises:
        InputError: empty_question, question_too_long.
    """
    asked = question.strip()
    if not any(c.isalnum() for c in asked):
        raise InputError(reason="empty_question")
    if len(asked) > QUESTION_LIMIT:
        raise InputError(reason="question_too_long", length=len(asked), limit=QUESTION_LIMIT)
    return asked


def searched(question: str, history: Sequence[Message]) -> str:
    """What is searched for: a short question that leans on the one before it takes that one along.

    Only a question with hardly any content of its own, or one that begins by pointing back, is a follow-up; a
    product it names takes the place of the one named before.
    """
    before = next((content_text(m.content).strip() for m in reversed(history) if m.role == "user"), "")
    if not before:
        return question
    leans = len(tokens.content_terms(question)) <= 2 or _FOLLOWS.match(question.strip())
    if not leans:
        return question
    if tokens.codes(question):
        before = tokens.PRODUCT.sub(" ", before)
    return f"{before[:500]} {question}"
