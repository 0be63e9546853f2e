"""Shadow traffic: a new version of a classifier is asked beside the one that serves, and only its agreement is kept.

    trained/NAME/shadow.json     {"version": 4, "since": …}
    trained/NAME/shadow.jsonl    one line an answer: both labels and their probabilities; the texts are not kept

A shadow costs its time with each call. What goes wrong in it is a line of the log, never of the caller.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError, TouchstoneError
from core.settings import Settings
from core.training.classifiers import Classifier, open_classifier
from core.training.store import Trained, Version, checked_name, write_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a shadow said beside the version that served: ``differed`` counts ``(served, shadow)`` labels."""

    version: int
    since: float
    answers: int
    agreed: int
    differed: Mapping[tuple[str, str], int]


class Shadow:
    """The shadow of one trained model, if it has one."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name, self._settings = name, settings
        self._folder = Trained(settings.home).folder / checked_name(name)
        self._opened: tuple[int, Classifier] | None = None

    @property
    def _told(self) -> Path:
        return self._folder / "shadow.json"

    @property
    def _lines(self) -> Path:
        return self._folder / "shadow.jsonl"

    def begin(self, version: Version) -> None:
        """Ask ``version`` beside the one that serves from now on; what another shadow said is forgotten.

        Raises:
            InputError: ``wrong_kind``, it is no classifier; ``not_finished``; ``not_promoted``, none serves that it
                could stand beside; ``serves_already``, it serves itself.
        """
        if version.run.kind != "classification":
            raise InputError(
                reason="wrong_kind", name=version.served_as, kind=version.run.kind, wanted="classification"
            )
        if not version.finished:
            raise InputError(reason="not_finished", name=version.served_as)
        if version.run.version == Trained(self._settings.home).current(self._name).run.version:
            raise InputError(reason="serves_already", name=version.served_as)
        self._lines.unlink(missing_ok=True)
        write_whole(self._told, json.dumps({"version": version.run.version, "since": time.time()}))

    def end(self) -> None:
        """Ask it no longer; what it said stays until another one begins."""
        self._told.unlink(missing_ok=True)

    def version(self) -> int | None:
        """The version that is asked beside, or ``None``."""
        try:
            return int(json.loads(self._told.read_text("utf-8"))["version"])
        except FileNotFoundError:
            return None

    async def beside(self, text: str, served: Classifier, label: str, probability: float) -> None:
        """Ask the shadow what the served classifier has just answered, and note both."""
        try:
            number = self.version()
            if number is None or served.name.endswith(f"@{number}"):
                return
            classifier = await self._classifier(number)
            (shares,) = await classifier.probabilities([text])
            best = int(shares.argmax())
            row = {"at": round(time.time(), 3), "version": number, "served": label, "p": round(probability, 4), "shadow": classifier.labels[best], "q": round(float(shares[best]), 4)}  # fmt: skip
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except (TouchstoneError, OSError, ValueError, LookupError, TypeError) as error:  # a full disk, a damaged file
            log.warning("the shadow of trained:%s failed: %s", self._name, error)

    def told(self) -> Shadowed:
        """What came of it so far.

        Raises:
            InputError: (reason ``no_shadow``) nothing is asked beside, and nothing was said.
        """
        rows = []
        if self._lines.is_file():
            rows = [json.loads(line) for line in self._lines.read_text("utf-8").splitlines() if line.endswith("}")]
        number = self.version()
        if number is None and not rows:
            raise InputError(reason="no_shadow", name=self._name)
        differed = Counter((row["served"], row["shadow"]) for row in rows if row["served"] != row["shadow"])
        agreed = sum(row["served"] == row["shadow"] for row in rows)
        since = min((row["at"] for row in rows), default=time.time())
        return Shadowed(number or rows[-1]["version"], since, len(rows), agreed, dict(differed.most_common()))

    async def aclose(self) -> None:
        if self._opened:
            await self._opened[1].aclose()
            self._opened = None

    async def _classifier(self, number: int) -> Classifier:
        if self._opened is None or self._opened[0] != number:
            await self.aclose()
            version = Trained(self._settings.home).version(self._name, number)
            self._opened = (number, open_classifier(version, self._settings))
        return self._opened[1]
