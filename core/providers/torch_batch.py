"""Many answers in one batch that requests join and leave between two tokens.

One thread steps the model. A prompt is read in pieces of ``PIECE_TOKENS``, short prompts several at once, and between
two pieces the answers under way get their next token: a long prompt holds nobody up for long, and a request can be
dropped between any two steps. When memory runs out the batch is split: half of its answers go on now, the others
later from where they were, and only one that does not fit alone fails.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.providers.torch_device import is_out_of_memory, trim
from core.providers.torch_sampling import Drawn, Sampler, draw

if TYPE_CHECKING:
    import torch

    from core.providers.torch_cache import BatchCache

PIECE_TOKENS = 256
Ending = Literal["stop", "length"]


class Closed(RuntimeError):
    """The model was given back before the request reached it."""


@dataclass(eq=False, slots=True)
class Request:
    """One answer to be made. ``emit`` is called on the computing thread: with each token, then once with the ending
    or the error. ``ended`` is called when the request leaves the engine, whatever happened."""

    prompt: list[int]
    max_tokens: int
    end_tokens: frozenset[int]
    sampler: Sampler
    emit: Callable[[Drawn | Ending | BaseException], object]
    ended: Callable[[], None]
    inputs: dict[str, Any] = field(default_factory=dict)  # of a model that sees: pixel values and what belongs to them
    written: list[int] = field(default_factory=list)
    cancelled: bool = False

    def take(self, drawn: Drawn) -> bool:
        """Give the token out; return whether the answer has ended with it."""
        self.written.append(drawn.token)
        self.emit(drawn)
        grammar = self.sampler.grammar
        if drawn.token in self.end_tokens or (grammar is not None and grammar.over):
            self.finish("length" if grammar is not None and grammar.hurried else "stop")
            return True
        if len(self.written) >= self.max_tokens:
            self.finish("length")
            return True
        return False

    def finish(self, how: Ending | BaseException) -> None:
        self.ended()  # first: who reads the ending finds the slot free
        self.emit(how)


@dataclass(eq=False, slots=True)
class _Reading:
    """Prompts that are being read, in a cache of their own. ``tokens`` are left-padded; ``done`` columns were read."""

    requests: list[Request]
    tokens: torch.Tensor
    mask: torch.Tensor
    cache: BatchCache
    done: int = 0


class Batch:
    """Steps ``model`` for up to ``slots`` requests of up to ``context_tokens`` each."""

    def __init__(self, model: Any, *, slots: int, context_tokens: int, threads: int = 0, name: str = "") -> None:
        self._model, self._slots, self._context, self._threads = model, slots, context_tokens, threads
        self._device = model.device
        config = model.config.get_text_config()
        self._layers = int(config.num_hidden_layers)
        self._last_only = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._news = threading.Condition()
        self._waiting: list[Request] = []
        self._rows: list[Request] = []
        self._reading: _Reading | None = None
        self._allowed = slots  # rows at once; fewer after memory ran out, one more with each row that leaves
        self._cache = self._empty_cache(slots, context_tokens)
        self._closed = self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"touchstone-torch {name}", daemon=True)
        self._thread.start()

    # --- from any thread

    def submit(self, request: Request) -> None:
        with self._news:
            ended = self._ended
            if not ended:
                self._waiting.append(request)
                self._news.notify()
        if ended:
            request.finish(Closed())

    def cancel(self, request: Request) -> None:
        """Drop the request before its next token; one that has ended is not missed."""
        with self._news:
            request.cancelled = True
            self._news.notify()

    def cancel_all(self) -> None:
        with self._news:
            for request in [*self._waiting, *self._rows, *(self._reading.requests if self._reading else ())]:
                request.cancelled = True

    def close(self) -> None:
        """End the thread once the requests under way are done."""
        with self._news:
            self._closed = True
            self._news.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait until the thread has let go of the model; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def held_bytes(self) -> int:
        """Bytes the caches take now."""
        reading = self._reading
        return self._cache.held_bytes + (reading.cache.held_bytes if reading else 0)

    # --- on the thread

    def _run(self) -> None:
        import torch

        if self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._wait():
                try:
                    self._step()
                except Exception as error:  # noqa: BLE001  the model's own code: whatever it raises ends these requests, not the engine
                    self._fail(error)
        self._model = None
        self._cache = self._empty_cache(self._slots, self._context)

    def _wait(self) -> bool:
        """Sleep until there is work; ``False``: the batch was closed and everything is done."""
        with self._news:
            while not (self._waiting or self._rows or self._reading):
                if self._closed:
                    self._ended = True
                    return False
                self._news.wait()
        return True

    def _step(self) -> None:
        self._drop_cancelled()
        if self._reading is None:
            self._begin_reading()
        if self._reading is not None:
            self._read_on(self._reading)
        if self._rows:
            self._write_on()

    def _drop_cancelled(self) -> None:
        with self._news:
            for request in [r for r in self._waiting if r.cancelled]:
                self._waiting.remove(request)
                request.ended()
        reading = self._reading
        if reading is not None and all(r.cancelled for r in reading.requests):
            self._reading = None
            for request in reading.requests:
                request.ended()
        for row in range(len(self._rows) - 1, -1, -1):
            if self._rows[row].cancelled:
                self._remove(row).ended()

    def _begin_reading(self) -> None:
        """Take the next prompt, and more as long as all together are one piece."""
        import torch

        with self._news:
            free = self._allowed - len(self._rows)
            chosen: list[Request] = []
            longest = 0
            for request in self._waiting[: max(0, free)]:
                longest = max(longest, len(request.prompt) + len(request.written))
                if chosen and longest * (len(chosen) + 1) > PIECE_TOKENS:
                    break
                chosen.append(request)
            del self._waiting[: len(chosen)]
        if not chosen:
            return
        texts = [r.prompt + r.written for r in chosen]
        width = max(map(len, texts))
        tokens = torch.zeros((len(texts), width), dtype=torch.long)
        mask = torch.zeros((len(texts), width), dtype=torch.bool)
        for row, text in enumerate(texts):
            tokens[row, width - len(text) :] = torch.tensor(text)
            mask[row, width - len(text) :] = True
        cache = self._empty_cache(len(texts), width, width)
        self._reading = _Reading(chosen, tokens.to(self._device), mask.to(self._device), cache)

    def _read_on(self, reading: _Reading) -> None:
        width = reading.tokens.shape[1]
        after = min(width, reading.done + max(1, PIECE_TOKENS // len(reading.requests)))
        piece = slice(reading.done, after)
        mask = reading.mask[:, :after]
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, piece]
        try:
            logits = self._forward(
                reading.tokens[:, piece], positions, None if bool(mask.all()) else mask, reading.cache
            )
            reading.cache.end = reading.done = after
            if after < width:
                return
            reading.cache.lengths = [len(r.prompt) + len(r.written) for r in reading.requests]
            self._cache.join(reading.cache)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._split(error)
            return
        self._reading = None
        self._rows += reading.requests
        self._give(draw(logits, [r.sampler for r in reading.requests]), len(self._rows) - len(reading.requests))

    def _write_on(self) -> None:
        """One more token for every row."""
        import torch

        cache = self._cache
        try:
            cache.room_for(1)
            last = torch.tensor([[r.written[-1]] for r in self._rows], device=self._device)
            positions = torch.tensor([[length] for length in cache.lengths], device=self._device)
            mask = None
            if min(cache.lengths) < cache.width:
                columns = torch.arange(cache.width + 1, device=self._device)
                mask = columns >= cache.width - positions
            logits = self._forward(last, positions, mask, cache)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._split(error)
            return
        cache.advance(1)
        self._give(draw(logits, [r.sampler for r in self._rows]), 0)

    def _forward(self, tokens: Any, positions: Any, mask: Any, cache: BatchCache) -> torch.Tensor:
        """Logits of the last column. Shape: ``tokens`` and ``positions`` ``(rows, columns)``, result ``(rows, vocabulary)``."""
        keep = {"logits_to_keep": 1} if self._last_only else {}
        out = self._model(
            input_ids=tokens, position_ids=positions, attention_mask=mask, past_key_values=cache, use_cache=True, **keep
        )
        last: torch.Tensor = out.logits[:, -1]
        return last

    def _give(self, drawn: list[Drawn], first: int) -> None:
        """Hand each row from ``first`` on its token; rows that end with it leave."""
        over = [row for row, token in enumerate(drawn, first) if self._rows[row].take(token)]
        for row in reversed(over):
            self._remove(row)

    def _remove(self, row: int) -> Request:
        """Take a row out; the last row moves to its place."""
        request = self._rows[row]
        self._rows[row] = self._rows[-1]
        self._rows.pop()
        self._cache.leave(row)
        self._allowed = min(self._slots, self._allowed + 1)
        return request

    def _split(self, error: BaseException) -> None:
        """Memory ran out, and what is in the buffers is not to be trusted: read everything anew, half as much at once."""
        under_way = self._rows + (self._reading.requests if self._reading else [])
        self._forget()
        if len(under_way) == 1:
            under_way[0].finish(error)
            return
        self._allowed = len(under_way) // 2
        with self._news:
            self._waiting[:0] = under_way

    def _forget(self) -> None:
        """Nobody is in the batch any more; its memory goes back to the device."""
        self._rows, self._reading = [], None
        self._cache = self._empty_cache(self._slots, self._context)
        trim(self._device)

    def _empty_cache(self, slots: int, limit: int, capacity: int = 0) -> BatchCache:
        from core.providers.torch_cache import FIRST_COLUMNS, BatchCache

        return BatchCache(self._layers, slots=slots, limit=limit, capacity=capacity or FIRST_COLUMNS)

    def _fail(self, error: BaseException) -> None:
        requests = self._rows + (self._reading.requests if self._reading else [])
        if not requests:
            with self._news:
                requests, self._waiting = self._waiting, []
        self._forget()
        for request in requests:
            request.finish(error)
