"""Deletes a person everywhere: what they uploaded in any app, and all that the workspace keeps under their name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from apps.uploads import PREFIXES, collection_of
from core import erasure
from core.errors import NotFound
from core.retrieval.library import Library
from core.types import Caller

UPLOADS = "uploads"  # how many collections of uploads there were, in what :func:`erase` returns


def erase(library: Library, caller: Caller) -> Mapping[str, int]:
    """Delete ``caller``; called again after a crash it goes on where it was.

    A shop's own records (orders, returns) are not Touchstone's to delete. A backup that was made before still has everything.

    Returns:
        How much there was, by table.
    """
    dropped = 0
    with erasure.overwriting(library.workspace):
        for prefix in PREFIXES:
            with suppress(NotFound):
                library.for_caller(caller).drop(collection_of(prefix, caller))
                dropped += 1
    found = dict(erasure.erase(library.workspace, caller))
    return {UPLOADS: dropped, **found} if dropped else found
