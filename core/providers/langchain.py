"""Any model of LangChain as ours: ``langchain:anthropic:claude-…``, or an instance in ``LangChainChat``.

The name after the engine is one of ``init_chat_model`` (``provider:model``); the provider's own package must be
installed. A key is taken from our settings (``<PROVIDER>_API_KEY``) where it is set there, and otherwise looked for by
LangChain itself. LangChain's models retry by themselves, so nothing here does.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    ConfigurationError,
    ConnectFailed,
    MissingPackage,
    ProviderError,
    ServerFailed,
    TouchstoneError,
    UnknownName,
    Unsupported,
)
from core.i18n import secret_free
from core.providers.deadlines import Clock
from core.providers.langchain_bridge import ChatTouchstone
from core.providers.langchain_messages import finish_reason, our_usage, text_of, their_tool, theirs
from core.providers.refusals import refused
from core.providers.request import refuse_unsupported
from core.settings import Settings
from core.types import (
    Capabilities,
    Completion,
    Deadlines,
    Done,
    EmbeddingKind,
    Event,
    Message,
    Options,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)

if TYPE_CHECKING:
    import numpy as np

_PACKAGE = re.compile(r"pip install -U ([\w.-]+)")
WRAPPED = "answer"
_PASSED_ON = ("temperature", "top_p", "max_tokens", "seed")


def open_chat(model: str, *, engine: str, settings: Settings) -> LangChainChat:
    """Open ``provider:model`` through LangChain's ``init_chat_model``.

    Raises:
        MissingPackage: the provider's package is not installed; says which.
        UnknownName: LangChain knows no such provider.
        ConfigurationError: the model's class refuses its arguments, as for lack of a key.
    """
    from langchain.chat_models import init_chat_model

    opened = _opened(init_chat_model, model, engine, settings)
    return LangChainChat(opened, name=f"{engine}:{model}", deadlines=settings.deadlines)


def open_embedding(model: str, *, engine: str, settings: Settings) -> LangChainEmbedding:
    """Open ``provider:model`` through LangChain's ``init_embeddings``."""
    from langchain.embeddings import init_embeddings

    return LangChainEmbedding(_opened(init_embeddings, model, engine, settings), name=f"{engine}:{model}")


def _opened(init: Callable[..., Any], model: str, engine: str, settings: Settings) -> Any:
    name, (provider, colon, _) = f"{engine}:{model}", model.partition(":")
    if not colon:
        raise UnknownName(kind="model", value=name, allowed=f"{engine}:PROVIDER:MODEL")
    key = settings.get(f"{provider.upper()}_API_KEY")
    try:
        return init(model, **({"api_key": str(key)} if key else {}))
    except ImportError as error:
        found = _PACKAGE.search(str(error))
        package = found[1] if found else error.name or f"langchain-{provider}"
        raise MissingPackage(package=package, needed_for=name, install=f"pip install {package}") from error
    except ValueError as error:
        if "nsupported" in str(error) or "nknown provider" in str(error):
            raise UnknownName(kind="engine", value=name, allowed=secret_free(str(error))) from error
        raise ConfigurationError(detail=secret_free(f"{name}: {error}")) from error
    except Exception as error:  # whatever a provider's class raises when it is constructed
        raise ConfigurationError(detail=secret_free(f"{name}: {type(error).__name__}: {error}")) from error


def capabilities_of(model: BaseChatModel) -> Capabilities:
    """What ``model`` says of itself: by its profile where it has one, else by what its class implements.

    Images are claimed by a profile only. ``logprobs`` have no common form in LangChain.
    """
    if isinstance(model, ChatTouchstone):
        return model.touchstone().capabilities
    profile: Any = getattr(model, "profile", None) or {}
    tools = type(model).bind_tools is not BaseChatModel.bind_tools
    schema = tools or type(model).with_structured_output is not BaseChatModel.with_structured_output
    return Capabilities(
        tools=tools and profile.get("tool_calling", True),
        schema=schema,
        images=bool(profile.get("image_inputs", False)),
        usage=bool(profile),
        reasoning=bool(profile.get("reasoning_output", True)),
        context_tokens=profile.get("max_input_tokens"),
    )


