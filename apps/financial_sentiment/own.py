"""A head of one's own: trained on a file of labels, kept only in use when it is better on texts it has not seen.

The heads of a workspace are folders ``heads/sentiment/1``, ``2``, …; the file ``current`` beside them names the one in
use, and without it the shipped one is. A fifth of the texts, with all that are like them, is held out to compare the new
head with the one in use; the head that is kept is then trained on all of them.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apps.financial_sentiment import public
from apps.financial_sentiment.companies import Dictionary, places_of
from apps.financial_sentiment.head import Head, load
from apps.financial_sentiment.masking import mask
from apps.financial_sentiment.public import LABELS, Row
from apps.financial_sentiment.sketches import groups
from apps.financial_sentiment.train import on_rows
from apps.spreadsheet import decoded
from core.errors import InputError, MissingFile
from core.evaluation.significance import Comparison, paired_bootstrap

if TYPE_CHECKING:
    import numpy as np

LEAST = 40  # rows to learn from
HELD_OUT = 0.2
CONFIDENCE = 0.05  # the p below which better counts as better


@dataclass(frozen=True, slots=True)
class Trained:
    """A new head beside the one in use, on ``held_out`` rows; ``promoted`` says which is in use now."""

    number: int
    rows: int
    held_out: int
    accuracy: float
    current_accuracy: float
    against: Comparison
    promoted: bool


def read(path: Path, dictionary: Dictionary) -> list[Row]:
    """Rows of a CSV file with the columns ``text``, ``label`` and, if there is one, ``entity``: a name in the text or
    the id of a company.

    Raises:
        MissingFile: the file is not there.
        InputError: a column is missing, a label is none, or there are too few rows.
    """
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="train")
    reader = csv.DictReader(io.StringIO(decoded(path.read_bytes(), path.name), newline=""))
    for column in ("text", "label"):
        if column not in (reader.fieldnames or ()):
            allowed = ", ".join(reader.fieldnames or ())
            raise InputError(reason="data_column", where=path.name, value=column, allowed=allowed)
    told = [(row["text"].strip(), (row.get("entity") or "").strip(), row["label"].strip()) for row in reader]
    told = [row for row in told if row[0]]
    for _, _, label in told:
        if label not in LABELS:
            raise InputError(reason="bad_value", name="label", value=label, allowed=", ".join(LABELS))
    if len(told) < LEAST or len({label for _, _, label in told}) < 2:
        raise InputError(reason="bad_value", name=path.name, value=len(told), allowed=f"{LEAST} …")
    numbers = groups([text for text, _, _ in told])
    return [row(number, *one, group, dictionary) for number, (one, group) in enumerate(zip(told, numbers, strict=True))]


def row(number: int, text: str, entity: str, label: str, group: int, dictionary: Dictionary) -> Row:
    mentions = dictionary.find(text)
    own = next((list(m.spans) for m in mentions if m.company.id == entity), None)
    if own is None:
        own = public.spans(text, entity) if entity else []
    return Row(str(number), text, entity, label, group, mask(text, own, places_of(mentions, entity)))


def train(
    rows: list[Row], folder: Path, before: Head, vectors: np.ndarray, *, embedding: str = "", force: bool = False
) -> Trained:
    """Train a head, compare it with the one used ``before``, keep it, and use it from now on when it is better.

    Args:
        vectors: of the rows' ``spoken`` texts by the model ``embedding``; without columns when there is none. With one
            the recipe is ``stacked``, else ``words``.
        force: use it whatever the comparison says.

    Raises:
        InputError: too little is left to learn from, or to compare on.
    """
    import numpy as np

    held = np.array([_held(rows[row.group].text) for row in rows])
    learned, unseen = np.flatnonzero(~held), np.flatnonzero(held)
    if len(unseen) < 5 or len({rows[i].label for i in learned}) < 2:
        raise InputError(reason="bad_value", name="held_out", value=len(unseen), allowed="5 …")
    kind = "stacked" if embedding else "words"
    trial = on_rows(kind, [rows[i] for i in learned], vectors[learned], embedding=embedding)
    texts, truth = [rows[i].masked for i in unseen], [rows[i].label for i in unseen]
    mine, theirs = (
        np.array([j.label == t for j, t in zip(head.judge(texts, vectors[unseen]), truth, strict=True)], float)
        for head in (trial, before)
    )
    found = paired_bootstrap(mine, theirs)
    promoted = force or (found.difference > 0 and found.p < CONFIDENCE)
    number = max((int(p.name) for p in folder.glob("[0-9]*") if p.is_dir()), default=0) + 1
    about = {
        "version": f"own-{number}",
        "labels": dict(Counter(row.label for row in rows)),
        "held_out": {"rows": len(unseen), "accuracy": float(mine.mean()), "in_use_before": float(theirs.mean())},
    }
    on_rows(kind, rows, vectors, embedding=embedding, about=about).save(folder / str(number))
    if promoted:
        use(folder, number)
    return Trained(number, len(rows), len(unseen), float(mine.mean()), float(theirs.mean()), found, promoted)


def use(folder: Path, number: int | None) -> None:
    """Use head ``number`` of the workspace from now on; ``None`` goes back to the shipped one.

    Raises:
        MissingFile: there is no such head.
    """
    if number is None:
        (folder / "current").unlink(missing_ok=True)
        return
    load(folder / str(number))
    (folder / "current").write_text(str(number), "utf-8")


def in_use(folder: Path) -> Head | None:
    """The workspace's own head, when one is in use.

    Raises:
        MissingFile: its folder is gone.
        InputError: (``bad_head``) its files are damaged.
    """
    number = current(folder)
    return load(folder / number) if number else None


def current(folder: Path) -> str:
    """The number of the head in use, or nothing."""
    try:
        return (folder / "current").read_text("utf-8").strip()
    except FileNotFoundError:
        return ""


def _held(text: str) -> bool:
    return public.share(text) < HELD_OUT
