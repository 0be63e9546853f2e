"""The intents of the sample shop: a head trained on our own sentences, in both languages, used without scikit-learn.

    python -m apps.customer_service.intents    # train anew on sample/intents/desk_train.csv, print what it says of desk_dev.csv

The head was trained on the embedded e5 and is asked with it, whatever embedding model the search uses.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.providers.sync import run
from core.types import Example

if TYPE_CHECKING:
    import numpy as np

    from core.runtime import Runtime
    from core.training.heads import Head, Prediction

HERE = Path(__file__).parent
MODEL = HERE / "model"
DATA = HERE / "sample" / "intents"
EMBEDDING = "embedded:e5"
INTENTS = "support-intents"  # a trained head of this name takes the shipped one's place


SHIPPED = frozenset({INTENTS})  # names under which the program brings a model: those have a way back to it


class Intents:
    """Opens the head at its first use, and another one when ``trained:support-intents`` is promoted or rolled back."""

    def __init__(self, runtime: Runtime, folder: Path = MODEL) -> None:
        self._runtime = runtime
        self._folder = folder
        self._opened: Path | None = None
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """
        Raises:
            MissingFile: the head is not there.
        """
        folder = serving(self._runtime.settings.home) if self._folder == MODEL else self._folder
        if self._head is None or folder != self._opened:
            from core.training.heads import load

            self._head, self._opened = load(folder), folder
        return self._head

    async def predict(self, text: str) -> tuple[Prediction, np.ndarray]:
        """The intent of ``text``, and its vector (kind ``query``, of the model ``head.embedding``), ``(d,)``."""
        import numpy as np

        head = self.head
        vectors = np.asarray(await self._runtime.embedding(head.embedding).embed([text], kind="query"), np.float32)
        (found,) = head.judge([text], vectors)
        return found, vectors[0]


def serving(home: Path) -> Path:
    """The folder of the sample's head in use: one's own comes first; a head of other files is never replaced."""
    from core.training.store import Trained

    store = Trained(home)
    number = store.serving(INTENTS)
    version = store.version(INTENTS, number) if number else None
    return version.model if version is not None and version.run.recipe == "head" else MODEL


def rows(name: str) -> list[Example]:
    """The sentences of a file in ``sample/intents``."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [Example(row["text"], row["label"]) for row in csv.DictReader(file)]


def asked() -> list[Example]:
    """Questions to the documents, which are no wish to act: those the answers may be tuned on."""
    lines = (HERE / "sample" / "questions.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    return [Example(row["question"], "question") for row in told if row["split"] == "tune"]


def main() -> int:
    from core.runtime import open_runtime
    from core.training.fit import fit

    with open_runtime() as runtime:
        embedding = runtime.embedding(EMBEDDING)
        head = run(fit([*rows("desk_train.csv"), *asked()], embedding, names=False))
        head.save(MODEL)
        checked = rows("desk_dev.csv")
        found = run(head.predict([row.text for row in checked], embedding))
    right = 0
    for row, said in zip(checked, found, strict=True):
        right += row.label == said.label
        if row.label != said.label or said.probability < 0.6:
            sys.stdout.write(f"{row.label:15} {said.label:15} {said.probability:.2f}  {row.text}\n")
    acted = [said for said in found if said.label != "question" and said.probability >= 0.6]
    wrong = sum(row.label == "question" for row, said in zip(checked, found, strict=True) if said in acted)
    sys.stdout.write(f"{right} of {len(checked)} right; {wrong} questions taken for a wish to act\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
