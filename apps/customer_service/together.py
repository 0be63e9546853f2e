"""The answers to what one message asks as one answer: each under its question, in their order, sources numbered on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apps.customer_service.events import heading
from core.types import Answer, Language, Sentence, Timings


def headed(answer: Answer) -> Answer:
    """``answer`` under its question; one that is no sentence of a source, such as a refusal, is a sentence then."""
    first, *rest = answer.sentences or (Sentence(answer.text),)
    return replace(answer, sentences=(replace(first, asked=answer.question), *rest))


def cited(answers: Sequence[Answer]) -> int:
    """How many citations the answers have that answer something; the next one begins after them."""
    return sum(len(answer.citations) for answer in answers if answer.mode != "refused")


def together(question: str, answers: Sequence[Answer], language: Language) -> Answer:
    """The answers to the parts of ``question`` as one; a single one is as it is.

    It is a refusal only when every part is one; else what a refusal names beside its question is no source of the answer. It is
    as sure as the least sure of those that were weighed.
    """
    if len(answers) == 1:
        return replace(answers[0], question=question)
    answered = [answer for answer in answers if answer.mode != "refused"]
    citations = [citation for answer in answered or answers for citation in answer.citations]
    weighed = [answer.confidence for answer in answered or answers if answer.confidence is not None]
    last = answers[-1]
    return Answer(
        question,
        min((answer.mode for answer in answered), key=_RANK.index, default="refused"),
        "\n\n".join(f"{heading(answer.question)}{answer.text}" for answer in answers),
        tuple(sentence for answer in answers for sentence in headed(answer).sentences),
        tuple(replace(citation, number=number) for number, citation in enumerate(citations, 1)),
        min(weighed, default=None),
        language,
        sum(answer.removed for answer in answers),
        tuple(dict.fromkeys(notice for answer in answers for notice in answer.notices)),
        model=next((answer.model for answer in answers if answer.model), None),
        prompt=next((answer.prompt for answer in answers if answer.prompt), None),
        timings=Timings(answers[0].timings.first_token_s, _sum([answer.timings.total_s for answer in answers])),
        threshold=max((a.threshold for a in answers if a.threshold is not None), default=last.threshold),
    )


_RANK = ("generated", "extractive", "curated", "frame")


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if known else None