class LangChainChat:
    """A chat model of LangChain as one of ours.

    Args:
        name: ``engine:model``; by default ``langchain:`` and what the model calls itself.
        capabilities: in place of what ``capabilities_of`` finds.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str | None = None,
        capabilities: Capabilities | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        own = model._get_ls_params().get("ls_model_name") or model._llm_type
        self.name = name or f"langchain:{own}"
        self.capabilities = capabilities or capabilities_of(model)
        self.langchain = model
        self._deadlines = deadlines or Deadlines()

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        provider, _, model = self.name.partition(":")
        refuse_unsupported(messages, options, self.capabilities, provider=provider, model=model)
        clock = Clock(options.deadlines or self._deadlines, provider, model, pieces=options.stream)
        asked = [theirs(message) for message in messages]
        wrapped = options.schema is not None and _object(options.schema) is not options.schema
        answer = _Answer(provider, model, wrapped=wrapped)
        runnable, kwargs = self._bound(options)
        if options.stream and options.schema is None:
            async with aclosing(runnable.astream(asked, **kwargs)) as chunks:
                ended = False
                while not ended:
                    shown = answer.text if clock.first_token_s is not None else None
                    chunk = await clock.wait(self._guarded(anext(chunks, None)), shown)
                    ended = chunk is None
                    events = () if chunk is None else answer.fold(chunk)
                    for event in events:
                        clock.arrived()
                        yield event
                    clock.given()
        else:
            found = await clock.wait(self._guarded(runnable.ainvoke(asked, **kwargs)))
            clock.arrived()
            for event in answer.whole(found):
                if options.stream:
                    yield event
        yield Done(answer.completion(Timings(clock.first_token_s, clock.elapsed())))

    async def aclose(self) -> None:
        """LangChain's models have no such method; one of ours inside is closed."""
        if isinstance(self.langchain, ChatTouchstone):
            await self.langchain.touchstone().aclose()

    def _bound(self, options: Options) -> tuple[Any, dict[str, Any]]:
        """The runnable to ask, and the keywords of the call."""
        kwargs: dict[str, Any] = {name: v for name in _PASSED_ON if (v := getattr(options, name)) is not None}
        if options.stop:
            kwargs["stop"] = list(options.stop)
        if options.top_logprobs is not None:
            kwargs |= {"logprobs": True, "top_logprobs": options.top_logprobs}
        kwargs |= options.extra
        runnable: Any = self.langchain
        if options.schema is not None:
            named = {"title": "answer", "description": "The answer.", **_object(options.schema)}
            runnable = runnable.with_structured_output(named, include_raw=True)
        elif options.tools:
            choice = "any" if options.tool_choice == "required" else options.tool_choice
            tools = [their_tool(tool) for tool in options.tools]
            runnable = runnable.bind_tools(tools, **({"tool_choice": choice} if choice else {}))
        return runnable, kwargs

    async def _guarded(self, call: Any) -> Any:
        """``await call``, with whatever it raises as an error of ours."""
        try:
            return await call
        except TouchstoneError:
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:  # each of LangChain's providers has exceptions of its own
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ProviderError:
        provider, _, model = self.name.partition(":")
        detail = secret_free(f"{type(error).__name__}: {error}")
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status >= 300:
            body = getattr(error, "body", None) or detail
            headers = getattr(getattr(error, "response", None), "headers", None)
            return refused(status, body, provider=provider, model=model, headers=headers)
        if isinstance(error, NotImplementedError):
            return Unsupported(provider=provider, model=model, feature=str(error) or "this")
        if isinstance(error, ConnectionError) or "Connect" in type(error).__name__:
            return ConnectFailed(provider=provider, model=model, url=type(self.langchain).__name__, detail=detail)
        return ServerFailed(provider=provider, model=model, detail=detail)


