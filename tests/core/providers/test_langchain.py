"""The bridge both ways: agents, graphs and structured output over our models, LangChain's models as ours."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import base
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from core.contracts import ChatModel
from core.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ContextTooLong,
    MissingPackage,
    RateLimited,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
    UnknownName,
    Unsupported,
)
from core.providers.complete import complete
from core.providers.langchain import LangChainChat, capabilities_of
from core.providers.langchain_bridge import ChatTouchstone, TouchstoneEmbeddings
from core.providers.langchain_messages import ours, theirs
from core.providers.registry import open_model
from core.providers.sync import run, sync
from core.settings import Settings, load_settings
from core.telemetry.ledger import Ledger, Recorded
from core.types import Deadlines, Done, Image, Message, Options, Text, TextDelta, Tool, ToolCall, ToolCallDelta, user
from core.workspace import Workspace
from tests.contracts.subjects import SMOLLM2_ON_A_SERVER, bare_at, gguf, named
from tests.core.providers.tiny_transformers import write_text_model
from tests.servers.llama import llama_server

AGENT = """
capabilities: {tools: true, schema: true, usage: true}
rules:
  - {last_role: tool, match: 'refund', times: 1, tool_calls: [{name: refund, arguments: {number: '12', days: 7}}]}
  - {last_role: tool, reply: 'Done: {tool_result}'}
  - {match: 'order 12', tool_calls: [{name: look_up, arguments: {number: '12'}}]}
  - {match: 'as data', json: {city: Oslo, days: 3}}
  - {match: 'slowly', reply: 'one two three four five six', chunk: 4, delay_s: 0.1}
  - {reply: 'one two three four five six', chunk: 4}
"""


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


called: list[tuple[str, Any]] = []


@tool
def look_up(number: str) -> str:
    """Look up an order by its number."""
    called.append(("look_up", number))
    return "It was delivered."


@tool
def refund(number: str, days: int) -> str:
    """Refund an order."""
    called.append(("refund", (number, days)))
    return f"Order {number} is refunded within {days} days."


@pytest.fixture
def scripted(tmp_path: Path) -> ChatModel:
    (tmp_path / "agent.yaml").write_text(AGENT)
    model: ChatModel = open_model("chat", "scripted:agent.yaml", load_settings(tmp_path, {}))
    return model


@pytest.fixture
def chat(scripted: ChatModel) -> ChatTouchstone:
    called.clear()
    return ChatTouchstone(model=scripted.name, chat=scripted)


@pytest.fixture(scope="module", params=["gguf", "openai", "transformers"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatTouchstone]:
    """SmolLM2 in this process by llama.cpp and behind llama.cpp's own server; by torch a tiny model with random weights,
    for that engine brings JSON to its end whatever the model."""
    if request.param != "openai":
        tiny = request.param == "transformers" and write_text_model(tmp_path_factory.mktemp("tiny"))
        model = named(f"transformers:{tiny}") if tiny else gguf(None)
        yield ChatTouchstone(model=model.name, chat=model, temperature=0, seed=1, max_tokens=60)
        run(model.aclose())
    else:
        with llama_server() as url:
            assert not SMOLLM2_ON_A_SERVER.tools
            model = bare_at(url)
            yield ChatTouchstone(model=model.name, chat=model, temperature=0, seed=1, max_tokens=60)


# --- our models in LangChain ------------------------------------------------------------------


def test_an_agent_calls_two_tools_and_answers(chat: ChatTouchstone) -> None:
    agent = create_agent(chat, [look_up, refund], system_prompt="You serve a shop.")
    found = agent.invoke({"messages": [("user", "Where is order 12? I want a refund.")]})["messages"]
    assert called == [("look_up", "12"), ("refund", ("12", 7))] or called == [("look_up", "12")]
    assert [message.type for message in found][:3] == ["human", "ai", "tool"]
    assert found[-1].text.startswith("Done: ")
    assert found[1].usage_metadata["total_tokens"] > 0


def test_a_small_model_calls_each_of_two_tools_with_arguments_of_their_form(small: ChatTouchstone) -> None:
    """By schema, because SmolLM2's template has no tools: the form is certain, the choice is left to the test."""
    for name, wanted in (("look_up", {"number"}), ("refund", {"number", "days"})):
        message = small.bind_tools([look_up, refund], tool_choice=name).invoke("Please see to order 12, 3 days.")
        (call,) = message.tool_calls
        assert call["name"] == name
        assert set(call["args"]) <= wanted
    any_tool = small.bind_tools([look_up, refund], tool_choice="any").invoke("Where is order 12?")
    assert any_tool.tool_calls[0]["name"] in ("look_up", "refund")


