"""Watching folders: looked at every few seconds, synced once they have been still for a moment.

Looking (sizes and times) works on every file system and over a network; it costs some 10 µs a file.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from core.errors import MissingFile
from core.retrieval import load
from core.retrieval.index import Index
from core.retrieval.records import SyncReport

LONGEST_S = 30.0  # what never comes to rest, such as a log, is read all the same
Look = dict[str, tuple[int, int]]


async def watch(
    index: Index,
    paths: Sequence[str | os.PathLike[str]],
    *,
    every_s: float = 2.0,
    still_s: float = 1.0,
    stop: asyncio.Event | None = None,
    **options: Any,
) -> AsyncGenerator[SyncReport, None]:
    """Sync ``paths`` now and whenever something there has changed; yields the report of each sync.

    A file that is being written is left until it is still; what a sync had to leave out is tried again. A path
    that is gone for a while (a drive that was taken out) leaves its documents as they are.

    Args:
        every_s: between two looks.
        still_s: for how long nothing may change before a sync.
        stop: ends the watch when it is set.
        options: of :meth:`core.retrieval.index.Index.sync`.

    Raises:
        MissingFile: a path is not there at the start.
    """
    stop = stop or asyncio.Event()
    synced: Look | None = None
    last: Look | None = None
    changed_at = still_since = time.monotonic()
    first = True
    while not stop.is_set():
        try:
            look = await asyncio.to_thread(_look, paths)
        except MissingFile:
            if first:
                raise
            await _pause(stop, every_s)
            continue
        now = time.monotonic()
        if look != last:
            if last == synced:
                changed_at = now
            last, still_since = look, now
        still = now - still_since >= still_s or now - changed_at >= LONGEST_S
        if look != synced and (still or first):
            report = await index.sync(paths, **options)
            again = any(row.error is not None and row.error.reason == "file_changing" for row in report.files)
            synced = None if again else look
            changed_at = time.monotonic()
            first = False
            yield report
        await _pause(stop, min(every_s, still_s) if look != synced else every_s)


def _look(paths: Sequence[str | os.PathLike[str]]) -> Look:
    seen: Look = {}
    for path, _ in load.files(paths).files:
        try:
            status = Path(path).stat()
        except OSError:
            continue  # gone between listing and looking: the next look will tell
        seen[str(path)] = status.st_size, status.st_mtime_ns
    return seen


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
