"""llama.cpp inside this process: one engine per opened model file, and the calls that run in it.

Facts of xllamacpp 2026.10 this module is built on, all tried: a ``handle_…`` function blocks its thread without
holding the interpreter lock and gives chunks to its callback on that thread; a callback that returns True makes
llama.cpp drop the request and free the slot; with ``return_progress`` there is a chunk per step of the prompt,
so that a request can be dropped while its prompt is still read; opening a model holds the interpreter lock;
closing one right after opening it waits for ever, unless its loop has served something; ending the interpreter
while a call runs in a daemon thread is a crash.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.errors import MissingPackage, TouchstoneError
from core.providers.gguf_file import GgufHeader, damaged
from core.providers.mailbox import Mailbox
from core.providers.openmp import be_polite

LEAST_CONTEXT_TOKENS = 2048
CACHE_FLOOR_BYTES = 1 << 30
BATCH_TOKENS = 256  # a prompt is read in steps of this size, and a call can be dropped between two of them
PROMPT_CACHE_MIB = 256  # prompts llama.cpp keeps, so that the next turn of a conversation reads only what is new
_MEAN = 1  # of llama.cpp's kinds of pooling
_SOCKET_PATH_LIMIT = 100  # characters; the system's own limit is a little above


@dataclass(frozen=True, slots=True)
class Shape:
    """How an engine divides its memory: ``slots`` calls at once, each with ``context_tokens``."""

    slots: int
    context_tokens: int


class Measured(Protocol):
    """A model whose size is known before it is loaded: ``size`` of its weights and of a token's cache in bytes."""

    @property
    def size(self) -> int: ...
    @property
    def context_tokens(self) -> int | None: ...
    @property
    def cache_bytes_per_token(self) -> int: ...