def test_an_agent_over_a_small_model_comes_to_an_end(small: ChatTouchstone) -> None:
    """It calls one of two tools, whose result is the answer, or answers by itself."""
    called.clear()
    tools = [each.model_copy(update={"return_direct": True}) for each in (look_up, refund)]
    agent = create_agent(small.model_copy(update={"max_tokens": 24}), tools)
    found = agent.invoke({"messages": [("user", "Look up order 12.")]}, {"recursion_limit": 10})["messages"]
    if called:
        assert found[-1].type == "tool"
        assert found[-1].name in ("look_up", "refund")
    else:
        assert found[-1].type == "ai"
        assert found[-1].text or small.model_name.startswith("transformers:"), "random weights may say nothing"


def test_a_small_model_answers_under_a_schema(small: ChatTouchstone) -> None:
    found = small.with_structured_output(Trip).invoke("Three days in Oslo. Answer as JSON.")
    assert isinstance(found, Trip)


def test_structured_output_in_every_way(chat: ChatTouchstone) -> None:
    assert chat.with_structured_output(Trip).invoke("as data") == Trip(city="Oslo", days=3)
    assert chat.with_structured_output(Trip.model_json_schema()).invoke("as data") == {"city": "Oslo", "days": 3}
    both = chat.with_structured_output(Trip, include_raw=True).invoke("as data")
    assert both["parsed"] == Trip(city="Oslo", days=3)
    assert isinstance(both["raw"], AIMessage)
    assert both["parsing_error"] is None
    cut = ChatTouchstone(model=chat.model_name, chat=chat.chat, max_tokens=2)
    broken = cut.with_structured_output(Trip, include_raw=True).invoke("as data")
    assert broken["parsed"] is None
    assert broken["parsing_error"] is not None
    with pytest.raises(ValueError, match="json_schema"):
        chat.with_structured_output(Trip, method="by magic")


def test_a_graph_streams_our_tokens(chat: ChatTouchstone) -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    async def answer_async(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat.ainvoke(state["messages"])]}

    for node in (answer, answer_async):
        builder = StateGraph(MessagesState)
        builder.add_node("answer", node)  # type: ignore[call-overload]
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        graph = builder.compile()
        asked: Any = {"messages": [HumanMessage("count")]}

        async def pieces(graph: Any = graph, asked: Any = asked) -> list[str]:
            return [chunk.text async for chunk, _ in graph.astream(asked, stream_mode="messages") if chunk.text]

        if node is answer:
            found = [c.text for c, _ in graph.stream(asked, stream_mode="messages") if c.text]
        else:
            found = asyncio.run(pieces())
        assert len(found) > 3, "tokens, not one message"
        assert "".join(found) == "one two three four five six"


def test_usage_is_on_the_last_chunk_only_and_is_counted_by_langchain(chat: ChatTouchstone) -> None:
    chunks = list(chat.stream("count"))
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].chunk_position == "last"
    handler = UsageMetadataCallbackHandler()
    chat.invoke("count", config={"callbacks": [handler]})
    (counted,) = handler.usage_metadata.values()
    assert counted["output_tokens"] > 0


def test_the_name_of_the_model_is_there_for_tracing(chat: ChatTouchstone) -> None:
    assert chat._identifying_params["model_name"] == chat.model_name
    params = chat._get_ls_params(stop=["x"])
    assert (params["ls_provider"], params["ls_model_name"]) == ("scripted", "scripted:agent.yaml")
    assert params["ls_stop"] == ["x"]


def test_leaving_a_stream_cancels_the_work(scripted: ChatModel, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "home")
    ledger = Ledger(workspace)
    chat = ChatTouchstone(model=scripted.name, chat=Recorded(scripted, ledger))
    for _ in chat.stream("slowly"):
        break
    assert [row["error"] for row in ledger.recent()] == ["cancelled"]
    ledger.close()
    workspace.close()


def test_a_model_is_opened_by_its_name_with_the_settings_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    chat = ChatTouchstone(model="scripted:agent.yaml", max_retries=0)
    assert chat.invoke("count").text == "one two three four five six"
    (tmp_path / "other.yaml").write_text("- reply: another")
    assert chat.invoke("count", model="scripted:other.yaml").text == "another"
    vectors = TouchstoneEmbeddings("scripted:hash")
    assert len(vectors.embed_query("a")) == len(vectors.embed_documents(["a", "b"])[1])


