"""Draw the simulated people: ``python -m apps.recommendation.sample [--vectors] [--lesson]``.

Each has a taste (two or three tags), a leaning to some kinds, and a share of chance. What they take next is drawn by
taste, by how well known a thing is, and by likeness to what they took last, so that there is something to learn.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from apps.recommendation.data import Item, read_items
from apps.recommendation.sample import INTERACTIONS, ITEMS, LESSON, VECTORS

SEED, PEOPLE = 7, 500
EVENTS = (6, 15)
BEGIN, DAY_S = 1_735_689_600, 86_400  # 2025-01-01
TASTES = (
    ("sci-fi", "space"), ("mystery", "crime"), ("comedy", "family"), ("food", "coffee", "kitchen"),
    ("travel", "outdoor", "nature"), ("jazz", "piano", "quiet", "music"), ("history", "war"), ("fantasy", "romance"),
    ("sport", "health"), ("horror", "thriller"), ("science", "business"), ("family", "animation", "children"),
    ("language", "art", "craft"), ("pets", "home", "quiet"),
)  # fmt: skip


def drawn(items: list[Item]) -> list[tuple[str, str, int, int]]:
    """``(user, item, rating, timestamp)`` of everybody."""
    rng = np.random.default_rng(SEED)
    tags = sorted({tag for item in items for tag in item.tags})
    has = np.array([[tag in item.tags for tag in tags] for item in items], dtype=float)
    alike = has @ has.T / np.sqrt(np.outer(has.sum(1), has.sum(1)))
    known = rng.permutation(1 / np.arange(5, 5 + len(items)) ** 0.7)
    kinds = sorted({item.kind for item in items})
    rows: list[tuple[str, str, int, int]] = []
    for person in range(PEOPLE):
        taste = TASTES[person % len(TASTES)]
        wanted = has[:, [tags.index(tag) for tag in taste if tag in tags]].sum(axis=1)
        leaning = dict(zip(kinds, rng.dirichlet(np.full(len(kinds), 1.5)), strict=True))
        base = 2.2 * wanted + np.log(known) + np.array([np.log(leaning[item.kind] + 0.05) for item in items])
        at = BEGIN + int(rng.integers(0, 350)) * DAY_S
        open_ = np.ones(len(items), dtype=bool)
        last: int | None = None
        for _ in range(int(rng.integers(*EVENTS))):
            logit = base + (2.0 * alike[last] if last is not None else 0.0)
            share = np.where(open_, np.exp(logit - logit.max()), 0)
            chosen = int(rng.choice(len(items), p=share / share.sum()))
            rating = int(np.clip(np.rint(rng.normal(3.2 + 0.7 * min(wanted[chosen], 2), 0.8)), 1, 5))
            rows.append((f"s{person + 1:03d}", items[chosen].id, rating, at))
            open_[chosen], last = False, chosen
            at += int(rng.exponential(6 * DAY_S)) + 600
    return rows


def write_vectors(items: list[Item]) -> int:
    """Embed the texts with the model that comes with the install."""
    from core.providers.sync import run
    from core.retrieval import vectors
    from core.retrieval.meaning import Meaning, key
    from core.runtime import Runtime
    from core.settings import load_settings, override

    texts = [item.text() for item in items]
    with tempfile.TemporaryDirectory() as home, Runtime(override(load_settings(), home=home)) as runtime:
        meaning = Meaning(runtime.workspace, runtime.embedding("embedded:e5"))
        run(meaning.vectors(texts))
        with runtime.workspace.read() as db:
            return vectors.export_file(db, meaning.model.name, [key(text) for text in texts], Path(VECTORS))


def write_lesson() -> int:
    """Learn from everybody with the vectors that are there; gives how many held-out events the weights come from."""
    from apps.recommendation.service import Recommender
    from core.runtime import Runtime
    from core.settings import load_settings, override

    LESSON.unlink(missing_ok=True)
    settings = override(load_settings(), models__embedding="embedded:e5")
    with tempfile.TemporaryDirectory() as home, Runtime(override(settings, home=home)) as runtime:
        learnt_from = Recommender(runtime).catalogue().fused.learnt_from
        (made,) = (Path(home) / "recommendation").glob("*.npz")
        shutil.copyfile(made, LESSON)
    return learnt_from


def main() -> None:
    items, _ = read_items(ITEMS)
    with INTERACTIONS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("user", "item", "rating", "timestamp"))
        writer.writerows(drawn(items))
    if "--vectors" in sys.argv[1:]:
        sys.stdout.write(f"{write_vectors(items)} vectors\n")
    if "--lesson" in sys.argv[1:]:
        sys.stdout.write(f"weights learnt from {write_lesson()} events\n")


if __name__ == "__main__":
    main()
