"""A language model that judges claims: how its answer is read, and what it may overrule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import ConnectFailed, InvalidResponse, Unsupported
from core.providers import embedded
from core.providers.registry import open_model
from core.providers.sync import run
from core.retrieval import judge as judge_module
from core.retrieval.check import checked
from core.retrieval.judge import Judge, Reading, shown
from core.settings import load_settings
from core.types import Capabilities, Completion, Done, Event, Language, Message, Options, Passage, TokenLogprob
from tests.servers.llama import llama_server

SOURCE = "签收之日起 15 天内可以无理由退货，运费由买家承担。"
ENGLISH = "The depot checks every kettle before the workshop repairs it."


class FakeChat:
    """Answers with the log probabilities that ``told`` gives for the last message."""

    def __init__(self, told: Mapping[str, Mapping[str, float]], *, name: str = "fake:m", logprobs: bool = True) -> None:
        self.name, self.capabilities = name, Capabilities(logprobs=logprobs)
        self.told, self.asked, self.options = told, list[Sequence[Message]](), DEFAULT_OPTIONS

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        self.asked.append(messages)
        self.options = options
        text = str(messages[-1].content).partition("Claim: ")[2]
        for part, top in self.told.items():
            if part in text:
                yield Done(Completion("x", "m", "fake", "stop", logprobs=(TokenLogprob("x", 0.0, tuple(top.items())),)))
                return
        yield Done(Completion("x", "m", "fake", "stop"))

    async def aclose(self) -> None:
        pass


SURE, NOT = {"Yes": -0.1, "No": -3.0, "The": -9.0}, {"No": -0.1, "Yes": -3.0, "The": -9.0}


def passage(text: str, language: Language = "zh") -> Passage:
    return Passage("p", "d", text, "退货政策", "s", 0, 0, len(text), None, None, language)


def outcome(claim: str, judge: Judge, source: str = SOURCE) -> tuple[str | None, bool]:
    found = asyncio.run(checked(f"{claim} [1]", [passage(source)], judge=judge))
    return found.failed, bool(found.support)


def test_a_model_that_is_not_listed_is_taken_at_its_word() -> None:
    judge = Judge(
        FakeChat({"买家": {" yes": -0.2, "No": -2.0}, "卖家": {"NO.": -0.2, "Yes": -2.0}, "店": {"No": -0.5}})
    )
    assert asyncio.run(judge.says(SOURCE, "买家付运费。")) is True
    assert asyncio.run(judge.says(SOURCE, "卖家付运费。")) is False
    assert asyncio.run(judge.odds(SOURCE, "店家付运费。")) == 0.0, "a word that is not there is as likely as the last"


def test_examples_come_first_and_the_claim_last() -> None:
    chat = FakeChat({"买家": SURE})
    asyncio.run(Judge(chat).says(SOURCE, "买家付运费。"))
    (asked,) = chat.asked
    assert [message.role for message in asked[:3]] == ["system", "user", "assistant"]
    answers = [str(message.content) for message in asked if message.role == "assistant"]
    assert sorted(answers) == ["No"] * 4 + ["Yes"] * 4
    assert f"Source: {SOURCE}\n\nClaim: 买家付运费。" in str(asked[-1].content)
    assert (chat.options.max_tokens, chat.options.top_logprobs) == (1, 20)


def test_a_reading_weighs_words() -> None:
    reading = Reading({"Yes": 1.0, "True": 0.5, "对": 2.0}, 0.25, {"zh": 0, "en": 0}, {"zh": 0, "en": 0}, 3)
    assert reading.odds([("Yes", -1.0), ("True", -2.0), ("No", -4.0)]) == 0.25 - 1.0 - 1.0 - 8.0


def test_limits_are_of_the_language() -> None:
    reading = Reading({"Yes": 1.0}, 0.0, {"zh": -2.0, "en": -4.0}, {"zh": -1.0, "en": -1.0}, 300)
    chat = FakeChat({"": {"Yes": -3.0, "No": -0.1}})
    assert asyncio.run(Judge(chat, reading).says(SOURCE, "卖家付运费。")) is False
    assert asyncio.run(Judge(chat, reading).says(ENGLISH, "The workshop checks kettles.")) is None
    assert chat.options.top_logprobs == 300


def test_what_rules_let_pass_is_judged() -> None:
    claim = "退货的运费由买家承担。"
    assert outcome(claim, Judge(FakeChat({claim: SURE}))) == (None, True)
    assert outcome(claim, Judge(FakeChat({claim: NOT}))) == ("judged", False)


def test_what_the_source_repeats_is_not_judged() -> None:
    chat = FakeChat({"": NOT})
    assert outcome("运费由买家承担。", Judge(chat)) == (None, True)
    assert not chat.asked


def test_a_judge_sees_the_text_without_its_title() -> None:
    chat = FakeChat({"": SURE})
    outcome("退货的运费由买家承担。", Judge(chat))
    assert f"Source: {SOURCE}\n\nClaim" in str(chat.asked[0][-1].content)


def test_what_can_be_argued_about_may_be_overruled() -> None:
    claim = "顾客拿到东西半个月之内想退就能退。"
    assert asyncio.run(checked(f"{claim} [1]", [passage(SOURCE)])).failed == "overlap"
    assert outcome(claim, Judge(FakeChat({claim: SURE}))) == (None, True)
    assert outcome(claim, Judge(FakeChat({claim: NOT}))) == ("overlap", False)


@pytest.mark.parametrize(
    ("claim", "reason"), [("签收之日起 30 天内可以无理由退货。", "number"), ("PS-600 可以无理由退货。", "code")]
)
def test_numbers_and_codes_are_not(claim: str, reason: str) -> None:
    chat = FakeChat({claim: SURE})
    assert outcome(claim, Judge(chat)) == (reason, False)
    assert not chat.asked


def test_a_judge_that_fails_is_as_none(caplog: pytest.LogCaptureFixture) -> None:
    class Down(FakeChat):
        async def stream(
            self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
        ) -> AsyncGenerator[Event, None]:
            raise ConnectFailed(provider="fake", model="m", url="http://x", detail="down")
            yield

    assert outcome("退货的运费由买家承担。", Judge(Down({}))) == (None, True)
    assert outcome("退货的运费由买家承担。", Judge(FakeChat({}))) == (None, True), (
        "it answers without log probabilities"
    )
    assert caplog.text.count("not judged") == 2
    found = asyncio.run(checked("退货的运费由买家承担。 [1]", [passage(SOURCE)], judge=Judge(Down({}))))
    assert found.unjudged == "connect_failed"
    with pytest.raises(InvalidResponse):
        asyncio.run(Judge(FakeChat({})).says(SOURCE, "x"))


def test_without_log_probabilities_there_is_no_judge() -> None:
    with pytest.raises(Unsupported, match="logprobs"):
        Judge(FakeChat({}, logprobs=False))


def test_of_a_long_source_what_has_most_to_do_with_the_claim_is_shown() -> None:
    other = "仓库每天早上八点开门，周末休息，节假日另行通知。" * 12
    text = f"{other}签收之日起 15 天内可以无理由退货。{other}运费由买家承担。{other}"
    found = shown(text, "运费由买家承担，15 天内可以无理由退货。")
    assert "15 天内可以无理由退货" in found
    assert "运费由买家承担" in found
    assert found.index("退货") < found.index("买家"), "in their order"
    assert len(found) <= 800
    assert shown(SOURCE, "x") == SOURCE


def test_a_service_judges(tmp_path: Path) -> None:
    """Through a real server of OpenAI's form; what it may not know is not sent."""
    with llama_server() as url:
        home = {"TOUCHSTONE_HOME": str(tmp_path), "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}
        model = open_model("chat", "openai:smollm2", load_settings(tmp_path, home))
        try:
            assert run(Judge(model).says(ENGLISH, "Every kettle is checked.")) in (True, False)
        finally:
            run(model.aclose())
    chat = FakeChat({"": SURE})
    asyncio.run(Judge(chat).says(SOURCE, "x"))
    assert not chat.options.extra


def test_a_real_model_answers(tmp_path: Path) -> None:
    """SmolLM2 is no judge, but its answer is one: of a real engine, through the real interface."""
    model = open_model("chat", "embedded:smollm2", load_settings(tmp_path, {"TOUCHSTONE_HOME": str(tmp_path)}))
    try:
        judge = Judge(model)
        assert run(judge.says(ENGLISH, "Every kettle is checked.")) in (True, False)
    finally:
        run(model.aclose())


def test_what_is_listed_can_be_read() -> None:
    """The readings that ship: limits for both languages, in order, and as many words as were weighed."""
    for reading in judge_module._readings().values():
        assert reading.refused.keys() == reading.accepted.keys() == {"zh", "en"}
        assert all(reading.refused[language] < reading.accepted[language] for language in ("zh", "en"))
        assert len(reading.weights) == 590 < reading.top
        assert {"Yes", "No"} < reading.weights.keys()


RIGHT = [
    (ENGLISH, "Kettles are checked by the depot."),
    (ENGLISH, "Only after the depot has checked a kettle does the workshop repair it."),
    ("何经理请小刘把合同交给周律师，周律师当天就签了字。", "小刘受何经理之托，把合同送到了周律师手里。"),
    ("何经理请小刘把合同交给周律师，周律师当天就签了字。", "合同当天由周律师签了字。"),
]
WRONG = [
    (ENGLISH, "The workshop checks every kettle before the depot repairs it."),
    (ENGLISH, "The depot repairs kettles before the workshop checks them."),
    ("何经理请小刘把合同交给周律师，周律师当天就签了字。", "周律师请小刘把合同交给何经理。"),
    ("何经理请小刘把合同交给周律师，周律师当天就签了字。", "小刘当天就在合同上签了字。"),
]


@pytest.mark.skipif("qwen" not in embedded.installed(embedded.CHAT), reason="embedded:qwen is not installed")
def test_qwen_tells_who_did_what(tmp_path: Path) -> None:
    model = open_model("chat", "embedded:qwen", load_settings(tmp_path, {"TOUCHSTONE_HOME": str(tmp_path)}))
    try:
        judge = Judge(model)
        right = [run(judge.odds(source, claim)) for source, claim in RIGHT]
        wrong = [run(judge.odds(source, claim)) for source, claim in WRONG]
    finally:
        run(model.aclose())
    assert sum(r > w for r in right for w in wrong) >= 14, (right, wrong)
