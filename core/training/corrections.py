"""What people say is right where a classifier was wrong: kept in the workspace, learned from at the next run."""

from __future__ import annotations

import time
from dataclasses import dataclass

from core.errors import InputError
from core.safety.personal import mask
from core.training.store import checked_name
from core.transcripts import clean
from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Correction:
    """``label`` is right for ``text``; ``confirmed`` where somebody looked again and stands by it."""

    text: str
    label: str
    user: str
    at: float
    confirmed: bool = False


class Corrections:
    """Those of one tenant to the classifiers of a workspace; a name is that of ``trained:NAME``."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add(self, caller: Caller, name: str, text: str, label: str, *, confirmed: bool = False) -> Correction:
        """Keep a correction; a later one for the same text replaces it. Personal data are masked before.

        Raises:
            InputError: the text or the label is empty (``bad_value``).
        """
        made = Correction(mask(clean(text).strip()).text, clean(label).strip(), caller.user, time.time(), confirmed)
        for field, value in (("text", made.text), ("label", made.label)):
            if not value:
                raise InputError(reason="bad_value", name=field, value="", allowed="a … z")
        with self._workspace.write() as db:
            db.execute(
                "INSERT INTO training_corrections (tenant, name, text, label, user, at, confirmed) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant, name, text) DO UPDATE SET label=excluded.label, user=excluded.user, at=excluded.at,"
                " confirmed=excluded.confirmed",
                (caller.tenant, checked_name(name), made.text, made.label, made.user, made.at, confirmed),
            )
        return made

    def all(self, caller: Caller, name: str) -> list[Correction]:
        """The tenant's corrections to ``name``, oldest first."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT text, label, user, at, confirmed FROM training_corrections WHERE tenant=? AND name=? ORDER BY at, text",
                (caller.tenant, name),
            ).fetchall()
        return [Correction(text, label, user, at, bool(confirmed)) for text, label, user, at, confirmed in rows]

    def remove(self, caller: Caller, name: str, text: str) -> None:
        """Take back what the tenant said of ``text``, given as :meth:`all` gives it."""
        with self._workspace.write() as db:
            db.execute(
                "DELETE FROM training_corrections WHERE tenant=? AND name=? AND text=?", (caller.tenant, name, text)
            )

    def forget(self, caller: Caller, name: str, label: str) -> None:
        """Take back the tenant's corrections to ``name`` that said ``label``."""
        with self._workspace.write() as db:
            db.execute(
                "DELETE FROM training_corrections WHERE tenant=? AND name=? AND label=?", (caller.tenant, name, label)
            )
