"""The contract of ``core.contracts.ChatModel``, rule by rule.

Every engine, every wrapper and stacks of wrappers pass all rules: ``tests/contracts/test_chat_models.py`` runs
them over its table of subjects, and a new provider is one line in that table. A rule that needs a capability
runs where the model's ``capabilities`` claim it; where they do not, the model must refuse with ``Unsupported``.

What a model says is its own affair, so most rules hold for any text. Subjects that ``echo`` (answer
``Echo: TEXT`` with TEXT) are held to the exact text as well.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from core.contracts import ChatModel
from core.errors import ContextTooLong, Unsupported
from core.types import (
    Completion,
    Done,
    Event,
    Image,
    Message,
    Options,
    ReasoningDelta,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    assistant,
    system,
    user,
)


@dataclass(frozen=True)
class Subject:
    """What is held to the contract. ``open`` gets the value of the fixture ``given``: the URL of a server, a ledger."""

    name: str
    open: Callable[[Any], ChatModel]
    given: str | None = None
    echoes: bool = False
    forgets: bool = False  # has a context that can be overrun


@dataclass(frozen=True)
class Rule:
    name: str
    check: Callable[[ChatModel, Subject], Awaitable[None]]
    needs: str | None = None  # a capability
    echoing: bool = False
    forgetting: bool = False

    def applies_to(self, model: ChatModel, subject: Subject) -> bool:
        able = self.needs is None or getattr(model.capabilities, self.needs)
        return able and (subject.echoes or not self.echoing) and (subject.forgets or not self.forgetting)


RULES: list[Rule] = []
Check = Callable[[ChatModel, Subject], Awaitable[None]]


def rule(*, needs: str | None = None, echoing: bool = False, forgetting: bool = False) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        RULES.append(Rule(check.__name__, check, needs, echoing, forgetting))
        return check

    return add


# --- asking -----------------------------------------------------------------------------------

SHORT = Options(max_tokens=6, temperature=0.0, seed=1)
HELLO = (user("Echo: Hello to you all."),)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
YES_NO: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
LOOK = Tool(
    "look_up_order",
    "Look up an order by its number.",
    {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
)


async def events_of(model: ChatModel, messages: Sequence[Message], options: Options = SHORT) -> list[Event]:
    async with aclosing(model.stream(messages, options)) as stream:
        return [event async for event in stream]


async def answer_of(model: ChatModel, messages: Sequence[Message], options: Options = SHORT) -> Completion:
    return finished(await events_of(model, messages, options))


def finished(events: Sequence[Event]) -> Completion:
    """The completion; there is exactly one, it comes last, and the deltas before it add up to it."""
    done = [event for event in events if isinstance(event, Done)]
    assert len(done) == 1
    assert events[-1] is done[0]
    completion = done[0].completion
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    thoughts = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
    pieces = [e for e in events if isinstance(e, ToolCallDelta)]
    if len(events) > 1:
        assert text == completion.text
        assert thoughts == (completion.reasoning or "")
        for index, call in enumerate(completion.tool_calls):
            own = [p for p in pieces if p.index == index]
            assert (own[0].id, own[0].name) == (call.id, call.name)
            assert "".join(p.arguments for p in own) == call.arguments
    return completion


def echo(text: str) -> tuple[Message, ...]:
    return (user(f"Echo: {text}"),)


# --- what comes -------------------------------------------------------------------------------


@rule()
async def a_stream_is_deltas_and_one_done(model: ChatModel, subject: Subject) -> None:
    events = await events_of(model, HELLO)
    completion = finished(events)
    assert completion.text or completion.reasoning
    assert len(events) > 1
    assert all(e.text for e in events if isinstance(e, TextDelta | ReasoningDelta)), "an empty delta says nothing"
    assert f"{completion.provider}:" == model.name.partition(":")[0] + ":"
    assert completion.model
    assert completion.finish_reason in ("stop", "length")


@rule()
async def one_piece_is_one_done(model: ChatModel, subject: Subject) -> None:
    events = await events_of(model, HELLO, replace(SHORT, stream=False))
    assert [type(e) for e in events] == [Done]
    assert finished(events).text


@rule()
async def a_conversation_is_understood(model: ChatModel, subject: Subject) -> None:
    messages = (system("Be brief."), user("Hi."), assistant("Hello."), *HELLO)
    assert (await answer_of(model, messages)).text


@rule()
async def text_in_parts_is_text(model: ChatModel, subject: Subject) -> None:
    assert (await answer_of(model, (user((Text("Echo: Hello "), Text("to you."))),))).text


@rule()
async def chinese_arrives_in_whole_characters(model: ChatModel, subject: Subject) -> None:
    completion = await answer_of(model, (user("Echo: 您好，请问怎么退货？👍🏽"),), replace(SHORT, max_tokens=12))
    completion.text.encode("utf-8")


@rule(echoing=True)
async def text_arrives_unchanged(model: ChatModel, subject: Subject) -> None:
    for text in ("", "x", "退货期 7 天 👩‍👩‍👧 é\u2028\u0000", 'a "b" \\ {c}\n\n\td\r\n', "长文 long " * 3000):
        for stream in (True, False):
            assert (await answer_of(model, echo(text), Options(stream=stream))).text == text


@rule()
async def timings_are_those_of_the_clock(model: ChatModel, subject: Subject) -> None:
    started = time.perf_counter()
    timings = (await answer_of(model, HELLO)).timings
    passed = time.perf_counter() - started
    assert timings.first_token_s is not None
    assert timings.total_s is not None
    assert 0.0 < timings.first_token_s <= timings.total_s <= passed


# --- options ----------------------------------------------------------------------------------


@rule()
async def max_tokens_cut_the_answer(model: ChatModel, subject: Subject) -> None:
    for stream in (True, False):
        asked = replace(SHORT, max_tokens=2, stream=stream)
        completion = await answer_of(model, echo("one two three four five six seven eight nine ten"), asked)
        assert completion.finish_reason == "length"
        assert len(completion.text) < 40
        if completion.usage.output_tokens is not None:
            assert completion.usage.output_tokens <= 3


@rule()
async def a_stop_text_ends_the_answer_and_is_not_in_it(model: ChatModel, subject: Subject) -> None:
    asked = replace(SHORT, max_tokens=12)
    text = (await answer_of(model, echo("one two three four five"), asked)).text
    middle = len(text) // 2
    stop = next((text[at : at + 2] for at in range(middle, len(text) - 1) if text[at : at + 2].isalnum()), text[-2:])
    for stream in (True, False):
        cut = await answer_of(model, echo("one two three four five"), replace(asked, stop=(stop,), stream=stream))
        assert stop not in cut.text
        assert cut.text.strip() == text.partition(stop)[0].strip()
        assert cut.finish_reason == "stop"


@rule(needs="usage")
async def usage_is_counted(model: ChatModel, subject: Subject) -> None:
    for stream in (True, False):
        usage = (await answer_of(model, HELLO, replace(SHORT, stream=stream))).usage
        assert usage.input_tokens is not None
        assert usage.output_tokens is not None
        assert usage.input_tokens > 0
        assert 0 < usage.output_tokens <= 20


@rule()
async def what_was_not_counted_is_not_zero(model: ChatModel, subject: Subject) -> None:
    usage = (await answer_of(model, HELLO)).usage
    assert usage.output_tokens != 0
    assert usage.input_tokens != 0
    if not model.capabilities.usage:
        assert usage.input_tokens is None


@rule(needs="schema")
async def an_answer_under_a_schema_is_that_json(model: ChatModel, subject: Subject) -> None:
    for stream in (True, False):
        asked = Options(schema=YES_NO, max_tokens=40, temperature=0.0, seed=1, stream=stream)
        completion = await answer_of(model, (user("Is the sky blue? Answer as JSON."),), asked)
        assert json.loads(completion.text)["answer"] in ("yes", "no")
        assert completion.finish_reason == "stop"


@rule(needs="tools")
async def a_required_tool_is_called_and_its_result_used(model: ChatModel, subject: Subject) -> None:
    question = user("Where is my order 1234?")
    for stream in (True, False):
        asked = Options(tools=(LOOK,), tool_choice="required", max_tokens=60, temperature=0.0, stream=stream)
        completion = await answer_of(model, (question,), asked)
        assert completion.finish_reason == "tool_calls"
        call = completion.tool_calls[0]
        assert call.name == LOOK.name
        assert call.id
        assert set(json.loads(call.arguments)) == {"number"}
        turn = Message("assistant", completion.text, completion.tool_calls)
        result = Message("tool", "On its way.", tool_call_id=call.id)
        after = await answer_of(model, (question, turn, result), replace(SHORT, tools=(LOOK,), stream=stream))
        assert after.finish_reason in ("stop", "length")


@rule(needs="tools")
async def a_named_tool_is_called_and_none_is_not(model: ChatModel, subject: Subject) -> None:
    other = replace(LOOK, name="cancel_order")
    asked = Options(tools=(LOOK, other), tool_choice="cancel_order", max_tokens=60, temperature=0.0)
    assert (await answer_of(model, HELLO, asked)).tool_calls[0].name == "cancel_order"
    assert not (await answer_of(model, HELLO, replace(SHORT, tools=(LOOK,), tool_choice="none"))).tool_calls


@rule(needs="images")
async def an_image_is_looked_at(model: ChatModel, subject: Subject) -> None:
    message = user((Text("Echo: What color is this?"), Image(data=PIXEL, media_type="image/png")))
    assert (await answer_of(model, (message,))).text


@rule(needs="logprobs")
async def logprobs_come_with_alternatives(model: ChatModel, subject: Subject) -> None:
    for stream in (True, False):
        completion = await answer_of(model, HELLO, replace(SHORT, top_logprobs=2, stream=stream))
        assert completion.logprobs
        assert "".join(t.token for t in completion.logprobs).strip().startswith(completion.text.strip()[:10])
        for token in completion.logprobs:
            assert token.logprob <= 0.0
            assert 1 <= len(token.top) <= 2


@rule(needs="reasoning", echoing=True)
async def reasoning_is_kept_apart(model: ChatModel, subject: Subject) -> None:
    for stream in (True, False):
        completion = await answer_of(model, (user("Think, then say yes."),), Options(stream=stream))
        assert completion.reasoning == "Hm, 嗯."
        assert completion.text == "Yes."


@rule()
async def what_it_cannot_do_is_refused(model: ChatModel, subject: Subject) -> None:
    """Nothing asked for is silently left out."""
    asked: dict[str, tuple[tuple[Message, ...], Options]] = {
        "tools": (HELLO, replace(SHORT, tools=(LOOK,))),
        "schema": (HELLO, replace(SHORT, schema=YES_NO)),
        "images": ((user((Text("a"), Image(data=PIXEL))),), SHORT),
        "logprobs": (HELLO, replace(SHORT, top_logprobs=2)),
    }
    for feature, (messages, options) in asked.items():
        if not getattr(model.capabilities, feature):
            with pytest.raises(Unsupported) as raised:
                await answer_of(model, messages, options)
            assert raised.value.params["feature"] == feature


@rule(forgetting=True)
async def an_input_beyond_the_context_says_so(model: ChatModel, subject: Subject) -> None:
    with pytest.raises(ContextTooLong):
        await answer_of(model, (user("word " * 40_000),))


# --- leaving and sharing ----------------------------------------------------------------------

LONG = Options(max_tokens=400, temperature=0.0, seed=1)


def story(subject: Subject) -> tuple[Message, ...]:
    """A question whose answer takes a while."""
    told = "Once upon a time there was a shop. " * 60
    return echo(told) if subject.echoes else (user("Write a long story about a shop."),)


@rule()
async def nothing_happens_before_the_first_event_is_asked_for(model: ChatModel, subject: Subject) -> None:
    stream = model.stream(HELLO, SHORT)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@rule(needs="cancel")
async def closing_the_stream_ends_the_work_within_a_second(model: ChatModel, subject: Subject) -> None:
    for _ in range(10):  # more than a local engine has slots
        stream = model.stream(story(subject), LONG)
        async for event in stream:
            if isinstance(event, TextDelta | ReasoningDelta):
                break
        started = time.perf_counter()
        await stream.aclose()
        assert time.perf_counter() - started < 1.0
        await stream.aclose()
    assert (await answer_of(model, HELLO)).text


@rule(needs="cancel")
async def cancelling_the_task_ends_the_work_within_a_second(model: ChatModel, subject: Subject) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for event in model.stream(story(subject), LONG):
            if isinstance(event, TextDelta | ReasoningDelta):
                begun.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), 60)
    started = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - started < 1.0
    assert (await answer_of(model, HELLO)).text


@rule()
async def calls_at_the_same_time_do_not_mix(model: ChatModel, subject: Subject) -> None:
    names = ["alpha", "bravo", "chang", "delta", "echos", "fotos"]
    if subject.echoes:
        answers = await asyncio.gather(*(answer_of(model, echo(f"{n} " * 40), Options()) for n in names))
        assert [a.text for a in answers] == [f"{n} " * 40 for n in names]
    elif model.capabilities.schema:
        asked = [Options(schema={"type": "string", "enum": [n]}, max_tokens=20, temperature=0.0) for n in names]
        answers = await asyncio.gather(*(answer_of(model, HELLO, options) for options in asked))
        assert [json.loads(a.text) for a in answers] == names
    else:
        limits = [2, 4, 6]
        answers = await asyncio.gather(*(answer_of(model, story(subject), replace(LONG, max_tokens=n)) for n in limits))
        assert sorted(len(a.text) for a in answers) == [len(a.text) for a in answers]


@rule()
async def closing_the_model_twice_is_harmless_and_it_opens_again(model: ChatModel, subject: Subject) -> None:
    await model.aclose()
    await model.aclose()
    assert (await answer_of(model, HELLO)).text
