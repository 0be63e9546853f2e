"""Decision endpoints in both forms, the pipeline of transformers, and calibration."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ContentFiltered, InputError, InvalidResponse, MissingPackage, ModelNotFound
from core.evaluation.datasets import Dataset, Record
from core.evaluation.decision_judge import decided_task
from core.evaluation.labels import ece
from core.providers.calibration import Calibration, calibrate, fit
from core.providers.decision_forms import openai_answers, openai_body, system_one_answers, system_one_body
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import Settings, load_settings
from core.types import Decision, Example, Question
from tests.servers.decisions import openai_decisions, system_one
from tests.servers.json import json_server

URGENT = Question("urgent", "yes_no", "Is an answer needed today?")
TOPIC = Question("topic", "choice", "What is it about?", ("shipping", "refund"))
HAPPY = Question("happy", "score", "How happy is the writer?", low=1, high=5)
ALL = (URGENT, TOPIC, HAPPY)


@pytest.mark.parametrize(("by", "route"), [("decisions", openai_decisions), ("systemone", system_one)])
def test_an_endpoint_answers_in_our_form(by: str, route: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, Any]] = []
    with json_server({f"POST /v1/{by}": route}, seen) as url:
        settings = load_settings(tmp_path, {"SGLANG_BASE_URL": f"{url}/v1"})
        model = open_model(by, "sglang:Qwen/Qwen3-8B", settings)
        found = run(model.decide("Where is my parcel?", ALL), 30)
        assert dict(run(model.decide("nothing asked", ()), 30)) == {}
        run(model.aclose())
    assert len(seen) == 1, "all questions go in one request"
    assert seen[0][1]["model"] == "Qwen/Qwen3-8B"
    assert list(found) == ["urgent", "topic", "happy"]
    assert found["urgent"] == Decision("urgent", "yes", 0.8, {"yes": 0.8, "no": pytest.approx(0.2)}, model.name)  # type: ignore[dict-item]
    assert (found["topic"].answer, found["topic"].probability) == ("refund", pytest.approx(2 / 3))
    assert found["happy"].answer == pytest.approx((1 + 4 + 9 + 16 + 25) / 15)
    assert sum(found["happy"].probabilities.values()) == pytest.approx(1)


def test_the_runtime_opens_it(tmp_path: Path) -> None:
    from core.runtime import open_runtime

    with json_server({"POST /v1/decisions": openai_decisions}) as url:
        variables = {"OPENAI_BASE_URL": f"{url}/v1", "TOUCHSTONE_HOME": str(tmp_path / "home")}
        with open_runtime(load_settings(tmp_path, variables)) as runtime:
            model = runtime.decision("openai:gpt-6-luna", by="decisions")
            assert run(model.decide("x", [URGENT]), 30)["urgent"].answer == "yes"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"answers": []},
        {"answers": [{"type": "predicate", "probability": 7}]},
        {"answers": [{"type": "predicate"}]},
        {"answers": "yes"},
        ["yes"],
    ],
)
def test_an_answer_of_another_form_is_an_invalid_response(sent: Any, tmp_path: Path) -> None:
    routes = {"POST /v1/decisions": lambda _: sent, "POST /v1/systemone": lambda _: sent}
    with json_server(routes) as url:
        settings = load_settings(tmp_path, {"OPENAI_BASE_URL": f"{url}/v1"})
        for by in ("decisions", "systemone"):
            with pytest.raises(InvalidResponse):
                run(open_model(by, "openai:m", settings).decide("x", [URGENT]), 30)


def test_a_refusal_says_which_question_and_a_missing_endpoint_says_so(tmp_path: Path) -> None:
    with json_server({"POST /v1/decisions": lambda _: {"answers": [{"type": "refusal", "name": None}]}}) as url:
        settings = load_settings(tmp_path, {"OPENAI_BASE_URL": f"{url}/v1"})
        with pytest.raises(ContentFiltered) as caught:
            run(open_model("decisions", "openai:m", settings).decide("x", [URGENT]), 30)
        assert "urgent" in str(caught.value)
        with pytest.raises(ModelNotFound):
            run(open_model("systemone", "openai:m", settings).decide("x", [URGENT]), 30)


def test_requests_fit_the_sdk_and_the_pipeline() -> None:
    """The bodies are held against the two libraries that define them."""
    from openai.types import decision_create_params as params
    from pydantic import TypeAdapter
    from transformers.decision import DecisionConfig
    from transformers.decision.template_utils import parse_questions

    adapter = TypeAdapter(params.DecisionCreateParams)
    adapter.validate_python(openai_body("gpt-6-luna", "x", ALL))
    parsed = parse_questions(system_one_body("x", ALL)["questions"], DecisionConfig())
    assert [(q.name, q.type) for q in parsed] == [("urgent", "noul"), ("topic", "choice"), ("happy", "score")]
    shares = [[0.25, 0.75], [0.5, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0]]
    answers = {q.name: q.answer(row) for q, row in zip(parsed, shares, strict=True)}
    found = system_one_answers(answers, ALL, "transformers:m")
    assert found["happy"].answer == 5.0
    assert found["urgent"].probabilities["yes"] == answers["urgent"]["noul"]


def test_an_answer_of_the_sdk_is_read() -> None:
    from openai.types.decision import Decision as Sent

    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    sent = Sent.model_validate({**openai_decisions(openai_body("gpt-6-luna", "x", ALL)), "usage": usage}).model_dump()
    assert openai_answers(sent, ALL, "openai:gpt-6-luna")["topic"].answer == "refund"


# --- the pipeline -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.core.providers.tiny_torch import write_chat

    folder = tmp_path_factory.mktemp("pipeline")
    write_chat(folder / "chat")
    from core.providers.decision_models import open_pipeline

    return open_pipeline("chat", engine="transformers", settings=load_settings(folder, {}))


def test_the_pipeline_of_transformers_decides(pipeline: Any) -> None:
    found = run(pipeline.decide("My parcel is late. \ud800", ALL), 120)
    assert [d.model for d in found.values()] == ["transformers:chat"] * 3
    for question in ALL:
        assert sum(found[question.id].probabilities.values()) == pytest.approx(1)
    assert found["topic"].answer in TOPIC.choices
    assert 1 <= float(found["happy"].answer) <= 5
    other = run(pipeline.decide("Another text altogether", ALL), 120)
    assert other["topic"].probabilities != found["topic"].probabilities
    run(pipeline.aclose())
    assert run(pipeline.decide("x", [URGENT]), 120)["urgent"].answer in ("yes", "no")


def test_the_pipeline_without_transformers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.providers import decision_models

    monkeypatch.setattr(decision_models, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage):
        decision_models.open_pipeline("m", engine="transformers", settings=settings)


# --- calibration ------------------------------------------------------------------------------


class Overconfident:
    """Says 99 % where it is right in 7 of 10 cases."""

    name = "test:overconfident"

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        from core.providers.decisions import decided, labels_of

        found = {}
        for question in questions:
            labels = labels_of(question)
            truth = state.rpartition(" ")[2]
            draw = random.Random(f"{state}{question.id}")
            said = truth if draw.random() < 0.7 else draw.choice([label for label in labels if label != truth])
            rest = 0.01 / (len(labels) - 1)
            found[question.id] = decided(question, [0.99 if label == said else rest for label in labels], self.name)
        return found


@pytest.mark.parametrize(
    "question", [URGENT, TOPIC, Question("three", "choice", "?", ("a", "b", "c"))], ids=lambda q: q.id
)
def test_calibration_makes_probabilities_mean_what_they_say(question: Question) -> None:
    from core.providers.decisions import labels_of

    labels = labels_of(question)
    texts = [f"text {n} about {labels[n % len(labels)]}" for n in range(2000)]
    examples = [Example(text, labels[n % len(labels)]) for n, text in enumerate(texts)]
    model = Overconfident()
    better = run(calibrate(model, [question], {question.id: examples[:800]}), 60)

    async def error(of: Any) -> float:
        found = [(await of.decide(e.text, [question]))[question.id] for e in examples[800:]]
        right = [float(d.answer == e.label) for d, e in zip(found, examples[800:], strict=True)]
        return ece(np.array([d.probability for d in found]), np.array(right))

    before, after = run(error(model), 60), run(error(better), 60)
    assert before > 0.2
    assert after < 0.05
    decision = run(better.decide(texts[0], [question]), 60)[question.id]
    assert decision.model == model.name
    assert sum(decision.probabilities.values()) == pytest.approx(1)


def test_a_question_without_calibration_is_left_as_it_is() -> None:
    model = Overconfident()
    better = run(calibrate(model, [URGENT], {"urgent": [Example("a yes", "yes"), Example("b no", "no")] * 5}), 60)
    plain = run(model.decide("c refund", [TOPIC]), 60)
    assert run(better.decide("c refund", [TOPIC]), 60) == plain


def test_examples_that_do_not_do() -> None:
    for examples in ([], [Example("a", "yes")], [Example("a", "yes"), Example("b", "maybe")]):
        with pytest.raises(InputError) as caught:
            run(calibrate(Overconfident(), [URGENT], {"urgent": examples}), 60)
        assert caught.value.reason == "bad_value"


def test_a_temperature_keeps_the_order_and_platt_finds_a_bias() -> None:
    assert Calibration(0.5).temperature == 2
    soft = Calibration(0.3).apply([0.7, 0.2, 0.1])
    assert soft == sorted(soft, reverse=True)
    assert sum(soft) == pytest.approx(1)
    draw = np.random.default_rng(3)
    margin = draw.normal(0, 2, 4000)
    truth = draw.random(4000) < 1 / (1 + np.exp(-(0.5 * margin - 1)))
    p = 1 / (1 + np.exp(-margin))
    found = fit(np.stack([p, 1 - p], axis=1).tolist(), [0 if yes else 1 for yes in truth])
    assert found.slope == pytest.approx(0.5, abs=0.06)
    assert found.bias == pytest.approx(-1, abs=0.12)
    assert math.isfinite(fit([[1.0, 0.0], [0.0, 1.0]], [0, 1]).slope)


# --- judging ----------------------------------------------------------------------------------


class Compares:
    """Says yes when the answer given is the right one."""

    name = "test:compares"

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        right = state.split(": ")[2].split("\n")[0] == state.split(": ")[3]
        p = 0.9 if right else 0.2
        return {
            q.id: Decision(q.id, "yes" if right else "no", max(p, 1 - p), {"yes": p, "no": 1 - p}, self.name)
            for q in questions
        }


def test_answers_are_judged_by_decision() -> None:
    records = tuple(Record(f"r{n}", "How many days?", answers=("seven",)) for n in range(3))
    task = decided_task(Dataset("returns", "test", records), Compares())
    columns = task.judge(records, ["seven", {"text": "eight"}, None])
    assert columns == {"judged_right": [0.9, 0.2, 0.0]}
