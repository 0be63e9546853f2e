"""Alerts: rules looked at whenever an item arrives, as if live; a replay of the past gives what would have been said.

An alert follows from the items that were seen up to its time, as the head judged them, and from nothing later: the
alerts up to a time are always the beginning of the alerts up to a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from apps.financial_sentiment import series
from apps.financial_sentiment.events import kinds
from apps.financial_sentiment.groups import Group
from apps.financial_sentiment.items import Mood
from core.errors import InputError

SHIPPED = Path(__file__).parent / "data" / "alerts.yaml"
WHENS = ("burst", "mood_below", "mood_above", "change", "event")
LONGEST_CHANGE_D = 30  # a replay begins early enough for as much
SCOPES = ("company", "group")
MOST_EVIDENCE = 5
LONGEST_COOLDOWN_H = 720  # as far as a replay looks back for alerts that keep a rule silent
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
    days: float = 7.0
    cooldown_h: float = 24.0
    scope: str = "company"
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """``subject`` is the id of a company, or of a group when that is the ``scope``; ``figures`` are the numbers of the
    reason; ``evidence`` are item ids, the weightiest first."""

    rule: str
    when: str
    subject: str
    at: float
    figures: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[int, ...] = ()
    scope: str = "company"


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


_ALLOWED: dict[str, tuple[Callable[[float], bool], str]] = {
    "p_below": (lambda p: 0 < p < 1, "0 … 1"),
    "level": (lambda mood: -1 <= mood <= 1, "-1 … 1"),
    "days": (lambda days: 0.5 <= days <= LONGEST_CHANGE_D, f"0.5 … {LONGEST_CHANGE_D}"),
    "weight": (lambda weight: weight >= 0, "0 …"),
    "cooldown_h": (lambda hours: 0 <= hours <= LONGEST_COOLDOWN_H, f"0 … {LONGEST_COOLDOWN_H}"),
    "least": (lambda count: count >= 1, "1 …"),
}


def _rule(row: Any, where: str) -> Rule:
    if not isinstance(row, dict) or not {"id", "when"} <= set(row) <= set(Rule.__slots__):
        raise InputError(reason="data_row", where=where, detail=repr(row)[:80])
    if not str(row["id"]).strip():
        raise InputError(reason="bad_value", name="id", value=row["id"], allowed="a … z")
    for name, known in (("when", WHENS), ("scope", SCOPES)):
        if row.get(name, known[0]) not in known:
            raise InputError(reason="bad_value", name=name, value=row[name], allowed=", ".join(known))
    for kind in row.get("kinds", ()):
        if kind not in kinds():
            raise InputError(reason="bad_value", name="kinds", value=kind, allowed=", ".join(kinds()))
    numbers: dict[str, float] = {}
    for name, (fits, allowed) in _ALLOWED.items():
        value = row.get(name, getattr(_DEFAULTS, name))
        if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
            raise InputError(reason="bad_value", name=name, value=value, allowed=allowed)
        numbers[name] = int(value) if name == "least" else float(value)
    listed = {name: tuple(str(value) for value in row.get(name, ())) for name in ("kinds", "only")}
    if row["when"] == "change" and not numbers["level"]:
        raise InputError(reason="bad_value", name="level", value=0, allowed="-1 … < 0, > 0 … 1")
    return Rule(**{**row, **numbers, **listed, "id": str(row["id"]).strip()})


_DEFAULTS = Rule("", "burst")


def as_row(rule: Rule) -> dict[str, Any]:
    """A rule as a row that :func:`read` takes, without what is as it is by itself."""
    row = asdict(rule)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in row.items()
        if name in ("id", "when") or value != getattr(_DEFAULTS, name)
    }


def written(rules: Iterable[Rule]) -> str:
    """Rules as YAML that :func:`read` reads."""
    return yaml.safe_dump([as_row(rule) for rule in rules], allow_unicode=True, sort_keys=False)


def shipped() -> list[Rule]:
    return read(SHIPPED.read_text("utf-8"), SHIPPED.name)


def replay(
    moods: Sequence[Mood], rules: Sequence[Rule], *, since: float, until: float, groups: Sequence[Group] = ()
) -> list[Alert]:
    """The alerts between two times, in the order in which they would have come.

    ``moods`` are those seen by ``until``, replaced versions too, of one company or several.
    """
    by_company: dict[str, list[Mood]] = defaultdict(list)
    for mood in sorted(moods, key=lambda m: (m.seen_at, m.item_id)):
        by_company[mood.company].append(mood)
    members = {group.id: group.weights for group in groups}
    found: list[Alert] = []
    for company, known in by_company.items():
        meant = [rule for rule in rules if rule.scope == "company" and _means(rule, company, members)]
        found += _replayed(_Subject("company", company), known, meant, until)
    for group in groups:
        if meant := [rule for rule in rules if rule.scope == "group" and (not rule.only or group.id in rule.only)]:
            of_group = [mood for company in group.weights for mood in by_company.get(company, ())]
            of_group.sort(key=lambda m: (m.seen_at, m.item_id, m.company))
            found += _replayed(_Subject("group", group.id, group.weights), of_group, meant, until)
    return sorted((a for a in found if a.at >= since), key=lambda a: (a.at, a.scope, a.subject, a.rule))


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a rule is looked at for: a company, or a group with the weights of its companies."""

    scope: str
    id: str
    weights: Mapping[str, float] | None = None

    def index(self, known: Sequence[Mood], at: float) -> series.Index:
        return series.index(known, at) if self.weights is None else series.group_index(known, at, self.weights)


