"""Alerts: rules looked at whenever an item arrives, as if live; a replay of the past gives what would have been said.

An alert follows from the items that were seen up to its time, as the head judged them, and from nothing later: the
alerts up to a time are always the beginning of the alerts up to a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from apps.financial_sentiment import series
from apps.financial_sentiment.events import kinds
from apps.financial_sentiment.items import Mood
from core.errors import InputError

SHIPPED = Path(__file__).parent / "data" / "alerts.yaml"
WHENS = ("burst", "mood_below", "mood_above", "event")
MOST_EVIDENCE = 5
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """See ``data/alerts.yaml`` for what each field means."""

    id: str
    when: str
    p_below: float = 0.001
    least: int = 4
    level: float = 0.0
    weight: float = 2.0
    kinds: tuple[str, ...] = ()
    cooldown_h: float = 24.0


@dataclass(frozen=True, slots=True)
class Alert:
    """``figures`` are the numbers of the reason; ``evidence`` are item ids, the weightiest first."""

    rule: str
    when: str
    company: str
    at: float
    figures: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[int, ...] = ()


def read(text: str, where: str = "alerts.yaml") -> list[Rule]:
    """Rules written as YAML.

    Raises:
        InputError: not YAML, no list, an unknown field, kind or condition, or an id given twice.
    """
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(reason="bad_yaml", where=where, detail=str(error)) from error
    if not isinstance(told, list):
        raise InputError(reason="data_row", where=where, detail=repr(told)[:80])
    rules = [_rule(row, where) for row in told]
    for rule in rules:
        if sum(rule.id == other.id for other in rules) > 1:
            raise InputError(reason="data_duplicate", where=where, value=rule.id)
    return rules


def _rule(row: Any, where: str) -> Rule:
    known = Rule.__slots__
    if not isinstance(row, dict) or not {"id", "when"} <= set(row) <= set(known):
        raise InputError(reason="data_row", where=where, detail=repr(row)[:80])
    if row["when"] not in WHENS:
        raise InputError(reason="bad_value", name="when", value=row["when"], allowed=", ".join(WHENS))
    for kind in row.get("kinds", ()):
        if kind not in kinds():
            raise InputError(reason="bad_value", name="kinds", value=kind, allowed=", ".join(kinds()))
    for name in ("p_below", "level", "weight", "cooldown_h", "least"):
        if not isinstance(row.get(name, 0), int | float):
            raise InputError(reason="bad_value", name=name, value=row[name], allowed="0 …")
    return Rule(**{**row, "id": str(row["id"]), "kinds": tuple(row.get("kinds", ()))})


def shipped() -> list[Rule]:
    return read(SHIPPED.read_text("utf-8"), SHIPPED.name)


def replay(moods: Sequence[Mood], rules: Sequence[Rule], *, since: float, until: float) -> list[Alert]:
    """The alerts between two times, in the order in which they would have come.

    ``moods`` are those seen by ``until``, replaced versions too, of one company or several.
    """
    by_company: dict[str, list[Mood]] = defaultdict(list)
    for mood in sorted(moods, key=lambda m: (m.seen_at, m.item_id)):
        by_company[mood.company].append(mood)
    found: list[Alert] = []
    for company, known in by_company.items():
        seen = [mood.seen_at for mood in known]
        last: dict[str, float] = {}
        for mood in known:
            if mood.seen_at > until:
                break
            so_far = [m for m in known[: bisect_right(seen, mood.seen_at)] if m.until > mood.seen_at]
            for rule in rules:
                if mood.seen_at - last.get(rule.id, float("-inf")) < rule.cooldown_h * _HOUR:
                    continue
                if alert := _alert(rule, company, mood, so_far):
                    last[rule.id] = mood.seen_at
                    found.append(alert)
    return sorted((a for a in found if a.at >= since), key=lambda a: (a.at, a.company, a.rule))


def _alert(rule: Rule, company: str, mood: Mood, known: Sequence[Mood]) -> Alert | None:
    at = mood.seen_at
    if rule.when == "event":
        named = [kind for kind, _, _ in mood.events if kind in rule.kinds]
        if not named or mood.label == "positive":
            return None
        return Alert(rule.id, rule.when, company, at, {"kinds": named, "mood": mood.mood}, (mood.item_id,))
    if rule.when == "burst":
        volume = series.volume(known, at)
        if volume.count < rule.least or volume.p >= rule.p_below:
            return None
        recent = [m for m in known if m.seen_at > at - series.DAY]
        told = {"count": volume.count, "expected": volume.expected, "p": volume.p}
        return Alert(rule.id, rule.when, company, at, told, _weightiest(recent))
    found = series.index(known, at)
    passed = found.mood <= rule.level if rule.when == "mood_below" else found.mood >= rule.level
    if not passed or found.weight < rule.weight:
        return None
    sign = -1 if rule.when == "mood_below" else 1
    recent = [m for m in known if m.moment > at - 2 * series.HALF_LIFE_S and m.mood * sign > 0]
    return Alert(rule.id, rule.when, company, at, {"mood": found.mood, "level": rule.level}, _weightiest(recent))


def _weightiest(moods: Sequence[Mood]) -> tuple[int, ...]:
    listed = sorted(moods, key=lambda m: (-abs(m.mood), -m.seen_at))
    return tuple(dict.fromkeys(m.item_id for m in listed))[:MOST_EVIDENCE]