def test_errors_keep_their_type(chat: ChatTouchstone, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("- fault: {kind: context_too_long}")
    bad = open_model("chat", "scripted:bad.yaml", load_settings(tmp_path, {}))
    broken = ChatTouchstone(model=bad.name, chat=bad)
    with pytest.raises(ContextTooLong):
        broken.invoke("x")
    with pytest.raises(ContextTooLong):
        list(broken.stream("x"))


# --- messages ---------------------------------------------------------------------------------

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "data": PNG, "media_type": "image/png"}},
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
    ],
)
def test_images_in_every_form(block: dict[str, Any]) -> None:
    message = ours(HumanMessage([{"type": "text", "text": "Look"}, block]), "test:m")
    assert message.content == (Text("Look"), Image(data=b"\x89PNG\r\n\x1a\n"))
    assert ours(theirs(message), "test:m") == message


@pytest.mark.parametrize(
    "message",
    [
        Message("system", "Be brief."),
        user("退货？"),
        user((Text("a"), Image(url="https://example.org/a.png"))),
        Message("assistant", "Hm.", (ToolCall("1", "f", '{"a": "退"}'),), reasoning="因为"),
        Message("assistant", "", (ToolCall("1", "f", "{broken"),)),
        Message("tool", "42", tool_call_id="1"),
    ],
)
def test_messages_there_and_back(message: Message) -> None:
    assert ours(theirs(message), "test:m") == message


def test_messages_of_other_makers() -> None:
    blocks: list[Any] = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    ]
    calls: list[Any] = [{"name": "f", "args": {"a": 1}, "id": "t1", "type": "tool_call"}]
    assert ours(AIMessage(blocks, tool_calls=calls), "test:m") == Message(
        "assistant", "I look.", (ToolCall("t1", "f", '{"a": 1}'),), reasoning="Hm."
    )
    assert ours(ChatMessage("x", role="developer"), "test:m").role == "system"
    assert ours(SystemMessage("x"), "test:m").role == "system"
    assert ours(ToolMessage([{"type": "text", "text": "x"}], tool_call_id="1"), "test:m").content == "x"
    for odd in (HumanMessage([{"type": "audio", "base64": "AA=="}]), ChatMessage("x", role="jester")):
        with pytest.raises(Unsupported):
            ours(odd, "test:m")


# --- LangChain's models as ours ---------------------------------------------------------------


class ChatAnthropicLike(BaseChatModel):
    """Speaks as Anthropic's integration does: blocks of thinking, text and tool use, stop reasons of its own."""

    model: str = "claude-test"
    api_key: Any = None
    fails: Any = None
    waits_s: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "anthropic-like"

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        return self.bind(tools=tools, tool_choice=tool_choice, **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        chunks = list(self._pieces(messages, kwargs))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk  # type: ignore[assignment]
        message = AIMessage(
            **{
                k: v
                for k, v in whole.model_dump().items()
                if k in ("content", "tool_calls", "usage_metadata", "response_metadata")
            }
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._pieces(messages, kwargs):
            await asyncio.sleep(self.waits_s)
            yield ChatGenerationChunk(message=chunk)

    def said(self, asked: str) -> str:
        return "Returns take 15 days. [1]"

    def _pieces(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> Iterator[AIMessageChunk]:
        asked = "\n".join(message.text for message in messages)
        if self.fails and not getattr(self.fails, "late", False):
            raise self.fails
        yield AIMessageChunk([{"type": "thinking", "thinking": "Let me see.", "index": 0}])
        if kwargs.get("tools"):
            head: Any = {"name": kwargs["tools"][0]["function"]["name"], "args": "", "id": "toolu_1", "index": 1}
            yield AIMessageChunk(content=[], tool_call_chunks=[{**head, "type": "tool_call_chunk"}])
            piece: Any = {"name": None, "args": '{"number": "12"}', "id": None, "index": 1, "type": "tool_call_chunk"}
            yield AIMessageChunk(content=[], tool_call_chunks=[piece])
            reason = "tool_use"
        else:
            for piece in re.findall(r".{1,13}", self.said(asked), re.S):
                yield AIMessageChunk([{"type": "text", "text": piece, "index": 1}])
                if self.fails:
                    raise self.fails
            reason = "end_turn"
        usage: Any = {
            "input_tokens": 9,
            "output_tokens": 5,
            "total_tokens": 14,
            "input_token_details": {"cache_read": 4},
        }
        yield AIMessageChunk(
            content=[], usage_metadata=usage, response_metadata={"stop_reason": reason, "model_name": "claude-test-1"}
        )


def test_blocks_reasons_and_usage_become_ours() -> None:
    model = LangChainChat(ChatAnthropicLike())
    assert model.name == "langchain:claude-test"
    for stream in (True, False):
        done = run(complete(model, "How long?", Options(stream=stream)), 30)
        assert done.text == "Returns take 15 days. [1]"
        assert done.reasoning == "Let me see."
        assert (done.finish_reason, done.model, done.provider) == ("stop", "claude-test-1", "langchain")
        assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.cached_tokens) == (9, 5, 4)


def test_it_streams_and_calls_tools() -> None:
    model = LangChainChat(ChatAnthropicLike())
    pieces = [e.text for e in sync(model).stream("How long?") if isinstance(e, TextDelta)]
    assert pieces == ["Returns take ", "15 days. [1]"]
    offered = Tool("look_up", "Looks up.", {"type": "object", "properties": {"number": {"type": "string"}}})
    events = list(sync(model).stream("Order 12?", Options(tools=(offered,))))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.completion.finish_reason == "tool_calls"
    assert done.completion.tool_calls == (ToolCall("toolu_1", "look_up", '{"number": "12"}'),)
    deltas = [e for e in events if isinstance(e, ToolCallDelta)]
    assert [(d.index, d.id, d.name, d.arguments) for d in deltas] == [
        (0, "toolu_1", "look_up", ""),
        (0, None, None, '{"number": "12"}'),
    ]


class Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status_code = status
        self.body = {"error": {"message": words}}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Refused(401, "invalid x-api-key"), AuthenticationFailed),
        (Refused(429, "slow down"), RateLimited),
        (Refused(529, "overloaded"), ServerFailed),
        (Refused(400, "prompt is too long: 300000 tokens > 200000 maximum"), ContextTooLong),
        (ConnectionRefusedError("no"), ConnectFailed),
        (NotImplementedError("tools"), Unsupported),
        (KeyError("oops"), ServerFailed),
    ],
)
def test_its_exceptions_become_ours(raised: Exception, expected: type[Exception]) -> None:
    for stream in (True, False):
        with pytest.raises(expected):
            list(sync(LangChainChat(ChatAnthropicLike(fails=raised))).stream("x", Options(stream=stream)))


