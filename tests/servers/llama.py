"""A real OpenAI-compatible server: llama.cpp with the model that comes with the install, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.providers.embedded import CHAT, find_file
from core.providers.openmp import be_polite


@contextmanager
def llama_server(*, slots: int = 4, context_tokens: int = 2048) -> Iterator[str]:
    """Run the server; gives its base URL. Loading takes about half a second."""
    be_polite()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(find_file(CHAT["smollm2"]))
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.warmup = params.fit_params = False
    params.endpoint_metrics = True
    params.verbosity = -1
    params.ui = False
    params.n_threads_http = 4
    # One thread: several spin while they wait for one another, which takes minutes when the machine is busy.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    server.handle_metrics()  # its loop runs: from here on it can be closed
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


def rerank_server(path: Path) -> Any:
    """llama.cpp's HTTP server on loopback with a reranker; it ends when it is collected."""
    be_polite()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.embedding = params.endpoint_metrics = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    params.n_ctx = params.n_batch = params.n_ubatch = 4096
    params.fit_params = params.warmup = params.ui = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    server.handle_metrics()
    return server
