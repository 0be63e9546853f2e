"""What belongs to one question: its trace id, who asked, and the prompt in use.

Carried in a context variable, so that the ledger row of a call made deep inside an app knows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from core.types import LOCAL, Caller


@dataclass(frozen=True, slots=True)
class Trace:
    trace_id: str
    caller: Caller = LOCAL
    prompt: str | None = None  # id@version


_current: ContextVar[Trace | None] = ContextVar("touchstone_trace", default=None)


def new_trace_id() -> str:
    """32 hex digits, as in W3C Trace Context."""
    return os.urandom(16).hex()


def current_trace() -> Trace:
    """The trace of this context, or a fresh one for a call outside any."""
    return _current.get() or Trace(new_trace_id())


@contextmanager
def trace(caller: Caller | None = None, prompt: str | None = None, trace_id: str | None = None) -> Iterator[Trace]:
    """Start a trace, or narrow the current one; what is not given is kept.

    Do not hold it open across the yield of a generator: a context variable set in one step may not be
    there in the next. Pass a model's whole stream through ``core.telemetry.ledger.Recorded`` instead.
    """
    outer = _current.get()
    inner = outer or Trace(trace_id or new_trace_id())
    if trace_id:
        inner = replace(inner, trace_id=trace_id)
    if caller:
        inner = replace(inner, caller=caller)
    if prompt:
        inner = replace(inner, prompt=prompt)
    token = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(token)
