"""Decision models: the arithmetic by hand, and what each way adds to the contract."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import InputError, InvalidResponse, RateLimited, Unsupported
from core.providers.decisions import (
    LabelLogits,
    NearestExamples,
    Structured,
    decided,
    decision_model,
    fit_temperature,
    labels_of,
)
from core.runtime import Runtime
from core.settings import Settings
from core.types import (
    Capabilities,
    Completion,
    Decision,
    Done,
    EmbeddingKind,
    Event,
    Example,
    Message,
    Options,
    Question,
    TokenLogprob,
    content_text,
)

YES_NO = Question("q", "yes_no", "Is it so?")
TOPIC = Question("q", "choice", "Which?", ("red", "green", "blue"))


class FakeChat:
    """Answers by a function of the prompt: a text, or the probabilities of first tokens."""

    def __init__(self, answer: Callable[[str], str | dict[str, float]], **capabilities: Any) -> None:
        self.name = "gguf:fake"
        self.capabilities = Capabilities(**{"logprobs": True, "schema": True, **capabilities})
        self.answer = answer
        self.asked: list[tuple[str, Options]] = []

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        prompt = content_text(messages[0].content)
        self.asked.append((prompt, options))
        await asyncio.sleep(0)
        found = self.answer(prompt)
        text = found if isinstance(found, str) else max(found, key=found.__getitem__)
        logprobs: tuple[TokenLogprob, ...] = ()
        if isinstance(found, dict):
            top = tuple((token, math.log(p)) for token, p in found.items())
            logprobs = (TokenLogprob(text, max(p for _, p in top), top),)
        yield Done(Completion(text, "fake", "gguf", "stop", logprobs=logprobs))

    async def aclose(self) -> None: ...


class FakeEmbedding:
    """Vectors by a table of angles (in degrees)."""

    name = "fake:angles"
    dim = 2

    def __init__(self, **angles: float) -> None:
        self.angles = angles
        self.calls = 0

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        self.calls += 1
        turns = np.radians([self.angles[text] for text in texts])
        return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)

    async def aclose(self) -> None: ...


def decide(model: Any, state: str, question: Question = YES_NO) -> Decision:
    return asyncio.run(model.decide(state, [question]))[question.id]


# --- questions --------------------------------------------------------------------------------


def test_labels_of_each_kind() -> None:
    assert labels_of(YES_NO) == ("yes", "no")
    assert labels_of(TOPIC) == ("red", "green", "blue")
    assert labels_of(Question("s", "score", "?", low=-1, high=1)) == ("-1", "-0.5", "0", "0.5", "1")
    assert labels_of(Question("s", "score", "?", low=0, high=10)) == ("0", "2.5", "5", "7.5", "10")


def test_weights_become_probabilities() -> None:
    found = decided(TOPIC, [1, 2, 1], "m:x")
    assert found == Decision("q", "green", 0.5, {"red": 0.25, "green": 0.5, "blue": 0.25}, "m:x")
    assert decided(YES_NO, [0, 0], "m:x").probabilities == {"yes": 0.5, "no": 0.5}
    score = decided(Question("s", "score", "?", low=0, high=10), [0, 0, 1, 1, 0], "m:x")
    assert score.answer == pytest.approx(6.25)
    assert score.probability == 0.5


# --- label logits -----------------------------------------------------------------------------


def test_letters_are_read_in_any_dress_and_renormalised() -> None:
    chat = FakeChat(lambda _: {" A": 0.3, "a": 0.1, "B.": 0.2, "The": 0.3, " C": 0.1})
    found = decide(LabelLogits(chat, calibrate=False), "x", TOPIC)
    assert found.probabilities == pytest.approx({"red": 0.4 / 0.7, "green": 0.2 / 0.7, "blue": 0.1 / 0.7})
    assert found.answer == "red"
    prompt, options = chat.asked[0]
    assert "A. red\nB. green\nC. blue" in prompt
    assert (options.max_tokens, options.temperature) == (1, 0.0)


def test_a_letter_that_was_not_listed_is_as_unlikely_as_the_last_that_was() -> None:
    found = decide(LabelLogits(FakeChat(lambda _: {"A": 0.8, "x": 0.1}), calibrate=False), "x")
    assert found.probabilities == pytest.approx({"yes": 0.8 / 0.9, "no": 0.1 / 0.9})


def test_calibration_takes_the_liking_for_a_letter_away() -> None:
    """The model says A with 0.8 for nothing and with 0.9 for the text: by itself a yes of 0.9, after calibration
    (0.9 / 0.8) : (0.1 / 0.2)."""
    chat = FakeChat(lambda prompt: {"A": 0.9, "B": 0.1} if "the text" in prompt else {"A": 0.8, "B": 0.2})
    model = LabelLogits(chat)
    found = decide(model, "the text")
    assert found.probabilities == pytest.approx({"yes": 1.125 / 1.625, "no": 0.5 / 1.625})
    assert decide(model, "N/A").probabilities == pytest.approx({"yes": 0.5, "no": 0.5})
    assert len(chat.asked) == 3 + 1 + 1  # the bias is asked for once


def test_too_many_choices_for_the_alphabet() -> None:
    many = Question("q", "choice", "?", tuple(str(n) for n in range(27)))
    with pytest.raises(InputError, match="at most 26"):
        decide(LabelLogits(FakeChat(lambda _: {"A": 1.0})), "x", many)


def test_the_question_is_put_in_its_own_language() -> None:
    chat = FakeChat(lambda _: {"A": 0.5, "B": 0.5})
    decide(LabelLogits(chat, calibrate=False), "English text", Question("q", "yes_no", "这是投诉吗？"))
    assert "A. 是\nB. 否" in chat.asked[0][0]


def test_no_logprobs_no_label_logits() -> None:
    with pytest.raises(Unsupported, match="logprobs"):
        LabelLogits(FakeChat(lambda _: "A", logprobs=False))
    with pytest.raises(InvalidResponse, match="no probabilities"):
        decide(LabelLogits(FakeChat(lambda _: "A")), "x")


def test_an_error_of_one_question_is_the_error_of_the_call() -> None:
    def fail(prompt: str) -> str:
        raise RateLimited(provider="gguf")

    with pytest.raises(RateLimited):
        asyncio.run(LabelLogits(FakeChat(fail)).decide("x", [YES_NO, Question("r", "yes_no", "?")]))


# --- structured -------------------------------------------------------------------------------


def test_reported_percents_of_all_questions_come_in_one_call() -> None:
    chat = FakeChat(lambda _: '{"q1": {"o1": 30, "o2": 90}, "q2": {"o1": 0, "o2": 0, "o3": 50}}')
    found = asyncio.run(Structured(chat).decide("x", [YES_NO, Question("t", "choice", "?", ("a", "b", "c"))]))
    assert found["q"].probabilities == pytest.approx({"yes": 0.25, "no": 0.75})
    assert found["t"].answer == "c"
    assert len(chat.asked) == 1
    schema = chat.asked[0][1].schema
    assert schema is not None
    assert schema["required"] == ["q1", "q2"]


def test_samples_are_counted_with_half_an_answer_for_each_label() -> None:
    answers = iter(["o1", "o1", "o3", "o1"])
    chat = FakeChat(lambda _: json.dumps({"q1": next(answers)}))
    found = decide(Structured(chat, samples=4, temperature=0.7), "x", TOPIC)
    assert found.probabilities == pytest.approx({"red": 3.5 / 5.5, "green": 0.5 / 5.5, "blue": 1.5 / 5.5})
    assert {options.temperature for _, options in chat.asked} == {0.7}


def test_a_model_without_schemas_is_told_the_form_in_words() -> None:
    chat = FakeChat(lambda _: 'Sure! ```json\n{"q1": {"o1": 10, "o2": 30}}\n```', schema=False)
    assert decide(Structured(chat), "x").answer == "no"
    prompt, options = chat.asked[0]
    assert options.schema is None
    assert '"additionalProperties": false' in prompt


@pytest.mark.parametrize(
    "text",
    ["", "no json", "{", '{"q1": 5}', '{"q1": {"o1": 5}}', '{"q1": {"o1": 5, "o2": "much"}}', '{"q1": {"o1": 5, "o2": -1}}', "[]"],
)  # fmt: skip
def test_what_is_not_the_agreed_form_is_an_invalid_response(text: str) -> None:
    with pytest.raises(InvalidResponse):
        decide(Structured(FakeChat(lambda _: text)), "x")


# --- nearest examples -------------------------------------------------------------------------


def test_votes_by_hand() -> None:
    """Cosines 1, 0 and -1 at temperature 1: weights 1, e^-1, e^-2 before the hundredth that is spread evenly."""
    model = NearestExamples(
        FakeEmbedding(text=0, a=0, b=90, c=180),
        [Example("a", "yes"), Example("b", "no"), Example("c", "no")],
        temperature=1.0,
    )
    weights = [1, math.exp(-1), math.exp(-2)]
    yes = 0.99 * weights[0] / sum(weights) + 0.005
    assert decide(model, "text").probabilities == pytest.approx({"yes": yes, "no": 1 - yes}, abs=1e-6)


def test_scores_are_the_mean_of_the_examples_numbers() -> None:
    model = NearestExamples(
        FakeEmbedding(text=45, low=0, high=90, odd=10),
        [Example("low", "1"), Example("high", "5"), Example("odd", "no number")],
        temperature=0.1,
    )
    found = decide(model, "text", Question("q", "score", "?", low=1, high=5))
    assert found.answer == pytest.approx(3, abs=1e-3)
    assert found.probabilities["1"] == pytest.approx(found.probabilities["5"], abs=1e-3)


def test_each_question_may_have_its_own_examples_embedded_once() -> None:
    embedding = FakeEmbedding(text=0, a=0, b=90)
    model = NearestExamples(
        embedding,
        {"q": [Example("a", "yes"), Example("b", "no")], "r": [Example("a", "no"), Example("b", "yes")]},
    )
    other = Question("r", "yes_no", "?")
    for _ in range(2):
        found = asyncio.run(model.decide("text", [YES_NO, other]))
        assert (found["q"].answer, found["r"].answer) == ("yes", "no")
    assert embedding.calls == 2 + 1 + 1


def test_a_label_without_an_example_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="blue, green"):
        decide(NearestExamples(FakeEmbedding(a=0), [Example("a", "red")]), "a", TOPIC)
    with pytest.raises(InputError, match="examples"):
        decide(NearestExamples(FakeEmbedding(a=0), []), "a", Question("q", "score", "?"))


def test_clear_examples_fit_a_cold_temperature_and_mixed_ones_a_warm_one() -> None:
    turns = np.radians([0, 2, 4, 90, 92, 94])
    clear = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
    cold = fit_temperature(clear, list("aaabbb"))
    warm = fit_temperature(clear, list("abaaba"))
    assert cold < 0.2 < warm
    assert fit_temperature(clear[:2], ["a", "b"]) == 0.05  # nothing to learn from


# --- choosing ---------------------------------------------------------------------------------


def test_the_model_chooses_the_way(runtime: Runtime) -> None:
    examples = [Example("a", "yes"), Example("b", "no")]
    assert isinstance(decision_model(FakeChat(lambda _: "")), LabelLogits)
    assert isinstance(decision_model(FakeChat(lambda _: "", logprobs=False)), Structured)
    remote = FakeChat(lambda _: "")
    remote.name = "deepseek:deepseek-chat"
    assert isinstance(decision_model(remote), Structured)
    assert isinstance(decision_model(FakeEmbedding(), examples), NearestExamples)
    with pytest.raises(InputError, match="embedding model"):
        decision_model(remote, examples)
    assert isinstance(runtime.decision(), LabelLogits)
    assert runtime.decision().name == "embedded:smollm2"
    assert isinstance(runtime.decision("scripted:hash", examples=examples), NearestExamples)


def test_e5_tells_intents_apart_in_both_languages(settings: Settings) -> None:
    from core.providers.registry import open_model

    examples = {
        "shipping": ("Where is my parcel?", "When will my order arrive?", "包裹到哪里了？", "什么时候发货？"),
        "refund": ("I want my money back", "How do I get a refund?", "怎么退款？", "我要把钱要回来"),
        "battery": ("The battery dies fast", "How long does it take to charge?", "充不进电", "电池能用多久？"),
    }
    question = Question("q", "choice", "What is it about?", tuple(examples))
    model = NearestExamples(
        open_model("embedding", "embedded:e5", settings),
        [Example(text, label) for label, texts in examples.items() for text in texts],
    )
    for text, label in (
        ("My package has not come yet", "shipping"),
        ("快递还没有收到", "shipping"),
        ("Please return the payment", "refund"),
        ("能退钱吗", "refund"),
        ("It does not hold a charge", "battery"),
        ("充电要多长时间", "battery"),
    ):
        found = decide(model, text, question)
        assert found.answer == label, (text, found)
        assert found.probability > 0.5
    unsure = decide(model, "hello", question)
    assert unsure.probability < 0.8


def test_smollm2_answers_by_its_logits(settings: Settings) -> None:
    """The whole path on the real model; that it is not wise is known."""
    from core.providers.registry import open_model

    chat = open_model("chat", "embedded:smollm2", settings)
    found = decide(LabelLogits(chat, calibrate=False), "The parcel is late.", TOPIC)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert len(set(found.probabilities.values())) == 3
    asyncio.run(chat.aclose())
