"""Any chat model with a chat template, computed by torch in this process: ``transformers:MODEL``.

MODEL is a folder, a model of the Hugging Face hub (``Qwen/Qwen3-4B``) or a GGUF file, each with ``+ADAPTER`` for a LoRA
adapter in a folder. Up to ``local.slots`` calls are answered at once in shared batches; calls beyond them wait in
``local_queue``. Device, number format and quantization are the settings ``local.device``, ``local.dtype`` and
``local.quantization``. Nothing of torch is imported before the first call.

The last digits of a probability depend on who shares the batch: a seed repeats an answer on one machine under the
same load, and as good as always otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    BadRequest,
    ContextTooLong,
    OutOfMemory,
    ProviderError,
    ServerFailed,
    StreamInterrupted,
    TouchstoneError,
    UnknownName,
    code_of,
)
from core.i18n import Phrase
from core.providers.deadlines import Clock
from core.providers.llama import Shape, shape_of
from core.providers.local_queue import QUEUE
from core.providers.mailbox import Mailbox
from core.providers.request import refuse_unsupported
from core.providers.speech import THINK, Said, Speech
from core.providers.tool_forms import call_schema, form_of
from core.providers.torch_files import ModelFiles, find
from core.providers.wire import Answer
from core.settings import Settings
from core.types import Capabilities, Done, Event, Image, Message, Options, Queued, Timings, Tool

if TYPE_CHECKING:
    from core.providers.torch_batch import Ending, Request
    from core.providers.torch_device import Device
    from core.providers.torch_engine import Lane, Running
    from core.providers.torch_sampling import Drawn, Sampler
    from core.providers.torch_text import Detokenizer

CONTEXT_TOKENS = 4096  # of a call, where the settings choose nothing
UNLOAD_S = 10.0  # closing waits this long for the memory at most
EXTRAS = ("top_k", "ignore_eos", "chat_template_kwargs")
_BYTES = {"": 4, "float32": 4, "bfloat16": 2, "float16": 2}


def open_chat(model: str, *, engine: str, settings: Settings) -> TransformersChat:
    """Open ``model``; paths may begin with ``~`` or be relative to the settings' folder.

    Raises:
        ConfigurationError: not found, not a chat model, damaged, or with code of its own.
    """
    files = find(model, name=f"{engine}:{model}", folder=settings.folder)
    return TransformersChat(files, provider=engine, model=model, settings=settings)


def memory_of(model: str, settings: Settings) -> int | None:
    """Bytes the model takes once opened: weights and caches of its calls, in the number format of the settings;
    ``None`` while its weights are not on this machine."""
    files = find(model, name=f"transformers:{model}", folder=settings.folder, online=False)
    size = _Size(files, settings)
    shape = size.shape(settings)
    return size.size + size.cache_bytes_per_token * shape.slots * shape.context_tokens if size.size else None


@dataclass(frozen=True, slots=True)
class _Size:
    """What ``shape_of`` divides memory by."""

    files: ModelFiles
    settings: Settings

    @property
    def size(self) -> int:
        tensors = self.files.tensors
        if self.files.gguf is not None:
            return self.files.gguf.size * 2 * self._each  # four bits a weight
        return tensors.parameters * self._each if tensors else 0

    @property
    def context_tokens(self) -> int | None:
        return self.files.context_tokens

    @property
    def cache_bytes_per_token(self) -> int:
        return self.files.cache_values_per_token() * self._each

    @property
    def _each(self) -> int:
        return _BYTES[self.settings.values["local.dtype"]]

    def shape(self, settings: Settings) -> Shape:
        wished = settings.values["local.context_tokens"] or CONTEXT_TOKENS
        slots = settings.values["local.slots"] if self.files.batches else 1
        return shape_of(self, slots=slots, context_tokens=wished)


@dataclass(slots=True)
class _Call:
    """One call under way: its request, where it is answered, and what turns tokens into events."""

    request: Request
    lane: Lane
    box: Mailbox[Drawn | Ending | BaseException]
    speech: Speech
    detokenizer: Detokenizer
    input_tokens: int
    device: Device
    calls: int = 0  # tool calls so far


class TransformersChat:
    """A chat model in this process. ``capabilities`` follow from its files: tools where its template knows them,
    images where a processor for them is there."""

    def __init__(self, files: ModelFiles, *, provider: str, model: str, settings: Settings) -> None:
        from core.providers.torch_engine import Engine

        self.name = f"{provider}:{model}"
        self.shape = _Size(files, settings).shape(settings)
        self.form = form_of(files.chat_template)
        self.thinks = THINK in files.chat_template
        self.engine = Engine(files, self.shape, settings, provider=provider, model=model)
        self.capabilities = Capabilities(
            tools=self.form is not None,
            schema=True,
            images=files.sees,
            logprobs=True,
            usage=True,
            reasoning=self.thinks,
            context_tokens=self.shape.context_tokens,
        )
        self._provider, self._model, self._deadlines = provider, model, settings.deadlines

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        provider, model = self._provider, self._model
        refuse_unsupported(messages, options, self.capabilities, provider=provider, model=model)
        self._check(options)
        clock = Clock(options.deadlines or self._deadlines, provider, model, pieces=options.stream)
        ticket = QUEUE.enter(self.name, slots=self.shape.slots, provider=provider)
        call: _Call | None = None
        try:
            while (position := await clock.wait(ticket.next_position())) is not None:
                yield Queued(position)
            queued_s = clock.elapsed()
            running = await clock.wait(self.engine.running())
            call = await clock.wait(asyncio.to_thread(self._call, running, messages, options, Mailbox(), ticket.leave))
            call.lane.submit(call.request)
            answer, out = Answer(), list[Event]()
            ended = shown = False
            while not ended:
                for item in await clock.wait(call.box.take(), answer.text if shown else None):
                    if ended:
                        break
                    ended = self._fold(item, call, answer, out, options, shown)
                    if out:
                        clock.arrived()
                        if options.stream:
                            shown = True
                            for event in out:
                                yield event
                        out.clear()
                        clock.given()
            call.lane.cancel(call.request)  # a stop text: the lane does not know yet that this is all
            ticket.leave()  # who reads the end finds the slot free
            timings = Timings(clock.first_token_s, clock.elapsed(), queued_s)
            yield Done(answer.completion(model=model, provider=provider, timings=timings))
        finally:
            if call is None:
                ticket.leave()
            else:
                call.lane.cancel(call.request)

    async def aclose(self) -> None:
        """Give the memory back; waits for it where no call is under way."""
        unloading = self.engine.release()
        if unloading is not None and not QUEUE.running(self.name):
            await asyncio.to_thread(unloading.join, UNLOAD_S)

    # --- asking

    def _check(self, options: Options) -> None:
        """Refuse what would be left out in silence."""
        unknown = [key for key in options.extra if key not in EXTRAS]
        if unknown:
            detail = Phrase("local.unknown_extra", names=", ".join(unknown), allowed=", ".join(EXTRAS))
            raise BadRequest(provider=self._provider, model=self._model, detail=detail)

    def _call(
        self,
        running: Running,
        messages: Sequence[Message],
        options: Options,
        box: Mailbox[Drawn | Ending | BaseException],
        ended: Any,
    ) -> _Call:
        from core.providers.torch_batch import Request
        from core.providers.torch_text import Detokenizer

        forced = self._forced(options)
        tokens, inputs = self._prompt(running, messages, options, forced=bool(forced))
        room = self.shape.context_tokens - len(tokens)
        if room < 1:
            detail = Phrase("local.context", tokens=len(tokens), allowed=self.shape.context_tokens)
            raise ContextTooLong(provider=self._provider, model=self._model, detail=detail)
        opened = running.tokenizer.decode(tokens[-8:]).rstrip().endswith(THINK)
        offered = options.tools if options.tool_choice != "none" else ()
        room = min(options.max_tokens or room, room)
        request = Request(
            tokens,
            room,
            frozenset() if options.extra.get("ignore_eos") else running.end_tokens,
            self._sampler(running, options, forced, room),
            box.put,
            ended,
            inputs,
        )
        speech = Speech(
            stop=options.stop,
            thinks=self.thinks,
            thinking=opened,
            form=self.form if offered else None,
            tools=[tool.name for tool in offered],
            calling=bool(forced),
        )
        return _Call(
            request, running.lane(request), box, speech, Detokenizer(running.tokenizer), len(tokens), running.device
        )

    def _forced(self, options: Options) -> tuple[Tool, ...]:
        """The tools one of which must be called."""
        choice = options.tool_choice
        if choice in (None, "auto", "none"):
            return ()
        tools = tuple(tool for tool in options.tools if choice in ("required", tool.name))
        if not tools:
            allowed = ", ".join(["auto", "none", "required", *(tool.name for tool in options.tools)])
            raise UnknownName(kind="tool_choice", value=choice, allowed=allowed)
        return tools

    def _prompt(
        self, running: Running, messages: Sequence[Message], options: Options, *, forced: bool
    ) -> tuple[list[int], dict[str, Any]]:
        """Tokens of the prompt, and what a model that sees reads beside them. Marks of the template that stand in
        a message's text are read as text: no message can speak as another role."""
        from core.providers.torch_text import chat_dicts, images_of, tool_dicts

        chat = chat_dicts(messages, images=self.capabilities.images)
        extra: Mapping[str, Any] = options.extra.get("chat_template_kwargs") or {}
        common: dict[str, Any] = {"tools": tool_dicts(options), "add_generation_prompt": True, **extra}
        known: dict[str, Any] = {"provider": self._provider, "model": self._model}
        try:
            if self.capabilities.images and _has_images(messages):
                pictures = images_of(messages, **known)
                text = running.processor.apply_chat_template(chat, tokenize=False, **common)
                inputs = dict(
                    running.processor(text=[text], images=pictures, return_tensors="pt", add_special_tokens=False)
                )
                return inputs["input_ids"][0].tolist(), inputs
            template = self.engine.files.chat_template
            found = running.tokenizer.apply_chat_template(
                chat, chat_template=template, tokenize=True, return_dict=True, sanitize_control_tokens=True, **common
            )
        except TouchstoneError:
            raise
        except Exception as error:  # a template's own words: roles it does not take, a missing field
            detail = Phrase("local.template_refuses", words=str(error).partition("\n")[0][:300])
            raise BadRequest(**known, detail=detail) from error
        tokens = list(found["input_ids"])
        if forced and self.form is not None and self.form.prefix:
            tokens += running.tokenizer.encode(self.form.prefix, add_special_tokens=False)
        return tokens, {}

    def _sampler(self, running: Running, options: Options, forced: tuple[Tool, ...], room: int) -> Sampler:
        """What was asked for; where nothing was, what the model's makers recommend."""
        from core.providers.torch_sampling import Sampler

        defaults = running.defaults
        temperature = options.temperature
        if temperature is None:
            temperature = float(defaults.temperature or 1.0) if defaults.do_sample else 0.0
        grammar = None
        if forced and self.form is not None:
            grammar = running.grammars.for_schema(call_schema(forced, self.form))
        elif options.schema is not None:
            grammar = running.grammars.for_schema(options.schema)
        if grammar is not None:
            grammar.room = room
        top_p = options.top_p if options.top_p is not None else (defaults.top_p if defaults.do_sample else None)
        top_k = options.extra.get("top_k", defaults.top_k if defaults.do_sample else 0)
        return Sampler(
            temperature=temperature,
            top_p=1.0 if top_p is None else top_p,
            top_k=int(top_k or 0),
            seed=options.seed,
            top_logprobs=options.top_logprobs,
            grammar=grammar,
        )

    # --- answering

    def _fold(
        self,
        item: Drawn | Ending | BaseException,
        call: _Call,
        answer: Answer,
        out: list[Event],
        options: Options,
        shown: bool,
    ) -> bool:
        """Take one item of the call; return whether the answer is whole.

        Raises:
            ProviderError: the engine could not answer.
        """
        if isinstance(item, BaseException):
            raise self._error(item, call, answer, shown) from item
        if isinstance(item, str):
            said = call.speech.feed(call.detokenizer.rest()) + call.speech.end()
            self._say(said, call, answer, out)
            self._finish("stop" if call.speech.stopped else item, call, answer, out)
            return True
        new = "" if item.token in call.request.end_tokens else call.detokenizer.text_of(item.token)
        if options.top_logprobs is not None and item.token not in call.request.end_tokens:
            answer.fold(_logprob_chunk(item, new, call.detokenizer, options.top_logprobs), out)
        self._say(call.speech.feed(new), call, answer, out)
        if call.speech.stopped:
            self._finish("stop", call, answer, out)
        return call.speech.stopped

    def _say(self, said: list[Said], call: _Call, answer: Answer, out: list[Event]) -> None:
        for piece in said:
            delta: dict[str, Any] = {"content": piece.text}
            if piece.kind == "thought":
                delta = {"reasoning_content": piece.text}
            elif piece.kind == "call":
                function = {"name": piece.name, "arguments": piece.text}
                delta = {"tool_calls": [{"index": call.calls, "id": f"call_{call.calls}", "function": function}]}
                call.calls += 1
            answer.fold({"choices": [{"delta": delta}]}, out)

    def _finish(self, how: str, call: _Call, answer: Answer, out: list[Event]) -> None:
        how = "tool_calls" if call.calls and how == "stop" else how
        usage = {"prompt_tokens": call.input_tokens, "completion_tokens": len(call.request.written)}
        answer.fold({"choices": [{"delta": {}, "finish_reason": how}], "usage": usage}, out)

    def _error(self, error: BaseException, call: _Call, answer: Answer, shown: bool) -> ProviderError:
        """The typed error for what a lane raised; with the text that was shown, if there was any."""
        from core.providers.torch_batch import Closed
        from core.providers.torch_device import is_out_of_memory
        from core.providers.torch_memory import BOOK, MIB

        provider, model = self._provider, self._model
        found: ProviderError
        if isinstance(error, ProviderError):
            found = error
        elif is_out_of_memory(error):
            device = call.device
            free = BOOK.free(device)
            tokens = call.input_tokens + call.request.max_tokens
            needed = self.engine.files.cache_values_per_token() * 4 * tokens
            found = OutOfMemory(
                reason="batch", provider=provider, model=model, device=device.name, others="-",
                needed_mib=-(-needed // MIB), free_mib="?" if free is None else max(0, free) // MIB,
            )  # fmt: skip
        elif isinstance(error, Closed):
            found = ServerFailed(provider=provider, model=model, detail=Phrase("local.closed"))
        else:
            words = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            found = ServerFailed(provider=provider, model=model, detail=words)
        if not shown:
            return found
        detail = Phrase(f"error.{code_of(found)}", **found.params)
        return StreamInterrupted(partial=answer.text, provider=provider, model=model, detail=detail)


def _has_images(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, Image) for m in messages if not isinstance(m.content, str) for part in m.content)


def _logprob_chunk(drawn: Drawn, text: str, detokenizer: Detokenizer, count: int) -> dict[str, Any]:
    """The token's log-probability in the wire's form, with at most ``count`` alternatives."""
    top = [{"token": detokenizer.single(token), "logprob": value} for token, value in drawn.top[:count]]
    row = {"token": text or detokenizer.single(drawn.token), "logprob": drawn.logprob, "top_logprobs": top}
    return {"choices": [{"delta": {}, "logprobs": {"content": [row]}}]}