class _Answer:
    """An answer as it grows out of LangChain's chunks."""

    def __init__(self, provider: str, model: str, *, wrapped: bool = False) -> None:
        self._provider, self._model, self._wrapped = provider, model, wrapped
        self.text = self._reasoning = ""
        self._calls: dict[Any, ToolCall] = {}
        self._message: Any = None

    def fold(self, chunk: BaseMessage) -> list[Event]:
        """Take a chunk in; the events it brings."""
        self._message = chunk if self._message is None else self._message + chunk
        text, thoughts = text_of(chunk)
        events: list[Event] = []
        if thoughts:
            self._reasoning += thoughts
            events.append(ReasoningDelta(thoughts))
        if text:
            self.text += text
            events.append(TextDelta(text))
        for piece in getattr(chunk, "tool_call_chunks", ()):
            events.append(self._call(piece))
        return events

    def whole(self, found: Any) -> list[Event]:
        """Take an answer in one piece: a message, or what ``include_raw`` gives."""
        raw: AIMessage = found["raw"] if isinstance(found, dict) else found
        self._message = raw
        self.text, self._reasoning = text_of(raw)
        if isinstance(found, dict):
            if found.get("parsed") is None:  # what the model wrote stands; it is not made into JSON by force
                self.text = self.text or "".join(json.dumps(call["args"]) for call in raw.tool_calls)
            else:
                parsed = found["parsed"][WRAPPED] if self._wrapped else found["parsed"]
                if self._wrapped or not _is_json(self.text):
                    self.text = json.dumps(parsed, ensure_ascii=False)
            return [TextDelta(self.text)] if self.text else []
        for index, call in enumerate(raw.tool_calls):
            arguments = json.dumps(call["args"], ensure_ascii=False)
            self._call({"index": index, "id": call["id"], "name": call["name"], "args": arguments})
        for wrong in raw.invalid_tool_calls:
            self._call({"index": len(self._calls), "id": wrong["id"], "name": wrong["name"], "args": wrong["args"]})
        events: list[Event] = [ReasoningDelta(self._reasoning)] if self._reasoning else []
        if self.text:
            events.append(TextDelta(self.text))
        events += [ToolCallDelta(i, c.arguments, c.id, c.name) for i, c in enumerate(self._calls.values())]
        return events

    def completion(self, timings: Timings) -> Completion:
        metadata: dict[str, Any] = dict(self._message.response_metadata) if self._message is not None else {}
        return Completion(
            text=self.text,
            model=metadata.get("model_name") or metadata.get("model") or self._model,
            provider=self._provider,
            finish_reason=finish_reason(metadata, called=bool(self._calls)),
            reasoning=self._reasoning or None,
            tool_calls=tuple(self._calls.values()),
            usage=our_usage(getattr(self._message, "usage_metadata", None)),
            timings=timings,
            request_id=metadata.get("id") or getattr(self._message, "id", None),
            logprobs=_logprobs(metadata),
            raw=metadata,
        )

    def _call(self, piece: Any) -> ToolCallDelta:
        """Pieces of one call share an index; where there is none, a new id begins a new call."""
        key = piece.get("index")
        if key is None:
            key = piece.get("id") or next(reversed(self._calls), 0)
        first = key not in self._calls
        known = self._calls.get(key) or ToolCall(piece.get("id") or "", piece.get("name") or "", "")
        self._calls[key] = ToolCall(known.id, known.name, known.arguments + (piece.get("args") or ""))
        index = list(self._calls).index(key)
        head = (known.id, known.name) if first else (None, None)
        return ToolCallDelta(index, piece.get("args") or "", *head)


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """``schema``, in an object where it is none: LangChain's structured output is always an object."""
    if schema.get("type") == "object" or "properties" in schema:
        return schema
    return {"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED], "additionalProperties": False}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _logprobs(metadata: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """Log probabilities in OpenAI's form, where the answer has them."""
    rows = (metadata.get("logprobs") or {}).get("content") or ()
    return tuple(
        TokenLogprob(row["token"], row["logprob"], tuple((t["token"], t["logprob"]) for t in row["top_logprobs"]))
        for row in rows
    )


class LangChainEmbedding:
    """An embedding model of LangChain as one of ours. ``dim`` is 0 before the first call."""

    def __init__(self, model: Embeddings, *, name: str | None = None) -> None:
        self.name = name or f"langchain:{getattr(model, 'model', type(model).__name__)}"
        self.dim = 0
        self.langchain = model

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        import numpy as np

        provider, _, model = self.name.partition(":")
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        try:
            if kind == "query":
                found = await asyncio.gather(*(self.langchain.aembed_query(text or " ") for text in texts))
            else:
                found = await self.langchain.aembed_documents([text or " " for text in texts])
        except TouchstoneError:
            raise
        except Exception as error:  # each of LangChain's providers has exceptions of its own
            detail = secret_free(f"{type(error).__name__}: {error}")
            raise ServerFailed(provider=provider, model=model, detail=detail) from error
        vectors = np.asarray(found, np.float32)
        self.dim = vectors.shape[1]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms == 0.0, 1.0, norms)

    async def aclose(self) -> None:
        """LangChain's models have no such method."""