def _means(rule: Rule, company: str, members: Mapping[str, Mapping[str, float]]) -> bool:
    return not rule.only or company in rule.only or any(company in members.get(group, ()) for group in rule.only)


def _replayed(subject: _Subject, known: Sequence[Mood], rules: Sequence[Rule], until: float) -> list[Alert]:
    """``known`` is in the order in which it was seen."""
    found: list[Alert] = []
    seen = [mood.seen_at for mood in known]
    last: dict[str, float] = {}
    for mood in known:
        if mood.seen_at > until:
            break
        awake = [r for r in rules if mood.seen_at - last.get(r.id, float("-inf")) >= r.cooldown_h * _HOUR]
        if not awake:
            continue
        so_far = [m for m in known[: bisect_right(seen, mood.seen_at)] if m.until > mood.seen_at]
        for rule in awake:
            if alert := _alert(rule, subject, mood, so_far):
                last[rule.id] = mood.seen_at
                found.append(alert)
    return found


def _alert(rule: Rule, subject: _Subject, mood: Mood, known: Sequence[Mood]) -> Alert | None:
    at = mood.seen_at

    def said(figures: Mapping[str, Any], evidence: tuple[int, ...]) -> Alert:
        return Alert(rule.id, rule.when, subject.id, at, figures, evidence, subject.scope)

    if rule.when == "event":
        named = [kind for kind, _, _ in mood.events if kind in rule.kinds]
        if not named or mood.label == "positive":
            return None
        return said({"kinds": named, "mood": mood.mood, "company": mood.company}, (mood.item_id,))
    if rule.when == "burst":
        volume = series.volume(known, at)
        if volume.count < rule.least or volume.p >= rule.p_below:
            return None
        recent = [m for m in known if m.seen_at > at - series.DAY]
        return said({"count": volume.count, "expected": volume.expected, "p": volume.p}, _weightiest(recent))
    found = subject.index(known, at)
    if rule.when == "change":
        moved = found.mood - subject.index(known, at - rule.days * series.DAY).mood
        sign = 1 if rule.level > 0 else -1
        if moved * sign < rule.level * sign or found.weight < rule.weight:
            return None
        recent = [m for m in known if m.moment > at - rule.days * series.DAY and m.mood * sign > 0]
        return said({"change": moved, "level": rule.level, "days": rule.days}, _weightiest(recent))
    passed = found.mood <= rule.level if rule.when == "mood_below" else found.mood >= rule.level
    if not passed or found.weight < rule.weight:
        return None
    sign = -1 if rule.when == "mood_below" else 1
    recent = [m for m in known if m.moment > at - 2 * series.HALF_LIFE_S and m.mood * sign > 0]
    return said({"mood": found.mood, "level": rule.level}, _weightiest(recent))


def _weightiest(moods: Sequence[Mood]) -> tuple[int, ...]:
    listed = sorted(moods, key=lambda m: (-abs(m.mood), -m.seen_at))
    return tuple(dict.fromkeys(m.item_id for m in listed))[:MOST_EVIDENCE]
