"""Intents taught on the page: sentences of the shop's own beside those that come with the program, a head trained anew.

The head is a version of ``trained:support-intents`` like any other (see :mod:`core.training.store`): the Training page
shows it, and there is a way back. A part of the shipped sentences chooses how the head's views are mixed, and another,
with every fourth taught sentence of an intent, judges it beside the head in use; it learns from none of those.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.customer_service.intents import EMBEDDING, INTENTS, asked, rows, serving
from core.errors import InputError
from core.runtime import Runtime
from core.training import work
from core.training.corrections import Corrections
from core.training.fit import need_scikit_learn
from core.training.heads import Head, load
from core.training.label_errors import Suspect, suspects
from core.training.store import Trained
from core.types import Caller, Example

LEAST = 4  # taught sentences of an intent, so that one can judge
MOST = 2000  # characters of a sentence
_VALIDATION = 6  # every so manieth shipped sentence chooses the mix


@dataclass(frozen=True, slots=True)
class Taught:
    """A head that was trained: right on how many of the held-out sentences, and the head in use on the same.

    ``before_known`` and ``after_known`` leave out the intents that the head in use has never heard of.
    """

    version: int
    sentences: int
    checked: int
    before: int
    after: int
    known: int
    before_known: int
    after_known: int
    wrong: Sequence[tuple[str, str, str]]  # text, its intent, what the new head says
    seconds: float


class Teaching:
    """What one tenant's people taught."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._kept = Corrections(runtime.workspace)

    def sentences(self, caller: Caller) -> dict[str, list[str]]:
        """Taught sentences by intent."""
        found: dict[str, list[str]] = {}
        for row in self._kept.all(caller, INTENTS):
            found.setdefault(row.label, []).append(row.text)
        return found

    def teach(self, caller: Caller, intent: str, texts: Iterable[str]) -> int:
        """Keep sentences of an intent, personal data masked; how many there were. One said before changes its intent.

        Raises:
            InputError: there is none, or one is too long.
        """
        wanted = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
        if not wanted:
            raise InputError(reason="empty_question")
        for text in wanted:
            if len(text) > MOST:
                raise InputError(reason="question_too_long", length=len(text), limit=MOST)
        for text in wanted:
            self._kept.add(caller, INTENTS, text, intent)
        return len(wanted)

    def forget(self, caller: Caller, intent: str) -> None:
        """Take back all that was taught of an intent."""
        self._kept.forget(caller, INTENTS, intent)

    async def suspects(self, caller: Caller, intents: Sequence[str]) -> list[Suspect]:
        """Taught sentences that look like another of ``intents``, the most certain first; none that :meth:`settle` settled.

        Raises:
            MissingPackage: scikit-learn is not installed.
        """
        taught = [row for row in self._kept.all(caller, INTENTS) if row.label in intents]
        shipped = [row for row in [*rows("desk_train.csv"), *asked()] if row.label in intents]
        examples = [*(Example(row.text, row.label) for row in taught), *shipped]
        found = await suspects(examples, self._runtime.embedding(EMBEDDING))
        return [one for one in found if one.place < len(taught) and not taught[one.place].confirmed]

    def settle(self, caller: Caller, text: str, intent: str | None) -> None:
        """Say what a taught sentence is: of ``intent``, which nobody is asked again, or of none, and it is taken back."""
        if intent is None:
            self._kept.remove(caller, INTENTS, text)
        else:
            self._kept.add(caller, INTENTS, text, intent, confirmed=True)

    def teachable(self, caller: Caller, intents: Sequence[str]) -> list[str]:
        """Those of ``intents`` that there are sentences of.

        Raises:
            InputError: (reason ``few_sentences``) one that was taught has too few to learn from and to be judged by.
        """
        taught, shipped = self.sentences(caller), {row.label for row in rows("desk_train.csv")}
        few = [name for name in intents if name in taught and name not in shipped and len(taught[name]) < LEAST]
        if few:
            raise InputError(reason="few_sentences", intent=", ".join(few), least=LEAST)
        return [name for name in intents if name in shipped or name in taught]

    async def train(self, caller: Caller, intents: Sequence[str]) -> Taught:
        """Train a head on ``intents`` and judge it; it serves only after :meth:`use`.

        Raises:
            MissingPackage: scikit-learn is not installed.
        """
        need_scikit_learn()
        started = time.perf_counter()
        parts = self._parts(caller, intents)
        with tempfile.TemporaryDirectory() as folder:
            files = {name: _written(Path(folder) / f"{name}.csv", part) for name, part in parts.items()}
            prepared = work.prepare(
                self._runtime, "head", files["train"], out=INTENTS, base=EMBEDDING, validation=files["validation"],
                test=files["test"], fresh=True, caller=caller,
            )  # fmt: skip
        version = await work.train(self._runtime, prepared, caller=caller)
        made, check = load(version.model), parts["test"]
        old = load(serving(self._runtime.settings.home))
        after, before = await self._said(made, check), await self._said(old, check)
        known = [row.label in old.labels for row in check]
        right = [[row.label == said for row, said in zip(check, found, strict=True)] for found in (after, before)]
        return Taught(
            version=version.run.version,
            sentences=len(parts["train"]),
            checked=len(check),
            before=sum(right[1]),
            after=sum(right[0]),
            known=sum(known),
            before_known=sum(r and k for r, k in zip(right[1], known, strict=True)),
            after_known=sum(r and k for r, k in zip(right[0], known, strict=True)),
            wrong=[(row.text, row.label, said) for row, said in zip(check, after, strict=True) if row.label != said],
            seconds=time.perf_counter() - started,
        )

    async def _said(self, head: Head, check: Sequence[Example]) -> list[str]:
        found = await head.predict([row.text for row in check], self._runtime.embedding(head.embedding))
        return [said.label for said in found]

    def _parts(self, caller: Caller, intents: Sequence[str]) -> dict[str, list[Example]]:
        """What is learned from, what chooses and what judges; decided by the texts, so that nothing wanders."""
        taught = self.sentences(caller)
        shipped = [row for row in [*rows("desk_train.csv"), *asked()] if row.label in intents]
        check = [row for row in rows("desk_dev.csv") if row.label in intents]
        learned: list[Example] = []
        for intent in intents:
            for place, text in enumerate(sorted(taught.get(intent, ()), key=_digest)):
                (check if place % LEAST == 0 and len(taught[intent]) >= LEAST else learned).append(
                    Example(text, intent)
                )
        ordered = sorted(shipped, key=lambda row: _digest(row.text))
        judged = {row.text for row in check}
        return {
            "train": [*(r for n, r in enumerate(ordered) if n % _VALIDATION and r.text not in judged), *learned],
            "validation": [r for n, r in enumerate(ordered) if not n % _VALIDATION and r.text not in judged],
            "test": check,
        }

    def use(self, caller: Caller, taught: Taught) -> None:
        """Let a trained head serve from the next message on."""
        store = Trained(self._runtime.settings.home)
        figures = {"checked": taught.checked, "before": taught.before, "after": taught.after}
        store.promote(store.version(INTENTS, taught.version), what="promoted", by=caller.user, compared=figures)

    def back(self, caller: Caller) -> None:
        """Let the head serve that served before.

        Raises:
            InputError: (reason ``no_version_before``) it is the shipped one already.
        """
        Trained(self._runtime.settings.home).rollback(INTENTS, by=caller.user, shipped=True)

    def serving(self) -> int | None:
        """The version in use; ``None`` for the shipped head."""
        return Trained(self._runtime.settings.home).serving(INTENTS) or None


def _written(path: Path, part: Sequence[Example]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((row.text, row.label) for row in part)
    return path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
