"""Try an unknown model file in a process of its own before it is opened in this one.

llama.cpp ends the process when a file's numbers contradict each other, and says why it refuses a file only on its
error output. So before a file is used for the first time a child process loads it as it would be loaded here and
computes one token; what it says becomes the error's detail. A file that passed is not tried again until it changes.

``python -m core.providers.llama_trial PATH PLAN`` is that child.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.providers.gguf_file import damaged
from core.providers.llama import open_server
from core.providers.verified import is_verified, remember

TRIAL_S = 300.0
_ROOT = Path(__file__).parent.parent.parent  # where the package core is found
_REASON = re.compile(r"error loading model: (?:error loading model [\w-]+: )?(.+)")


def try_model(path: Path, plan: Mapping[str, Any], home: Path) -> None:
    """Load ``path`` in a child process, once per file, ``plan`` and version of llama.cpp.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) llama.cpp refuses the file, or crashes on it.
    """
    wanted = json.dumps(plan, sort_keys=True)
    proof = f"xllamacpp {version('xllamacpp')} {wanted}"
    if is_verified(home, path, proof):
        return
    try:
        trial = subprocess.run(  # noqa: S603 (our own interpreter and module; the file is an argument)
            [sys.executable, "-m", "core.providers.llama_trial", str(path.absolute()), wanted],
            cwd=_ROOT,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise damaged(path, "too_slow", limit_s=TRIAL_S) from error
    said = trial.stderr.decode("utf-8", "replace").strip()
    reason = _REASON.search(said)
    if reason:
        raise damaged(path, "refused", words=reason[1].strip())
    if trial.returncode < 0:
        raise damaged(path, "crashes", signal=-trial.returncode)
    if trial.returncode:
        raise damaged(path, "refused", words=said.splitlines()[-1] if said else trial.returncode)
    remember(home, path, proof)


def main(path: str, plan: str) -> None:
    wanted = json.loads(plan)
    server = open_server(Path(path), wanted, verbosity=1)
    if wanted.get("embedding"):
        server.handle_embeddings({"input": ["a"]})
    else:
        server.handle_completions({"prompt": "a", "max_tokens": 1})


if __name__ == "__main__":
    main(*sys.argv[1:])
