"""A catalogue as it was when it was fitted, and what may be shown of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from apps.recommendation import preferences
from apps.recommendation.data import Item
from apps.recommendation.diversity import Likeness, Standing, arranged
from apps.recommendation.finding import Words
from apps.recommendation.fusion import Fused
from apps.recommendation.generators import DAY_S, History
from apps.recommendation.log import Array, dots
from apps.recommendation.preferences import Said

STARTERS = 20  # of each kind, for somebody new to choose from


@dataclass(frozen=True)
class Catalogue:
    """A catalogue as it was when it was fitted. Never changed: another takes its place."""

    items: list[Item]
    number: Mapping[str, int]
    fused: Fused
    vectors: Array | None  # as the model made them
    near: Array | None  # centered
    titles: preferences.Titles
    source: tuple[Path, int, str]  # see apps.recommendation.fits.Source
    counts: Array
    shows: Mapping[str, Array]  # concept → which items show it
    tags: Counter[str]  # in how many items
    stock: Array  # bool
    age: Array
    kind: Array  # of str
    standing: Standing
    likeness: Likeness
    tastes: dict[str, list[str]] = field(default_factory=dict)  # tags that stand out, by person, as they are asked for
    shown: dict[tuple[Any, ...], Any] = field(default_factory=dict)  # see Recommender.shown

    kept: dict[str, Any] = field(default_factory=dict)  # see Recommender.quality

    @cached_property
    def words(self) -> Words:
        return Words(self.items)

    @cached_property
    def starters(self) -> list[Item]:
        """Well-known items of every kind that are not alike, the kinds in turn."""
        rows = []
        for kind in dict.fromkeys(item.kind for item in self.items):
            allowed = np.flatnonzero((self.kind == kind) & self.stock)
            order = arranged(
                self.standing.fame, allowed, self.likeness, count=STARTERS, diversity=0.5, pool=4 * STARTERS
            )
            rows.append([self.items[number] for number in order.tolist()])
        return [row[i] for i in range(STARTERS) for row in rows if i < len(row)]


@dataclass(frozen=True, slots=True)
class Filters:
    """What may be shown at all. Each drops items for a reason that is counted and told."""

    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # at least one of them
    age: int | None = None  # the person's
    in_stock: bool = True
    repeat_after_days: float | None = None  # what a person had may come again after so long; None: never


EVERYTHING = Filters()


def allowed(
    found: Catalogue, filters: Filters, seen: Mapping[int, float], said: Sequence[Said], now: float
) -> tuple[Array, dict[str, int]]:
    """Numbers of the items that may be shown, and how many each rule kept out."""
    wanted = {s.name for s in said if s.kind == "kind" and s.wanted}
    unwanted = [s.name for s in said if s.kind == "kind" and not s.wanted]
    kinds = list(set(filters.kinds) or (wanted & set(found.kind.tolist())))
    again_s = filters.repeat_after_days * DAY_S if filters.repeat_after_days is not None else float("inf")
    nothing = np.zeros(len(found.items), dtype=bool)
    had = nothing.copy()
    had[[number for number, at in seen.items() if now - at < again_s]] = True
    rules = {
        "seen": had,
        "stock": ~found.stock if filters.in_stock else nothing,
        "age": found.age > filters.age if filters.age is not None else nothing,
        "kind": np.isin(found.kind, unwanted) | (~np.isin(found.kind, kinds) if kinds else nothing),
        "tags": np.array([not {*filters.tags} & {*item.tags} for item in found.items]) if filters.tags else nothing,
    }
    left_out, out = {}, nothing
    for name, mask in rules.items():
        if count := int((mask & ~out).sum()):
            left_out[name] = count
        out = out | mask
    return np.flatnonzero(~out), left_out


def like_it(found: Catalogue, number: int) -> Array:
    """How like each item is to one that is disliked: by text, else by who takes both.

    Shape: ``(items,)``; 1 is the most alike there is, whatever the model's cosines are.
    """
    if found.near is not None:
        alike = np.maximum(dots(found.near, found.near[number]), 0)
    else:
        alike = found.fused.generator("item_item").scores(History.of([number], 0.0)).copy()
    alike[number] = 0
    return alike / max(float(alike.max()), 1e-9)


def boosted(items: Sequence[Item], boosts: Mapping[str, float]) -> Array:
    added = np.zeros(len(items), np.float32)
    if boosts:
        for number, item in enumerate(items):
            added[number] = sum(boosts.get(name, 0.0) for name in (item.id, *item.tags))
    return added


def boost_name(item: Item, boosts: Mapping[str, float]) -> str:
    return next(name for name in (item.id, *item.tags) if name in boosts)