def shape_of(header: Measured, *, slots: int, context_tokens: int) -> Shape:
    """What was wished, as far as the model and memory allow.

    The context is never longer than the model was trained for. The caches of all slots may take as many bytes as
    the weights, and ``CACHE_FLOOR_BYTES`` in any case; when they would take more, contexts shrink down to
    ``LEAST_CONTEXT_TOKENS``, then there are fewer slots.
    """
    wished = min(context_tokens, header.context_tokens or context_tokens)
    budget = max(CACHE_FLOOR_BYTES, header.size) // max(1, header.cache_bytes_per_token)  # tokens
    context = max(min(wished, budget // slots // 256 * 256), min(wished, LEAST_CONTEXT_TOKENS))
    return Shape(max(1, min(slots, budget // context)), context)


def plan_of(header: GgufHeader, shape: Shape, *, threads: int, embedding: bool = False) -> dict[str, Any]:
    """The parameters of an engine by their names in llama.cpp (dots lead into a part), as plain data.

    Embeddings read a text in one step, so the step is as long as the context; its length must be a multiple of the
    slots, or llama.cpp aborts. Their cache is one for all slots: with one for each, llama.cpp reads texts of unequal
    length in several steps and keeps the mean of the last step only. A file that does not say how its states are pooled is pooled by the mean.
    """
    plan: dict[str, Any] = {
        "n_parallel": shape.slots,
        "n_ctx": shape.slots * shape.context_tokens,
        "n_batch": BATCH_TOKENS,
        "n_ubatch": BATCH_TOKENS,
        "cpuparams.n_threads": threads or -1,
        "cpuparams_batch.n_threads": threads or -1,
        "cache_ram_mib": PROMPT_CACHE_MIB,
        "fit_params": False,  # would load the file a second time, to try sizes that are chosen already
        "warmup": False,
        "ui": False,
        "endpoint_slots": False,
        "endpoint_metrics": True,
        "n_threads_http": 1,
    }
    if embedding:
        step = -(-shape.context_tokens // shape.slots) * shape.slots
        plan |= {"embedding": True, "n_batch": step, "n_ubatch": step, "kv_unified": True}
        if header.of_architecture("pooling_type") is None:
            plan["pooling_type"] = _MEAN
    return plan


def missing_llama(error: ImportError) -> MissingPackage:
    """Which piece of llama.cpp is missing: the package, or the OpenMP library it does not bring along."""
    if isinstance(error, ModuleNotFoundError):
        return MissingPackage(
            package="xllamacpp", needed_for="gguf:…, embedded:smollm2", install="pip install xllamacpp"
        )
    if "libgomp" in str(error):
        return MissingPackage(package="libgomp1", needed_for="xllamacpp", install="apt-get install libgomp1")
    return MissingPackage(
        package="xllamacpp", needed_for=f"gguf:… ({error})", install="pip install --force-reinstall xllamacpp"
    )


def open_server(path: Path, plan: Mapping[str, Any], *, verbosity: int = -1) -> Any:
    """A running ``xllamacpp.Server``. It cannot be had without a listener of its own: that one is bound to a socket
    file in a private folder which is removed at once, so nothing can connect to it; where there are no socket files
    it listens on loopback and asks for a random key.

    Raises:
        RuntimeError, ValueError: llama.cpp could not load the file.
        MissingPackage: llama.cpp is not installed, or not whole.
    """
    be_polite()
    try:
        import xllamacpp
    except ImportError as error:
        raise missing_llama(error) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity = verbosity
    params.api_keys = [secrets.token_hex(32)]
    for name, value in plan.items():
        *parts, last = name.split(".")
        target = params
        for part in parts:
            target = getattr(target, part)
        setattr(target, last, xllamacpp.llama_pooling_type(value) if last == "pooling_type" else value)
    with tempfile.TemporaryDirectory(prefix="touchstone-", ignore_cleanup_errors=True) as private:
        socket_path = os.path.join(private, "s.sock")
        if os.name == "posix" and len(socket_path) < _SOCKET_PATH_LIMIT:
            params.hostnames = [socket_path]
        server = xllamacpp.Server(params)
    server.handle_metrics()  # answered by its loop, which therefore runs: from here on it can be closed
    return server


class Engine:
    """A llama.cpp server object: loaded at first use, shared by callers of any thread and event loop.

    ``check`` is called before the file is loaded, in the loading thread.
    """

    def __init__(self, header: GgufHeader, plan: Mapping[str, Any], *, check: Callable[[], None] | None = None) -> None:
        self.header, self.plan = header, plan
        self._check = check
        self._lock = threading.Lock()
        self._loading: Future[Any] | None = None
        _engines.add(self)

    async def server(self) -> Any:
        """The loaded ``xllamacpp.Server``.

        Raises:
            ConfigurationError: (reason ``bad_model_file``) llama.cpp could not load the file.
        """
        with self._lock:
            if self._loading is None:
                self._loading = Future()
                self._loading.set_running_or_notify_cancel()  # a caller who gives up does not stop the others
                threading.Thread(target=self._load, args=(self._loading,), name="touchstone-llama-load").start()
            loading = self._loading
        return await asyncio.wrap_future(loading)

    @property
    def loaded(self) -> bool:
        return self._loading is not None and self._loading.done()

    def release(self) -> None:
        """Free the memory, once the calls under way have ended. The next use loads again."""
        with self._lock:
            self._loading = None

    def _load(self, loading: Future[Any]) -> None:
        try:
            server = self._open()
        except (TouchstoneError, OSError, MemoryError) as error:  # raised again where the callers wait
            with self._lock:
                if self._loading is loading:
                    self._loading = None
            loading.set_exception(error)
        else:
            loading.set_result(server)

    def _open(self) -> Any:
        if self._check is not None:
            self._check()
        _read_through(self.header.path)
        try:
            return open_server(self.header.path, self.plan)
        except (RuntimeError, ValueError) as error:
            raise damaged(self.header.path, "cannot_load") from error


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _release_all() -> None:
    """Stop llama.cpp's threads before the interpreter takes its modules apart."""
    for engine in list(_engines):
        engine.release()


def _read_through(path: Path) -> None:
    """Bring the file into the system's cache, so that opening it holds the interpreter lock for a short time only."""
    buffer = bytearray(1 << 22)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


class Call:
    """One chat request inside llama.cpp: a thread that stands in its function, and the chunks it hands over.

    The thread is no daemon, and drops its request when the main thread has ended: the process can end at any time.
    """

    def __init__(self, server: Any, body: bytes, ended: Callable[[], None]) -> None:
        self._server: Any = server
        self._body, self._ended = body, ended
        self._box: Mailbox[bytes | BaseException | None] = Mailbox()
        self._stopped = False

    def start(self) -> None:
        """Begin; ``ended`` is called when llama.cpp has let go of the request, whatever happens."""
        threading.Thread(target=self._run, name="touchstone-llama").start()

    def stop(self) -> None:
        """Make llama.cpp drop the request at its next token or step."""
        self._stopped = True

    async def chunks(self) -> list[bytes | BaseException | None]:
        """Wait for what has come: chunks, then ``None`` at the end, or the error llama.cpp raised."""
        return await self._box.take()

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            self._server.handle_chat_completions(self._body, self._on_chunk)
        except (ValueError, RuntimeError, TypeError, MemoryError) as error:  # told apart where the answer is read
            end = error
        finally:
            self._server = None  # the last holder of an engine that was released meanwhile frees it here
            self._ended()
            self._hand_over(end)

    def _on_chunk(self, chunk: bytes) -> bool:
        self._hand_over(chunk)
        return self._stopped or not threading.main_thread().is_alive()

    def _hand_over(self, item: bytes | BaseException | None) -> None:
        if not self._box.put(item):
            self._stopped = True
