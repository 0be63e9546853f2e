"""Real OpenAI-compatible servers: llama.cpp on loopback, with the chat model that comes with the install or one of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.providers.embedded import CHAT, find_file
from core.providers.openmp import be_polite


@contextmanager
def llama_server(path: Path | None = None, *, slots: int = 4, context_tokens: int = 2048) -> Iterator[str]:
    """Run the server with the chat model of a file; gives its base URL. Loading takes about half a second."""
    params = _params(path or find_file(CHAT["smollm2"]))
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    # An answer may not depend on what was asked before: a prompt read from the cache gives other last digits, and a
    # greedy model of 135 million parameters then other words.
    params.cache_prompt = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_threads_http = 4
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # the other core works on other tests
    server = _started(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


def embedding_server(path: Path) -> Any:
    """A server that embeds; it ends when it is collected."""
    return _pooled(path, "MEAN")


def rerank_server(path: Path) -> Any:
    """A server with a reranker; it ends when it is collected."""
    return _pooled(path, "RANK")


def _pooled(path: Path, pooling: str) -> Any:
    import xllamacpp

    params = _params(path)
    params.embedding = True
    params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling}")
    params.n_ctx = params.n_batch = params.n_ubatch = 4096
    return _started(params)


def _params(path: Path) -> Any:
    be_polite()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.warmup = params.fit_params = params.ui = False
    params.endpoint_metrics = True
    params.verbosity = -1
    # One thread: several spin while they wait for one another, which takes minutes when the machine is busy.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    return params


def _started(params: Any) -> Any:
    import xllamacpp

    server = xllamacpp.Server(params)
    server.handle_metrics()  # its loop runs: from here on it can be closed
    return server
