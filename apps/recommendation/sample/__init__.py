"""The sample: invented things in both languages, and invented people whose histories a script drew.

``python -m apps.recommendation.sample`` draws the histories anew (the same ones: the seed is fixed) and, when told, writes
the vectors of the texts and what is learnt from the histories. Nobody is behind these people; pages call them simulated.
"""

from __future__ import annotations

from pathlib import Path

from apps.recommendation.data import Event, Item, read_events, read_items
from core.workspace import Workspace

FOLDER = Path(__file__).parent
ITEMS, INTERACTIONS, VECTORS = FOLDER / "items.csv", FOLDER / "interactions.csv", FOLDER / "vectors.npz"
LESSON = FOLDER / "lesson.npz"  # see apps.recommendation.lesson
PERSONAS = ("s001", "s002", "s003", "s004", "s005", "s006")  # one for each of the first tastes


def load() -> tuple[list[Item], list[Event]]:
    """The catalogue and the simulated events."""
    items, _ = read_items(ITEMS)
    events, _ = read_events(INTERACTIONS, known=frozenset(item.id for item in items))
    return items, events


def bring_vectors(workspace: Workspace, model: str) -> None:
    """Put the vectors that come with the sample into the workspace, if ``model`` made them."""
    from core.retrieval import vectors

    if VECTORS.is_file():
        with workspace.write() as db:
            vectors.import_file(db, VECTORS, model)
