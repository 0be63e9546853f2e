"""The fit in use, and the thread in which the next one is made. Requests meanwhile use the old one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from apps.recommendation.catalogue import Catalogue

log = logging.getLogger(__name__)
REFIT_AFTER = 50  # things told since the last fit; each counts at once all the same
Source = tuple[Path, int, str]  # the workspace, the number of the import, the embedding model


class Fits:
    """Keeps one :class:`Catalogue` up to date. Safe to share between threads.

    Args:
        make: fits on all events.
        source: what a fit depends on besides clicks, as it is now; a fit of another source is not used.
    """

    def __init__(self, make: Callable[[Callable[[str], None]], Catalogue], source: Callable[[], Source]) -> None:
        self._make, self._source = make, source
        self._lock = threading.RLock()
        self._told = 0  # since the last fit, in this process
        self._thread: threading.Thread | None = None
        self.last: Catalogue | None = None
        self.error: Exception | None = None  # why the last fit in the background came to nothing

    def current(self) -> Catalogue:
        """The fit in use; made anew when files were imported since, or the models have changed."""
        with self._lock:
            if self.last is None or self.last.source != self._source():
                self.last = self._make(lambda _: None)
            return self.last

    def anew(self, progress: Callable[[str], None]) -> Catalogue:
        """Fit on all events and take the result into use at once."""
        self._told = 0
        return self._taken(self._make(progress))

    def begin(self) -> bool:
        """Fit in the background; until then, and when that fails, the last good fit serves. Not while one is under way."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return False
            self._told = 0
            self._thread = threading.Thread(target=self._behind, name="touchstone-refit", daemon=True)
            self._thread.start()
            return True

    def told(self) -> None:
        """Something was told; after :data:`REFIT_AFTER` of it a fit begins."""
        self._told += 1
        if self._told >= REFIT_AFTER:
            self.begin()

    def wait(self) -> None:
        """Until the fit in the background is through."""
        if (thread := self._thread) is not None:
            thread.join()

    def _behind(self) -> None:
        try:
            self._taken(self._make(lambda _: None))
            self.error = None
        except Exception as error:  # the last good fit goes on serving, whatever it was
            log.exception("the fit in the background failed; the last one goes on serving")
            self.error = error

    def _taken(self, made: Catalogue) -> Catalogue:
        """``made`` in use, unless files were imported while it was being made: then the next request fits anew."""
        with self._lock:
            if made.source == self._source():
                self.last = made
        return made
