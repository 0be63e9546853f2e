"""Can the models in use answer? Looked up in the background, never by a script run.

A page asks :func:`of` and gets what is known; when that is older than ``FRESH_S`` a thread looks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from core.errors import BadRequest, InvalidResponse, ModelNotFound, TouchstoneError
from core.providers.registry import split_name
from core.providers.sync import run
from core.runtime import Runtime
from core.types import Capabilities

FRESH_S = 30.0
QUICK = {"TOUCHSTONE_CONNECT_S": "3", "TOUCHSTONE_FIRST_TOKEN_S": "8", "TOUCHSTONE_ATTEMPTS": "1"}
Status = Literal["ok", "failed", "unknown"]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one model. ``error`` says why it failed; a chat model says what it can do."""

    model: str
    status: Status
    error: TouchstoneError | None = None
    looked_at: float = 0.0  # time.monotonic(); 0 before the first look
    capabilities: Capabilities | None = None


class Monitor:
    """Keeps the health of a runtime's models, looking again in one background thread for each role."""

    def __init__(self, probe: Callable[[Runtime, str], Capabilities | None]) -> None:
        self._probe = probe
        self._known: dict[str, Health] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def of(self, runtime: Runtime, role: str) -> Health:
        """What is known of the model of ``role``; starts a look when that is old or of another model."""
        model = runtime.settings.model(role)
        known = self._known.get(role)
        current = known if known and known.model == model else Health(model, "unknown")
        if model and (not current.looked_at or time.monotonic() - current.looked_at > FRESH_S):
            with self._lock:
                start = role not in self._busy
                self._busy.add(role)
            if start:
                threading.Thread(
                    target=self._look, args=(runtime, role, model), name="touchstone-health", daemon=True
                ).start()
        return current

    def settle(self, runtime: Runtime, roles: Iterable[str], within_s: float) -> None:
        """Wait until every model has been looked at once, or ``within_s`` has passed."""
        end = time.monotonic() + within_s
        waiting = [role for role in roles if runtime.settings.model(role)]
        while any(not self.of(runtime, role).looked_at for role in waiting) and time.monotonic() < end:
            time.sleep(0.02)

    def forget(self) -> None:
        """Look again at the next question, as after new settings."""
        self._known = {}

    def _look(self, runtime: Runtime, role: str, model: str) -> None:
        try:
            able = self._probe(runtime, role)
            health = Health(model, "ok", looked_at=time.monotonic(), capabilities=able)
        except TouchstoneError as error:
            health = Health(model, "failed", error, time.monotonic())
        except Exception:  # a thread's exception would be lost: it is logged, and nothing is claimed
            log.exception("looking at the %s model failed", role)
            health = Health(model, "unknown", looked_at=time.monotonic())
        with self._lock:
            self._known = {**self._known, role: health}
            self._busy.discard(role)


def probe(runtime: Runtime, role: str) -> Capabilities | None:
    """Open the model of ``role``, and ask a service for its list of models, which costs no tokens.

    Returns:
        What a chat model can do.

    Raises:
        TouchstoneError: it cannot be opened or reached, or refuses the key.
    """
    settings = runtime.settings
    name = settings.model(role)
    able = None
    if role == "embedding":
        runtime.embedding(name)
    elif role == "rerank":
        runtime.reranker(name)
    else:
        able = runtime.chat(name).capabilities
    engine, service, _ = split_name(name, settings)
    if engine.name == "openai":
        from core.providers.openai import list_models

        with suppress(ModelNotFound, BadRequest, InvalidResponse):  # it answers, but does not list its models
            run(list_models(service, settings.with_values(**QUICK)))
    return able


_monitors: WeakKeyDictionary[Runtime, Monitor] = WeakKeyDictionary()
_lock = threading.Lock()


def monitor(runtime: Runtime) -> Monitor:
    with _lock:
        if runtime not in _monitors:
            _monitors[runtime] = Monitor(probe)
        return _monitors[runtime]


def of(runtime: Runtime, role: str) -> Health:
    """What is known of the model of ``role`` now; costs microseconds."""
    return monitor(runtime).of(runtime, role)
