"""What every DecisionModel keeps. A new one is one more row in ``test_decision_models.py``."""

from __future__ import annotations

import asyncio
import math

import pytest

from core.contracts import DecisionModel
from core.errors import InputError
from core.providers.sync import run
from core.types import Decision, Question

TIMEOUT_S = 120.0
URGENT = Question("urgent", "yes_no", "Is an answer needed today?")
TOPIC = Question("topic", "choice", "What is the text about?", ("shipping", "refund", "battery"))
HAPPY = Question("happy", "score", "How happy is the writer?", low=1, high=5)
TOPIC_ZH = Question("主题", "choice", "这段文本讲的是什么？", ("物流", "退款"))
QUESTIONS = (URGENT, TOPIC, HAPPY, TOPIC_ZH)
STATE = "My parcel has not arrived. Where is it?"


class DecisionModelContract:
    """Subclass it with the fixture ``model``, which can answer ``QUESTIONS``."""

    def test_it_is_a_decision_model(self, model: DecisionModel) -> None:
        assert isinstance(model, DecisionModel)
        assert ":" in model.name

    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.id)
    def test_a_whole_decision(self, model: DecisionModel, question: Question) -> None:
        found = decide(model, STATE, question)
        assert found.keys() == {question.id}
        check(found[question.id], question)
        assert found[question.id].model == model.name

    def test_several_questions_at_once(self, model: DecisionModel) -> None:
        found = decide(model, STATE, *QUESTIONS)
        assert list(found) == [question.id for question in QUESTIONS]
        for question in QUESTIONS:
            check(found[question.id], question)

    def test_no_question_no_decision(self, model: DecisionModel) -> None:
        assert dict(decide(model, STATE)) == {}

    @pytest.mark.parametrize("state", ["", "a\0b\ud800", "包裹还没到。", "{braces} {0} %s <b>", "word " * 150])
    def test_any_state(self, model: DecisionModel, state: str) -> None:
        check(decide(model, state, TOPIC)["topic"], TOPIC)

    @pytest.mark.parametrize(
        "questions",
        [
            (Question("a", "choice", "?", ()),),
            (Question("a", "choice", "?", ("one",)),),
            (Question("a", "choice", "?", ("one", "one")),),
            (Question("a", "score", "?", low=1, high=1),),
            (Question("a", "score", "?", low=0, high=math.nan),),
            (URGENT, URGENT),
        ],
    )
    def test_questions_that_cannot_be_answered(self, model: DecisionModel, questions: tuple[Question, ...]) -> None:
        with pytest.raises(InputError) as caught:
            decide(model, STATE, *questions)
        assert caught.value.reason == "bad_value"

    def test_callers_at_once(self, model: DecisionModel) -> None:
        async def together() -> list[Decision]:
            found = await asyncio.gather(*(model.decide(f"Text {n}", [TOPIC]) for n in range(6)))
            return [row["topic"] for row in found]

        for decision in run(together(), TIMEOUT_S):
            check(decision, TOPIC)


def decide(model: DecisionModel, state: str, *questions: Question) -> dict[str, Decision]:
    return dict(run(model.decide(state, questions), TIMEOUT_S))


def check(decision: Decision, question: Question) -> None:
    """The decision's numbers belong together and answer ``question``."""
    assert decision.question_id == question.id
    shares = decision.probabilities
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares.values())
    assert decision.probability == max(shares.values())
    if question.kind == "score":
        values = [float(label) for label in shares]
        assert values[0] == question.low
        assert values[-1] == question.high
        assert values == sorted(values)
        assert isinstance(decision.answer, float)
        assert decision.answer == pytest.approx(sum(v * p for v, p in zip(values, shares.values(), strict=True)))
    else:
        assert list(shares) == (["yes", "no"] if question.kind == "yes_no" else list(question.choices))
        assert isinstance(decision.answer, str)
        assert shares[decision.answer] == decision.probability
