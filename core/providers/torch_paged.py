"""Many answers in one batch through transformers' own continuous batching, with paged attention: for graphics cards.

It knows temperature, top-p and top-k per request and nothing else, so requests with a seed, a grammar or
log-probabilities go through ``torch_batch``. On a CPU it is slower than that (docs/decisions/0013).

Facts of transformers 5.23 this module is built on, all tried: after ``stop`` new requests are dropped with a warning
only; ``get_result`` without an id gives whatever came next; a cancelled request gives no result; an error in the
model ends the whole loop, and each request gets its words; a processor exists only for what the generation
configuration sets to something other than its neutral value.
"""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from core.providers.torch_batch import Closed, Request
from core.providers.torch_sampling import Drawn, Sampler

PAGE_TOKENS = 256
BATCH_TOKENS = 2048  # a step reads and writes at most this many tokens
LIKELIEST = 1e-5  # a temperature at which only the likeliest token is left
_OTHER = {"temperature": 0.9, "top_p": 0.9, "top_k": 50}  # neutral values would leave their processors out
_POLL_S = 0.5


class Paged:
    """Steps ``model`` for up to ``slots`` requests of up to ``context_tokens`` each. ``filters``: top-p and top-k can
    be asked for, which costs two sorts of the vocabulary for each token."""

    def __init__(self, model: Any, *, slots: int, context_tokens: int, filters: bool, name: str = "") -> None:
        self.filters = filters
        self._model, self._slots, self._context, self._name = model, slots, context_tokens, name
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        self._numbers = count()
        self._requests: dict[str, Request] = {}
        self._lock = threading.Lock()
        self._manager: Any = None
        self._reader: threading.Thread | None = None
        self._closed = False

    def serves(self, sampler: Sampler) -> bool:
        """Whether it can choose tokens as ``sampler`` says."""
        filtered = sampler.temperature > 0 and (sampler.top_p < 1.0 or sampler.top_k > 0)
        return sampler.plain and (self.filters or not filtered)

    @property
    def held_bytes(self) -> int:
        processor = getattr(self._manager, "batch_processor", None)
        caches = getattr(getattr(processor, "cache", None), "pool", None)
        return int(getattr(caches, "num_bytes", 0) or 0)

    def submit(self, request: Request) -> None:
        """Begin; the manager is started with the first request, and anew after an error has ended it."""
        with self._lock:
            model = self._model
        if model is None:
            request.finish(Closed())
            return
        try:
            taken = self._add(request, model)
        except Exception as error:  # noqa: BLE001  memory for the pages, an argument the library does not know: this request's end
            request.finish(error)
            return
        if not taken:
            request.finish(Closed())

    def _add(self, request: Request, model: Any) -> bool:
        with self._lock:
            if self._manager is None or not self._manager.is_running():
                self._start(model)
            key = str(next(self._numbers))
            taken = self._manager.add_request(
                request.prompt,
                request_id=key,
                max_new_tokens=request.max_tokens,
                streaming=True,
                eos_token_id=sorted(request.end_tokens) or -1,
                **self._choosing(request.sampler),
            )
            if taken is not None:
                self._requests[key] = request  # the reader waits for the lock, so no result comes before it
            return taken is not None

    def cancel(self, request: Request) -> None:
        with self._lock:
            request.cancelled = True
            key = next((key for key, other in self._requests.items() if other is request), None)
            if key is None:
                return
            del self._requests[key]
            self._manager.cancel_request(key)
        request.ended()

    def cancel_all(self) -> None:
        for request in list(self._requests.values()):
            self.cancel(request)

    def close(self) -> None:
        """Stop once the requests under way are done."""
        with self._lock:
            self._closed = True
            if self._reader is None:
                self._model = None

    def join(self, timeout_s: float) -> bool:
        reader = self._reader
        if reader is not None:
            reader.join(timeout_s)
        return reader is None or not reader.is_alive()

    def _start(self, model: Any) -> None:
        config = GenerationConfig(do_sample=True, max_new_tokens=self._context, **(_OTHER if self.filters else {"temperature": _OTHER["temperature"]}))  # fmt: skip
        config.eos_token_id = -1
        self._manager = model.init_continuous_batching(
            config,
            ContinuousBatchingConfig(
                page_size=PAGE_TOKENS,
                num_blocks=self._slots * -(-self._context // PAGE_TOKENS),
                max_batch_tokens=BATCH_TOKENS,
                max_requests_per_batch=self._slots,
                per_request_processors=True,
            ),
        )
        self._manager.start()
        self._reader = threading.Thread(target=self._read, args=(self._manager,), name=f"touchstone-paged {self._name}", daemon=True)  # fmt: skip
        self._reader.start()

    def _choosing(self, sampler: Sampler) -> dict[str, Any]:
        greedy = sampler.temperature <= 0
        chosen: dict[str, Any] = {"temperature": LIKELIEST if greedy else float(sampler.temperature)}
        if self.filters:
            chosen["top_p"] = 1.0 if greedy else float(sampler.top_p)
            chosen["top_k"] = self._vocabulary if greedy or not sampler.top_k else sampler.top_k
        return chosen

    def _read(self, manager: Any) -> None:
        """Hand results on until the loop has ended or the lane was closed and is empty."""
        while threading.main_thread().is_alive():  # the loop's own thread would keep the process from ending
            result = manager.get_result(timeout=_POLL_S)
            if result is not None:
                self._hand_on(result)
                continue
            with self._lock:
                if not manager.is_running() or (self._closed and not self._requests):
                    break
        manager.stop(block=True, timeout=10.0, hard_stop=True)
        manager.destroy()
        with self._lock:
            left = list(self._requests.values()) if self._manager is manager else []
            if self._manager is manager:
                self._requests.clear()
                self._manager = None
            if self._closed:
                self._model = None
        for request in left:
            request.finish(RuntimeError("the generation loop ended"))

    def _hand_on(self, result: Any) -> None:
        with self._lock:
            request = self._requests.get(result.request_id)
        if request is None:
            return
        if result.error is not None:
            self._requests.pop(result.request_id, None)
            request.finish(RuntimeError(result.error))
            return
        for token in result.generated_tokens[len(request.written) :]:
            if request.take(Drawn(token)):
                self._requests.pop(result.request_id, None)
                return
