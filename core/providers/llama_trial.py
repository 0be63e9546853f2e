"""Try an unknown model file in a process of its own before it is opened in this one.

llama.cpp ends the process when a file's numbers contradict each other, and says why it refuses a file only on its
error output. So the first time a file is used a child process loads it with the smallest context and computes one
token; what it says becomes the error's detail. A file that passed is not tried again until it changes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from core.providers.gguf_file import damaged
from core.providers.verified import is_verified, remember

TRIAL_S = 300.0
_TRIAL = """
import secrets, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = params.n_batch = params.n_ubatch = 256
params.fit_params = params.warmup = params.ui = False
params.verbosity = params.n_threads_http = 1
params.endpoint_metrics = True
params.api_keys = [secrets.token_hex(32)]
params.embedding = sys.argv[2] == "embedding"
server = xllamacpp.Server(params)
server.handle_metrics()
if params.embedding:
    server.handle_embeddings({"input": ["a"]})
else:
    server.handle_completions({"prompt": "a", "max_tokens": 1})
"""
_REASON = re.compile(r"error loading model: (?:error loading model [\w-]+: )?(.+)")


def try_model(path: Path, home: Path, kind: str) -> None:
    """Load ``path`` in a child process, once per file, version of llama.cpp and ``kind`` (chat or embedding).

    Raises:
        ConfigurationError: (reason ``bad_model_file``) llama.cpp refuses the file, or crashes on it.
    """
    proof = f"xllamacpp {version('xllamacpp')} {kind}"
    if is_verified(home, path, proof):
        return
    try:
        trial = subprocess.run(  # noqa: S603 (our own interpreter and program; the path is an argument)
            [sys.executable, "-c", _TRIAL, str(path), kind],
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise damaged(path, f"llama.cpp did not load it within {TRIAL_S:.0f} s") from error
    said = trial.stderr.decode("utf-8", "replace")
    found = _REASON.search(said)
    if found:
        raise damaged(path, f"llama.cpp says: {found[1].strip()}")
    if trial.returncode < 0:
        raise damaged(path, f"llama.cpp crashes on it (signal {-trial.returncode})")
    if trial.returncode:
        raise damaged(
            path, f"llama.cpp cannot run it: {said.strip().splitlines()[-1] if said.strip() else 'no reason given'}"
        )
    remember(home, path, proof)
