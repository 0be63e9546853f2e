"""A fit made from what the store has: events as arrays, texts as vectors, methods with their weights."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from apps.recommendation import lesson, preferences, sample
from apps.recommendation.catalogue import Catalogue
from apps.recommendation.data import SAMPLE, Item
from apps.recommendation.diversity import Likeness, Standing, fame
from apps.recommendation.exposure import exposure, standing
from apps.recommendation.fusion import Fused, fit
from apps.recommendation.generators import centered
from apps.recommendation.lesson import Lesson
from apps.recommendation.lists import FEEDBACK
from apps.recommendation.log import Array, Log
from apps.recommendation.store import Store
from core.errors import NotFound, TouchstoneError
from core.providers.sync import run
from core.retrieval.meaning import Meaning
from core.retrieval.records import Progress
from core.runtime import Runtime

log = logging.getLogger(__name__)
TEXTS = 64  # embedded between two words of progress


def learnt(runtime: Runtime, store: Store, source: tuple[Path, int, str], progress: Callable[[str], None]) -> Catalogue:
    """Everything fitted on all events.

    Raises:
        NotFound: the catalogue has no items.
    """
    items = store.items()
    if not items:
        raise NotFound(kind="catalogue", value=store.catalogue)
    number = {item.id: i for i, item in enumerate(items)}
    taken = store.log(number, without=[kind for kind, weight in FEEDBACK.items() if weight <= 0])
    vectors = _vectors(runtime, items, store.catalogue)
    numbers = np.array([np.nan if item.year is None else item.year for item in items], dtype=float)
    fused, places = _taught(runtime, store, taken, vectors, numbers, progress)
    near = centered(vectors) if vectors is not None else None
    shows = {
        concept.name: np.array([preferences.in_item(concept, item, "") is not None for item in items])
        for concept in preferences.concepts()
    }
    titles, tags = preferences.Titles(items), Counter(tag for item in items for tag in item.tags)
    counts = taken.counts()
    stock, age = np.array([item.stock for item in items]), np.array([item.age for item in items])
    kind = np.array([item.kind for item in items])
    return Catalogue(
        items, number, fused, vectors, near, titles, source, counts, shows, tags, stock, age, kind,
        places, Likeness.of(near, (item.tags for item in items)),
    )  # fmt: skip


def _taught(
    runtime: Runtime,
    store: Store,
    taken: Log,
    vectors: Array | None,
    numbers: Array,
    progress: Callable[[str], None],
) -> tuple[Fused, Standing]:
    """Fitted with what these data taught before, if that is kept; else learnt, and kept for the next process."""
    of = lesson.digest(taken, vectors, numbers)
    name = hashlib.blake2b(repr((store.tenant, store.catalogue)).encode(), digest_size=8).hexdigest()
    place = runtime.workspace.folder / "recommendation" / f"{name}.npz"
    kept = lesson.read((sample.LESSON, place) if store.catalogue == SAMPLE else (place,), of)
    fused = fit(taken, vectors=vectors, numbers=numbers, progress=progress, lesson=kept)
    if kept is None:
        kept = Lesson(fused.weights, fused.learnt_from, exposure(fused, fame(taken.counts())))
        lesson.write(place, of, kept)
    return fused, standing(fused, kept.exposure)


def embed(runtime: Runtime, items: Sequence[Item], told: Callable[[Progress], None]) -> None:
    """Make the vectors of the items' texts that the workspace lacks, so that a fit finds them.

    Without a model that can, nothing is made, and :func:`learnt` says so.
    """
    texts = [item.text() for item in items]
    try:
        meaning = Meaning(runtime.workspace, runtime.embedding())
        for begin in range(0, len(texts), TEXTS):
            told(Progress("vectors", begin, len(texts)))
            run(meaning.vectors(texts[begin : begin + TEXTS]))
    except TouchstoneError as error:
        log.warning("recommending without item texts: %s", error)


def _vectors(runtime: Runtime, items: Sequence[Item], catalogue: str) -> Array | None:
    """Embeddings of the items' texts; ``None`` when the model that is set cannot make them."""
    try:
        meaning = Meaning(runtime.workspace, runtime.embedding())
        if catalogue == SAMPLE:
            sample.bring_vectors(runtime.workspace, meaning.model.name)
        return run(meaning.vectors([item.text() for item in items]))
    except TouchstoneError as error:
        log.warning("recommending without item texts: %s", error)
        return None
