"""A transformers model in this process: planned, loaded at first use, shared by callers, given back when released."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from core.providers.llama import Shape
from core.providers.openmp import be_polite
from core.providers.torch_batch import Batch, Request
from core.providers.torch_device import Device, choose, choose_dtype, trim
from core.providers.torch_files import ModelFiles, find
from core.providers.torch_grammar import Grammars
from core.providers.torch_loading import load_model, load_tokenizer, prepare, weight_bytes
from core.providers.torch_memory import BOOK, Entry
from core.settings import Settings

_END_S = 30.0  # the end of the process waits this long for the computing threads at most


class Lane(Protocol):
    """A way to answer requests; ``close`` lets those under way end."""

    @property
    def held_bytes(self) -> int: ...
    def submit(self, request: Request) -> None: ...
    def cancel(self, request: Request) -> None: ...
    def cancel_all(self) -> None: ...
    def close(self) -> None: ...
    def join(self, timeout_s: float) -> bool: ...


@dataclass(slots=True)
class Running:
    """A loaded model and its lanes: ``batch`` for text, ``paged`` for plain text on a graphics card, ``alone`` for
    what no batch can do. ``weights`` is what it held when it was loaded."""

    tokenizer: Any
    processor: Any
    grammars: Grammars
    end_tokens: frozenset[int]
    defaults: Any  # the model's generation configuration
    device: Device
    entry: Entry
    weights: int
    batch: Batch | None
    paged: Any
    alone: Any

    def lane(self, request: Request) -> Lane:
        lane: Lane
        if request.inputs or self.batch is None:
            lane = self.alone
        elif self.paged is not None and self.paged.serves(request.sampler):
            lane = self.paged
        else:
            lane = self.batch
        self.entry.held = self.weights + sum(one.held_bytes for one in self.lanes())
        return lane

    def close(self) -> threading.Thread:
        """Let the calls under way end, then give the memory back; the thread that sees to it is returned."""
        for lane in self.lanes():
            lane.close()
        thread = threading.Thread(target=self._give_back, name="touchstone-torch-unload", daemon=True)
        _unloading.add(thread)
        thread.start()
        return thread

    def _give_back(self) -> None:
        for lane in self.lanes():
            lane.join(threading.TIMEOUT_MAX)
        trim(self.device)
        BOOK.release(self.entry)
        _unloading.discard(threading.current_thread())

    def lanes(self) -> list[Lane]:
        return [lane for lane in (self.batch, self.paged, self.alone) if lane is not None]


class Engine:
    """Loads ``files`` when first asked to; callers of any thread and event loop share it. ``load`` brings the weights
    into memory; the benchmark gives one that makes them up on the device."""

    def __init__(
        self,
        files: ModelFiles,
        shape: Shape,
        settings: Settings,
        *,
        provider: str,
        model: str,
        load: Callable[..., Any] = load_model,
    ) -> None:
        self.files, self.shape, self._weights = files, shape, load
        self._settings, self._provider, self._model = settings, provider, model
        self._lock = threading.Lock()
        self._loading: Future[Running] | None = None
        _engines.add(self)

    async def running(self) -> Running:
        """The loaded model.

        Raises:
            OutOfMemory: no room by the plan, or the device ran out while loading.
            ConfigurationError: the weights, the adapter or a setting cannot be used.
        """
        with self._lock:
            if self._loading is None:
                self._loading = Future()
                self._loading.set_running_or_notify_cancel()  # a caller who gives up does not stop the others
                threading.Thread(
                    target=self._load, args=(self._loading,), name="touchstone-torch-load", daemon=True
                ).start()
            loading = self._loading
        return await asyncio.wrap_future(loading)

    @property
    def loaded(self) -> bool:
        return self._loading is not None and self._loading.done()

    def cancel_all(self) -> None:
        """Drop the requests under way, at the end of the process."""
        loading = self._loading
        if loading is not None and loading.done() and loading.exception() is None:
            for lane in loading.result().lanes():
                lane.cancel_all()

    def release(self) -> threading.Thread | None:
        """Let the memory go once the calls under way have ended; the next use loads again. The thread that gives it
        back is returned, unless the model is still being loaded or was not there."""
        with self._lock:
            loading, self._loading = self._loading, None
        if loading is None:
            return None
        if loading.done():
            return loading.result().close() if loading.exception() is None else None
        loading.add_done_callback(_close)
        return None

    def _load(self, loading: Future[Running]) -> None:
        try:
            found = self._open()
        except BaseException as error:  # noqa: BLE001  raised again where the callers wait
            with self._lock:
                if self._loading is loading:
                    self._loading = None
            loading.set_exception(error)
        else:
            loading.set_result(found)

    def _open(self) -> Running:
        be_polite()  # before torch is loaded
        settings, files = self._settings, self.files
        device = choose(settings)
        dtype, quantization = choose_dtype(device, settings), settings.values["local.quantization"]
        folder = prepare(files, settings.home)
        if files.tensors is None:  # converted or fetched: now its headers can be read
            adapter, files = files.adapter, find(str(folder), name=files.name, folder=settings.folder)
            files = ModelFiles(files.name, folder, files.config, self.files.chat_template, files.tensors, adapter=adapter)  # fmt: skip
        weights = weight_bytes(files, dtype, quantization)
        cache = files.cache_values_per_token() * dtype.itemsize * self.shape.slots * self.shape.context_tokens
        entry = BOOK.reserve(files.name, device, weights + cache, provider=self._provider)
        try:
            tokenizer, processor = load_tokenizer(folder, sees=files.sees)
            model = self._weights(files, folder, device, dtype, quantization)
            entry.held = weights
            return self._lanes_of(model, files, tokenizer, processor, device, entry)
        except BaseException:
            BOOK.release(entry)
            raise

    def _lanes_of(
        self, model: Any, files: ModelFiles, tokenizer: Any, processor: Any, device: Device, entry: Entry
    ) -> Running:
        ends = end_tokens(model, tokenizer)
        vocabulary = int(model.get_output_embeddings().weight.shape[0])
        grammars = Grammars(tokenizer, vocabulary, ends, provider=self._provider, model=self._model)
        threads, shape, name = self._settings.values["local.threads"], self.shape, files.name
        batch = paged = alone = None
        if files.batches and not model._is_stateful:
            size: dict[str, Any] = {"slots": shape.slots, "context_tokens": shape.context_tokens, "name": name}
            batch = Batch(model, threads=threads, **size)
            if device.kind == "cuda":
                from core.providers.torch_paged import Paged

                wished = model.generation_config
                paged = Paged(model, filters=bool(wished.do_sample and (wished.top_k or wished.top_p)), **size)
        if batch is None or processor is not None:
            from core.providers.torch_alone import Alone

            alone = Alone(model, threads=threads, name=name)
        return Running(
            tokenizer,
            processor,
            grammars,
            ends,
            model.generation_config,
            device,
            entry,
            entry.held,
            batch,
            paged,
            alone,
        )


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer, by the model's generation configuration and its tokenizer."""
    found = model.generation_config.eos_token_id
    listed = found if isinstance(found, list) else [found]
    return frozenset(int(token) for token in [*listed, tokenizer.eos_token_id] if token is not None and token >= 0)


def _close(loading: Future[Running]) -> None:
    if loading.exception() is None:
        loading.result().close()


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_unloading: set[threading.Thread] = set()


@atexit.register
def _release_all() -> None:
    """Stop the computing threads before the interpreter takes torch apart: one that ends inside it is a crash."""
    for engine in list(_engines):
        engine.cancel_all()
        engine.release()
    for thread in list(_unloading):
        thread.join(_END_S)
