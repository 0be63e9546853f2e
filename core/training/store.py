"""The trained models of a workspace: one folder a name, one a version, and a history of which version serves.

    trained/NAME/3/run.json        what was trained on what, and how
               /3/data/*.jsonl     the fixed splits
               /3/progress.jsonl   the curve
               /3/model/           what a provider loads
               /3/report.json      figures with every record's values, so that versions can be compared in pairs
               /3/README.md        the model card
    trained/NAME/history.jsonl     promotions and rollbacks; what it comes to is the version that serves

A version never changes once it is there. Which one serves is one line appended to a file.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, NotFound
from core.evaluation.datasets import Dataset, Record
from core.i18n import Phrase
from core.training.splits import PARTS, Splits

ENGINE = "trained"
ROLES: Mapping[str, str] = {
    "classification": "classifier", "pairs": "embedding", "conversations": "chat", "preferences": "chat",
    "entities": "entities", "text": "language",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Run:
    """What a version was made from: ``run.json``. ``settings`` are the recipe's."""

    name: str
    version: int
    recipe: str
    kind: str
    base: str
    base_source: str
    embedding: str
    settings: Mapping[str, Any]
    seed: int
    data: str
    checksum: str
    rows: Mapping[str, int]
    about_data: Mapping[str, Any]
    created_at: float
    made_by: str  # version of this program
    job: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One trained model, or one being trained."""

    folder: Path
    run: Run

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    @property
    def origin(self) -> str:
        """The base by name; of a folder its last two parts, for a name goes where the folder does not."""
        name = self.run.base or self.run.embedding
        return "/".join(Path(name).parts[-2:]) if Path(name).is_absolute() else name

    @property
    def finished(self) -> bool:
        return self.report.is_file()

    @property
    def served_as(self) -> str:
        return f"{ENGINE}:{self.run.name}@{self.run.version}"

    @property
    def role(self) -> str:
        """What the model is used for. Versions of one role may follow each other under a name, whatever they learned from."""
        if self.run.recipe == "masked":
            return "encoder"
        return "reranker" if self.reranks else ROLES[self.run.kind]

    @property
    def reranks(self) -> bool:
        """Whether it orders passages; other models of pairs embed."""
        return self.run.recipe == "cross-encoder"

    @property
    def adapts(self) -> bool:
        """Whether it is a matrix over another embedding model's vectors."""
        return self.run.recipe == "embedding-adapter"

    def facts(self) -> dict[str, Any]:
        """What the training came to: steps, weights, seconds; empty while it runs."""
        path = self.folder / "facts.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return found

    def splits(self) -> Splits:
        train, validation, test = (_read_part(self.folder / "data" / f"{part}.jsonl", self.run.data) for part in PARTS)
        return Splits(train, validation, test)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the history."""

    version: int
    what: str  # promoted, forced, rolled_back
    at: float
    by: str
    compared: Mapping[str, Any] = field(default_factory=dict)


class Trained:
    """The trained models under ``home``."""

    def __init__(self, home: Path) -> None:
        self.folder = home / ENGINE

    def names(self) -> list[str]:
        return sorted(p.name for p in self.folder.glob("*") if p.is_dir()) if self.folder.is_dir() else []

    def versions(self, name: str) -> list[Version]:
        """All versions of ``name``, the oldest first; none for a name that is not there."""
        numbers = [int(p.parent.name) for p in (self.folder / checked_name(name)).glob("*/run.json")]
        return [self._open(name, number) for number in sorted(numbers)]

    def version(self, name: str, number: int | None = None) -> Version:
        """Version ``number`` of ``name``, by default the newest one that is finished.

        Raises:
            NotFound: there is no such model or version.
        """
        there = self.versions(name)
        if not there:
            raise NotFound(kind="trained model", value=name)
        wanted = [v for v in there if (v.finished if number is None else v.run.version == number)]
        if not wanted:
            raise NotFound(kind="version", value=f"{name}@{'' if number is None else number}")
        return wanted[-1]

    def create(self, run: Run, splits: Splits) -> Version:
        """A new version of ``run.name``, with its data written; ``run.version`` is given here."""
        parent = self.folder / checked_name(run.name)
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max((int(p.name) for p in parent.glob("[0-9]*") if p.is_dir()), default=0) + 1
        while True:
            folder = parent / str(number)
            try:
                folder.mkdir()  # two runs that begin at once get two numbers
                break
            except FileExistsError:
                number += 1
        (folder / "data").mkdir()
        for part in PARTS:
            _write_part(folder / "data" / f"{part}.jsonl", getattr(splits, part))
        made = Version(folder, Run(**{**asdict(run), "version": number}))
        self.save(made)
        return made

    def save(self, version: Version) -> None:
        """Write ``run.json``, whole or not at all."""
        write_whole(version.folder / "run.json", json.dumps(asdict(version.run), ensure_ascii=False, indent=1))

    # --- which version serves ----------------------------------------------------------------------

    def history(self, name: str) -> list[Step]:
        path = self.folder / checked_name(name) / "history.jsonl"
        if not path.is_file():
            return []
        return [Step(**json.loads(line)) for line in path.read_text("utf-8").splitlines() if line.strip()]

    def serving(self, name: str) -> int | None:
        """The number of the version that serves, or ``None``."""
        standing = _standing(self.history(name))
        return standing[-1] if standing else None

    def chosen(self, name: str, number: int | None) -> Version:
        """Version ``number``, else the one that serves, else the newest that is finished. Raises as :meth:`version`."""
        return self.version(name, self.serving(name) if number is None else number)

    def current(self, name: str) -> Version:
        """The version that serves as ``trained:NAME``.

        Raises:
            NotFound: no model of this name.
            InputError: (reason ``not_promoted``) none of its versions was promoted.
        """
        number = self.serving(name)
        if number is None:
            if not self.versions(name):
                raise NotFound(kind="trained model", value=name)
            raise InputError(reason="not_promoted", name=name)
        return self.version(name, number)

    def promote(self, version: Version, *, what: str, by: str, compared: Mapping[str, Any]) -> Step:
        """Let ``version`` serve from now on. The gate is :func:`core.training.promotion.promote`."""
        return self._append(version.run.name, Step(version.run.version, what, time.time(), by, compared))

    def rollback(self, name: str, *, by: str, shipped: bool = False) -> Step:
        """Let the version serve that served before.

        Args:
            shipped: where no version of this name serves, a model that the program brings does; so there is a way back
                from the first version too, told as version 0.

        Raises:
            InputError: (reason ``no_version_before``) there is none.
        """
        standing = _standing(self.history(name))
        if shipped and len(standing) == 1:
            return self._append(name, Step(0, "rolled_back", time.time(), by))
        if len(standing) < 2:
            raise InputError(reason="no_version_before", name=name)
        return self._append(name, Step(standing[-2], "rolled_back", time.time(), by))

    def _append(self, name: str, step: Step) -> Step:
        path = self.folder / checked_name(name) / "history.jsonl"
        with path.open("ab") as file:
            file.write(json.dumps(asdict(step), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return step

    def _open(self, name: str, number: int) -> Version:
        folder = self.folder / name / str(number)
        try:
            return Version(folder, Run(**json.loads((folder / "run.json").read_text("utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(reason="bad_head", name=f"{name}@{number}", detail=str(error)) from error


def serving_name(name: str, home: Path) -> str:
    """``trained:NAME@3`` for ``trained:NAME``; a name with a version, or one that nothing serves, as it is."""
    model, number = named(name.removeprefix(f"{ENGINE}:"))
    serving = Trained(home).serving(model) if number is None else None
    return name if serving is None else f"{ENGINE}:{model}@{serving}"


def named(model: str) -> tuple[str, int | None]:
    """``(name, version)`` of ``NAME`` or ``NAME@3``.

    >>> named("tickets@3"), named("tickets")
    (('tickets', 3), ('tickets', None))
    """
    name, at, number = model.partition("@")
    return (name, int(number)) if at and number.isdecimal() else (model, None)


def checked_name(name: str) -> str:
    """Raises: InputError: (reason ``bad_value``) not a name that can be a folder."""
    if not _NAME.fullmatch(name):
        raise InputError(reason="bad_value", name="name", value=name, allowed=Phrase("training.name"))
    return name


def write_whole(path: Path, text: str) -> None:
    """Write beside and rename: a kill leaves the old file or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


def _standing(history: list[Step]) -> list[int]:
    """The versions that served, each over the one before it; a rollback takes the last away."""
    standing: list[int] = []
    for step in history:
        if step.what == "rolled_back":
            standing.pop()
        elif not standing or standing[-1] != step.version:
            standing.append(step.version)
    return standing


def _write_part(path: Path, data: Dataset) -> None:
    lines = (
        json.dumps(
            {"id": r.id, "input": r.input, "label": r.label, "answers": r.answers, "metadata": dict(r.metadata)},
            ensure_ascii=False,
        )
        for r in data.records
    )
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def _read_part(path: Path, name: str) -> Dataset:
    rows = (json.loads(line) for line in path.read_text("utf-8").split("\n") if line)
    records = tuple(
        Record(row["id"], row["input"], row["label"], tuple(row["answers"]), metadata=row["metadata"]) for row in rows
    )
    return Dataset(name, path.stem, records)
