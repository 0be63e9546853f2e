"""Our models for LangChain and LangGraph: ``ChatTouchstone`` and ``TouchstoneEmbeddings``.

>>> from core.providers.langchain_bridge import ChatTouchstone               # doctest: +SKIP
>>> from langchain.agents import create_agent                                # doctest: +SKIP
>>> agent = create_agent(ChatTouchstone(model="gguf:/path/model.gguf"), [look_up_order])   # doctest: +SKIP

A retriever for LangChain is built over our index where indexes are (``core.retrieval``), not here.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from operator import itemgetter
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict, Field, PrivateAttr

from core.contracts import ChatModel, EmbeddingModel
from core.providers.complete import complete
from core.providers.langchain_messages import metadata_of, our_tool, ours, parsed_calls, their_usage
from core.providers.sync import iterate, run
from core.providers.tools_by_schema import with_tools
from core.types import Completion, Deadlines, Done, Event, Message, Options, ReasoningDelta, TextDelta, ToolCallDelta

_METHODS = ("json_schema", "function_calling", "json_mode")
_ANY_JSON: Mapping[str, Any] = {"type": "object"}


class ChatTouchstone(BaseChatModel):
    """Any of our chat models as a chat model of LangChain.

    ``model`` is a name, opened with the settings of the working folder at its first use; ``chat`` gives an opened
    model instead, such as ``runtime.chat()``, whose calls are in the ledger. Tools are called by schema where the
    model has no tools of its own and can keep to a schema.
    """

    model_name: str = Field(alias="model")
    chat: Any = Field(default=None, exclude=True, repr=False)
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    timeout: float | None = None  # seconds for a whole call
    max_retries: int | None = None
    streaming: bool = False

    model_config = ConfigDict(populate_by_name=True)
    _opened: dict[str, ChatModel] = PrivateAttr(default_factory=dict)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "touchstone"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        asked = ("temperature", "top_p", "max_tokens", "seed", "stop")
        given = {name: value for name in asked if (value := getattr(self, name)) is not None}
        return {"model_name": self.model_name, **given}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        found = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        found["ls_provider"] = found.get("ls_model_name", self.model_name).partition(":")[0]
        return found

    def touchstone(self, model: str | None = None) -> ChatModel:
        """The model that answers, opened at the first call."""
        name = model or self.model_name
        with self._lock:
            if name not in self._opened:
                given = self.chat if name == self.model_name else None
                self._opened[name] = with_tools(given or self._open(name))
            return self._opened[name]

    def _open(self, name: str) -> ChatModel:
        from core.providers.registry import open_model
        from core.settings import load_settings

        settings = load_settings()
        if self.max_retries is not None:
            settings = settings.with_values(TOUCHSTONE_ATTEMPTS=str(min(self.max_retries, 9) + 1))
        model: ChatModel = open_model("chat", name, settings)
        return model

    # --- answering

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, asked, options = self._request(messages, stop, kwargs)
        return _result(run(complete(model, asked, options)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, asked, options = self._request(messages, stop, kwargs)
        return _result(await complete(model, asked, options))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        model, asked, options = self._request(messages, stop, kwargs)
        fold = _Chunks()
        for event in iterate(model.stream(asked, options)):
            for chunk in fold.chunks(event):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model, asked, options = self._request(messages, stop, kwargs)
        fold = _Chunks()
        async with aclosing(model.stream(asked, options)) as events:
            async for event in events:
                for chunk in fold.chunks(event):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[ChatModel, Sequence[Message], Options]:
        """The model asked, our messages and our options. A keyword we do not know goes to the engine as it is."""
        given = {**kwargs}
        model = self.touchstone(given.pop("model", None))
        named = ("temperature", "top_p", "max_tokens", "seed")
        chosen = {name: given.pop(name, getattr(self, name)) for name in named}
        tools = tuple(our_tool(tool) for tool in given.pop("tools", None) or ())
        options = Options(
            **chosen,
            stop=tuple(stop if stop is not None else self.stop or ()),
            tools=tools,
            tool_choice=given.pop("tool_choice", None),
            schema=given.pop("schema", None),
            top_logprobs=given.pop("top_logprobs", 0 if given.pop("logprobs", False) else None),
            deadlines=given.pop("deadlines", None),
            extra=given,
        )
        if self.timeout is not None and options.deadlines is None:
            options = replace(options, deadlines=Deadlines(min(5.0, self.timeout), *(self.timeout,) * 3))
        return model, [ours(message, model.name) for message in messages], options

    # --- tools and structured output

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | bool | Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer ``tools``. ``tool_choice``: ``any`` (or ``True``), ``auto``, ``none``, a tool's name."""
        kwargs.pop("strict", None)  # a model that keeps to a schema always does
        choice = tool_choice
        if isinstance(choice, Mapping):
            choice = choice["function"]["name"]
        if choice is True or choice == "any":
            choice = "required"
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=offered, **({"tool_choice": choice} if choice else {}), **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers as ``schema``: a model of pydantic, a TypedDict or a JSON schema.

        ``method``: ``json_schema`` (the default where the model can keep to one), ``function_calling``, ``json_mode``.
        """
        if method is None:
            method = "json_schema" if self.touchstone().capabilities.schema else "function_calling"
        if method not in _METHODS:
            raise ValueError(f"method is {method!r}; allowed: {', '.join(_METHODS)}")
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        wanted = convert_to_json_schema(schema)
        told = {"kwargs": {"method": method}, "schema": wanted}
        form = schema if isinstance(schema, dict) and "properties" in schema else wanted
        bound = self.bind(
            schema=form if method == "json_schema" else _ANY_JSON, ls_structured_output_format=told, **kwargs
        )
        parser: Any = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _result(done: Completion) -> ChatResult:
    calls, broken = parsed_calls(done.tool_calls)
    message = AIMessage(
        done.text,
        tool_calls=calls,
        invalid_tool_calls=broken,
        additional_kwargs={"reasoning_content": done.reasoning} if done.reasoning else {},
        usage_metadata=their_usage(done.usage),
        response_metadata=metadata_of(done),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


class _Chunks:
    """Turns events into chunks; usage and metadata come with the last one."""

    def __init__(self) -> None:
        self._shown = False

    def chunks(self, event: Event) -> Iterator[ChatGenerationChunk]:
        if isinstance(event, TextDelta):
            self._shown = True
            yield _chunk(content=event.text)
        elif isinstance(event, ReasoningDelta):
            self._shown = True
            yield _chunk(content="", additional_kwargs={"reasoning_content": event.text})
        elif isinstance(event, ToolCallDelta):
            self._shown = True
            piece = tool_call_chunk(name=event.name, args=event.arguments, id=event.id, index=event.index)
            yield _chunk(content="", tool_call_chunks=[piece])
        elif isinstance(event, Done):
            done = event.completion
            if not self._shown:  # an engine that answers in one piece
                pieces = [
                    tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=index)
                    for index, call in enumerate(done.tool_calls)
                ]
                thoughts = {"reasoning_content": done.reasoning} if done.reasoning else {}
                yield _chunk(content=done.text, tool_call_chunks=pieces, additional_kwargs=thoughts)
            yield _chunk(
                content="",
                usage_metadata=their_usage(done.usage),
                response_metadata=metadata_of(done),
                chunk_position="last",
            )


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


class TouchstoneEmbeddings(Embeddings):
    """Any of our embedding models for LangChain. ``embedding`` gives an opened model in place of the name's."""

    def __init__(self, model: str, *, embedding: EmbeddingModel | None = None) -> None:
        self.model = model
        self._opened = embedding
        self._lock = threading.Lock()

    def touchstone(self) -> EmbeddingModel:
        """The model, opened at the first call."""
        with self._lock:
            if self._opened is None:
                from core.providers.registry import open_model
                from core.settings import load_settings

                self._opened = open_model("embedding", self.model, load_settings())
            return self._opened

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return run(self.aembed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        return run(self.aembed_query(text))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return (await self.touchstone().embed(texts, kind="document")).tolist()

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.touchstone().embed([text], kind="query"))[0].tolist()
