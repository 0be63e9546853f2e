"""Decisions in the two forms of the field, and ours between them. Pure functions.

OpenAI's Decisions (also Fireworks, LiteLLM): a list of ``predicate``, ``choice`` and ``score`` questions, answers in
their order. System One (transformers, vLLM, SGLang, Ollama): a mapping of ``noul``, ``choice`` and ``score`` questions.
A score has the levels of ``decisions.labels_of`` in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ContentFiltered
from core.i18n import Phrase
from core.providers.decisions import decided, labels_of
from core.types import Decision, Question


def openai_body(model: str, state: str, questions: Sequence[Question]) -> dict[str, Any]:
    """The body of ``POST /v1/decisions``."""
    return {"model": model, "input": state or " ", "questions": [_openai(question) for question in questions]}


def _openai(question: Question) -> dict[str, Any]:
    head = {"name": question.id, "instructions": question.instructions}
    if question.kind == "yes_no":
        return {"type": "predicate", **head}
    if question.kind == "choice":
        return {"type": "choice", **head, "choices": [{"value": label} for label in labels_of(question)]}
    return {"type": "score", **head, "levels": [{"label": label} for label in labels_of(question)]}


def openai_answers(sent: Any, questions: Sequence[Question], model: str) -> dict[str, Decision]:
    """The decisions of an answer in OpenAI's form.

    Raises:
        ContentFiltered: the model declined to answer a question.
        ValueError, KeyError, TypeError: not of this form.
    """
    answers = sent["answers"]
    if len(answers) != len(questions):
        raise ValueError(f"{len(answers)} answers to {len(questions)} questions")
    found = {}
    for question, answer in zip(questions, answers, strict=True):
        if answer["type"] == "refusal":
            raise _declined(question, model)
        if question.kind == "yes_no":
            shares = _both(answer["probability"])
        else:
            key = "value" if question.kind == "choice" else "label"
            shares = {str(row[key]): float(row["probability"]) for row in answer["probabilities"]}
        found[question.id] = _decision(question, shares, model)
    return found


def system_one_body(state: str, questions: Sequence[Question], model: str | None = None) -> dict[str, Any]:
    """A request of System One; ``model`` is named where it goes to a server."""
    head = {"model": model} if model is not None else {}
    return {**head, "state": state, "questions": {question.id: _system_one(question) for question in questions}}


def _system_one(question: Question) -> dict[str, Any]:
    if question.kind == "yes_no":
        return {"type": "noul", "instructions": question.instructions}
    labels = labels_of(question)
    criteria: Any = dict.fromkeys(labels) if question.kind == "choice" else list(labels)
    return {"type": question.kind, "instructions": question.instructions, "criteria": criteria}


def system_one_answers(sent: Any, questions: Sequence[Question], model: str) -> dict[str, Decision]:
    """The decisions of an answer of System One, bare or under ``answers``.

    Raises:
        ValueError, KeyError, TypeError: not of this form.
    """
    answers: Mapping[str, Any] = sent.get("answers", sent)
    found = {}
    for question in questions:
        answer = answers[question.id]
        if question.kind == "yes_no":
            shares = _both(answer["noul"])
        elif question.kind == "choice":
            shares = {label: float(answer["probabilities"][label]) for label in labels_of(question)}
        else:  # levels are numbered from the lowest
            given = answer["probabilities"]
            shares = {label: float(given[str(level)]) for level, label in enumerate(labels_of(question))}
        found[question.id] = _decision(question, shares, model)
    return found


def _both(yes: float) -> dict[str, float]:
    return {"yes": float(yes), "no": 1.0 - float(yes)}


def _decision(question: Question, shares: Mapping[str, float], model: str) -> Decision:
    row = [shares[label] for label in labels_of(question)]
    if not all(-1e-6 <= share <= 1 + 1e-6 for share in row) or sum(row) <= 0:
        raise ValueError(f"{question.id}: not probabilities")
    return decided(question, [min(max(share, 0.0), 1.0) for share in row], model)


def _declined(question: Question, name: str) -> ContentFiltered:
    provider, _, model = name.partition(":")
    return ContentFiltered(provider=provider, model=model, detail=Phrase("decision.refused", question=question.id))
