"""What people did about alerts: acknowledged and muted ones, changed rules; a journal that is only added to.

What counts at a time follows from the entries up to then, so the past shows alerts as they stood, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apps.financial_sentiment.alerts import Alert
from core.errors import InputError
from core.types import Caller
from core.workspace import Workspace

Action = Literal["acknowledged", "reopened", "muted", "unmuted", "rules", "rules_shipped", "quiet", "quiet_off"]
State = Literal["open", "acknowledged", "muted"]
STATES: tuple[State, ...] = ("open", "acknowledged", "muted")
LONGEST_MUTE_S = 366 * 86_400.0
NOTE_LIMIT = 500
Key = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """``rule`` and ``subject`` (``scope:id``) are empty where an entry is about all of them."""

    id: int
    user: str
    at: float
    action: Action
    rule: str
    subject: str
    alert_at: float | None
    until: float | None
    note: str


def key(alert: Alert) -> Key:
    """What an alert is known by: its rule, its subject as ``scope:id``, its time."""
    return alert.rule, f"{alert.scope}:{alert.subject}", alert.at


class Journal:
    """The journal of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def acknowledge(self, caller: Caller, listed: Iterable[Alert], now: float, *, note: str = "") -> None:
        """Say that somebody has seen to these alerts."""
        self._write(caller, "acknowledged", [(*key(alert), None) for alert in listed], now, note)

    def reopen(self, caller: Caller, listed: Iterable[Alert], now: float) -> None:
        self._write(caller, "reopened", [(*key(alert), None) for alert in listed], now, "")

    def mute(self, caller: Caller, subject: str, now: float, *, until: float, rule: str = "", note: str = "") -> None:
        """Hand over no alerts of a company or group (``scope:id``) until then, of one rule or of all.

        Raises:
            InputError: (``bad_value``) the end is not after now, or more than a year away.
        """
        if not now < until <= now + LONGEST_MUTE_S:
            raise InputError(reason="bad_value", name="until", value=until, allowed=f"{now:.0f} … + 366 d")
        self._write(caller, "muted", [(rule, subject, None, until)], now, note)

    def unmute(self, caller: Caller, subject: str, now: float, *, rule: str = "") -> None:
        self._write(caller, "unmuted", [(rule, subject, None, None)], now, "")

    def note(self, caller: Caller, action: Action, now: float, note: str) -> None:
        """Write down a change that concerns all alerts."""
        self._write(caller, action, [("", "", None, None)], now, note)

    def _write(
        self,
        caller: Caller,
        action: Action,
        rows: Sequence[tuple[str, str, float | None, float | None]],
        now: float,
        note: str,
    ) -> None:
        with self.workspace.write() as db:
            db.executemany(
                "INSERT INTO news_journal (tenant, user, at, action, rule, subject, alert_at, until, note)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(caller.tenant, caller.user, now, action, *row, " ".join(note.split())[:NOTE_LIMIT]) for row in rows],
            )

    def entries(self, caller: Caller, at: float, *, limit: int | None = None) -> list[Entry]:
        """What was written by ``at``, the newest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT id, user, at, action, rule, subject, alert_at, until, note FROM news_journal"
                " WHERE tenant = ? AND at <= ? ORDER BY id DESC LIMIT ?",
                (caller.tenant, at, -1 if limit is None else limit),
            ).fetchall()
        return [Entry(**dict(row)) for row in rows]

    def standing(self, caller: Caller, at: float) -> Standing:
        return Standing.of(self.entries(caller, at))


@dataclass(frozen=True, slots=True)
class Mute:
    """From ``begin`` to before ``end``; ``rule`` is empty for all rules."""

    rule: str
    subject: str
    begin: float
    end: float

    def covers(self, alert: Alert) -> bool:
        rule, subject, at = key(alert)
        return self.subject == subject and self.rule in ("", rule) and self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class Standing:
    """How alerts stand by the entries of a journal."""

    acknowledged: Mapping[Key, Entry]
    mutes: tuple[Mute, ...]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Standing:
        """
        Args:
            entries: the newest first, as :meth:`Journal.entries` gives them.
        """
        said: dict[Key, Entry] = {}
        mutes: dict[tuple[str, str], list[Mute]] = {}
        for entry in reversed(entries):
            if entry.action in ("acknowledged", "reopened") and entry.alert_at is not None:
                said[entry.rule, entry.subject, entry.alert_at] = entry
            elif entry.action in ("muted", "unmuted"):
                spans = mutes.setdefault((entry.rule, entry.subject), [])
                if spans and spans[-1].end > entry.at:  # the newer word counts from its time on
                    spans[-1] = Mute(entry.rule, entry.subject, spans[-1].begin, entry.at)
                if entry.action == "muted" and entry.until is not None:
                    spans.append(Mute(entry.rule, entry.subject, entry.at, entry.until))
        kept = {key: entry for key, entry in said.items() if entry.action == "acknowledged"}
        return cls(kept, tuple(mute for spans in mutes.values() for mute in spans))

    def state(self, alert: Alert) -> State:
        """A muted alert is ``muted`` even when it was acknowledged."""
        if any(mute.covers(alert) for mute in self.mutes):
            return "muted"
        return "acknowledged" if key(alert) in self.acknowledged else "open"

    def muted_now(self, at: float) -> tuple[Mute, ...]:
        return tuple(mute for mute in self.mutes if mute.begin <= at < mute.end)