def test_a_slow_model_is_held_to_the_deadlines() -> None:
    model = LangChainChat(ChatAnthropicLike(waits_s=5.0))
    limits = Deadlines(first_token_s=0.2, idle_s=0.2, total_s=9)
    with pytest.raises(TimedOut):
        list(sync(model).stream("x", Options(deadlines=limits)))
    late = LangChainChat(ChatAnthropicLike(waits_s=0.3))
    limits = Deadlines(first_token_s=5, idle_s=0.1, total_s=9)
    with pytest.raises((StreamInterrupted, TimedOut)):
        list(sync(late).stream("x", Options(deadlines=limits)))


def test_a_plain_fake_has_no_tools_and_says_so() -> None:
    model = LangChainChat(FakeListChatModel(responses=["Hello there."]))
    assert not model.capabilities.tools
    assert not model.capabilities.schema
    assert sync(model).complete("x").text == "Hello there."
    assert sync(model).complete("x").usage.input_tokens is None
    with pytest.raises(Unsupported):
        sync(model).complete("x", Options(tools=(Tool("f", "", {"type": "object"}),)))


def test_capabilities_come_from_the_profile_where_there_is_one() -> None:
    able = capabilities_of(
        ChatAnthropicLike(profile={"image_inputs": True, "tool_calling": False, "max_input_tokens": 7})
    )  # type: ignore[typeddict-item]
    assert able.images
    assert not able.tools
    assert able.context_tokens == 7


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package ``langchain_anthropic`` with the class that ``init_chat_model`` looks for there."""
    package = types.ModuleType("langchain_anthropic")
    package.ChatAnthropic = ChatAnthropicLike  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain_anthropic", package)
    base._get_chat_model_creator.cache_clear()  # it may hold the class of another test


@pytest.mark.usefixtures("anthropic")
def test_a_model_by_name_takes_the_key_of_our_settings(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"ANTHROPIC_API_KEY": "sk-ant-1"})
    model = open_model("chat", "langchain:anthropic:claude-test", settings)
    assert model.name == "langchain:anthropic:claude-test"
    assert model.langchain.api_key == "sk-ant-1"
    assert sync(model).complete("How long?").text.startswith("Returns")


def test_names_that_lead_nowhere_say_what_to_do(settings: Settings) -> None:
    with pytest.raises(MissingPackage) as caught:
        open_model("chat", "langchain:mistralai:mistral-small", settings)
    assert caught.value.params["install"] == "pip install langchain-mistralai"
    for name in ("langchain:claude", "langchain:nobody:m"):
        with pytest.raises((UnknownName, ConfigurationError)):
            open_model("chat", name, settings)
    with pytest.raises((UnknownName, ConfigurationError, MissingPackage)):
        open_model("embedding", "langchain:nobody:m", settings)


def test_a_schema_is_kept_or_what_came_is_shown(scripted: ChatModel) -> None:
    model = LangChainChat(ChatTouchstone(model=scripted.name, chat=scripted))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert json.loads(sync(model).complete("as data", Options(schema=schema)).text)["city"] == "Oslo"
