"""The service of an app, one for all sessions of the process."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import streamlit as st

from apps.ui import session
from core.runtime import Runtime

WARM_AFTER = 8  # runs of a page's script: whoever stays as long goes on asking
SETTLED_AFTER = 32  # runs; what is loaded by then stays, and to look through it for garbage takes a quarter of a second


class Service(Protocol):
    @property
    def runtime(self) -> Runtime: ...


T = TypeVar("T", bound=Service)


class Shared(Generic[T]):
    """Opens a service at its first use, and another when the runtime is another; whoever comes meanwhile waits."""

    def __init__(self, opened: Callable[[Runtime], T], preparing: str) -> None:
        """
        Args:
            opened: makes the service and prepares it.
            preparing: key of the text that is shown meanwhile.
        """
        self._opened, self._preparing = opened, preparing
        self._service: T | None = None
        self._lock = threading.Lock()
        self._uses = 0

    def __call__(self) -> T:
        runtime = session.runtime()
        found = self._service
        if found is not None and found.runtime is runtime:
            self._uses += 1
            if self._uses == WARM_AFTER:
                runtime.warm()
            elif self._uses == SETTLED_AFTER:
                gc.freeze()
            return found
        with self._lock:
            if self._service is None or self._service.runtime is not runtime:
                with st.spinner(session.t(self._preparing)):
                    self._service, self._uses = self._opened(runtime), 0
            return self._service

    def forget(self) -> None:
        """Open anew at the next use."""
        self._service = None
