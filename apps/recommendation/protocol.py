"""How recommendations are judged: what is held out, what is ranked, and when it counts as found.

**Leave one out.** The last event of each person is the test item, the one before the validation item; events of one
person with the same time are in an order drawn with a fixed seed. Kind to everybody: what other people did later may be
learnt from.

**Time.** Everything before a moment is known, nothing after it: the last tenth of all events is the test part, the
tenth before it the validation part. Of each person the first event of that part is the target; people without any
earlier event are counted, not ranked.

Items that a person had before are not ranked, all others are, so no metric is of a sample; a tie counts half. With one
target a person, recall@10 is HR@10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from apps.recommendation.data import Event, Item, read_events, read_items, with_years
from apps.recommendation.folders import look
from apps.recommendation.log import SEED, Array, Log, core
from core.errors import InputError

TOP = 10
SPLITS = {"test": 0, "validation": 1}
PART = 0.1  # of the events, for each split by time
Protocol = Literal["leave-one-out", "time"]
PROTOCOLS: tuple[Protocol, ...] = ("leave-one-out", "time")


@dataclass(frozen=True)
class Case:
    """One person: what they did before, what came next, and what is ranked (``None``: all items)."""

    user: str
    seen: Array
    target: int
    at: float
    candidates: Array | None = None


@dataclass(frozen=True)
class Data:
    """A data set, split."""

    name: str
    items: list[Item]
    train: Log
    cases: list[Case]
    checksum: str
    unknown: int = 0  # people who would have been a case, had they any earlier event


def load(folder: Path, *, split: str, least: int, candidates: Path | None = None, users: int | None = None) -> Data:
    """Read and split the interactions and items in ``folder`` by leave one out; see :func:`split_off`.

    Args:
        candidates: lists to rerank instead of all items.

    Raises:
        InputError, MissingFile: see :mod:`apps.recommendation.data`.
    """
    found = look(folder)
    if found.interactions is None:
        raise InputError(reason="nothing_to_evaluate", name=str(folder))
    log, items = read(found.interactions, found.items, least)
    data = split_off(log, items, folder.name, split=split, users=None if candidates else users)
    if candidates is None:
        return data
    cases = _reranked(data.cases, log, candidates)
    return replace(data, cases=cases, checksum=_checksum(cases, log))


def read(interactions: Path, items: Path | None, least: int) -> tuple[Log, list[Item]]:
    """The files as a log and its items; without ``items`` those that occur, known by their ids alone.

    Args:
        least: people and items with fewer events are dropped, repeatedly; 0 keeps all.
    """
    listed = with_years(read_items(items)[0]) if items is not None else None
    events, _ = read_events(interactions, known=None if listed is None else frozenset(item.id for item in listed))
    if listed is None:
        listed = [Item(id_, {"": id_}) for id_ in sorted({event.item for event in events})]
    return logged(events, listed, least)


def split_off(
    log: Log,
    items: list[Item],
    name: str,
    *,
    split: str = "test",
    protocol: Protocol = "leave-one-out",
    users: int | None = None,
) -> Data:
    """What is known, and for each person what came next.

    Args:
        users: look only at so many people, drawn with a fixed seed; methods are fitted on everybody.

    Raises:
        InputError: nobody has anything before what is held out, or the events have no times to split by.
    """
    if protocol == "time":
        train, held = _by_time(log, SPLITS[split])
    else:
        from_last = log.from_last()
        train, held = log.kept(from_last > SPLITS[split]), np.flatnonzero(from_last == SPLITS[split])
    bounds = train.bounds()
    known = np.diff(bounds)[log.user[held]] > 0
    cases = [
        Case(log.users[user], train.item[bounds[user] : bounds[user + 1]], int(item), float(at))
        for user, item, at in zip(*(column[held[known]] for column in (log.user, log.item, log.at)), strict=True)
    ]
    if not cases:
        raise InputError(reason="nothing_to_evaluate", name=name)
    if users is not None and users < len(cases):
        drawn = np.sort(np.random.default_rng(SEED).choice(len(cases), users, replace=False))
        cases = [cases[i] for i in drawn]
    return Data(name, items, train, cases, _checksum(cases, log), int((~known).sum()))


def _by_time(log: Log, parts_after: int) -> tuple[Log, Array]:
    """What lies before the part, and the row of each person's first event in it."""
    begin, end = np.quantile(log.at, [1 - PART * (parts_after + 1), 1 - PART * parts_after]) if len(log) else (0.0, 0.0)
    inside = log.at >= begin if not parts_after else (log.at >= begin) & (log.at < end)
    rows = np.flatnonzero(inside)
    _, first = np.unique(log.user[rows], return_index=True)
    return log.kept(log.at < begin), rows[first]


def logged(events: Sequence[Event], items: Sequence[Item], least: int = 0) -> tuple[Log, list[Item]]:
    """Events as arrays, with the items in the order of their numbers."""
    users = sorted({event.user for event in events})
    of_user = {user: i for i, user in enumerate(users)}
    of_item = {item.id: i for i, item in enumerate(items)}
    log = Log.of(
        users,
        [item.id for item in items],
        [of_user[e.user] for e in events],
        [of_item[e.item] for e in events],
        [e.at for e in events],
        [e.value for e in events],
    )
    if not least:
        return log, list(items)
    log = core(log, least)
    return log, [items[of_item[id_]] for id_ in log.items]


def ranks(case: Case, scores: Mapping[str, Array]) -> dict[str, float]:
    """How many items each method puts before the target; a tie counts half."""
    found = {}
    for name, given in scores.items():
        if case.candidates is not None:
            ranked = given[case.candidates]
        else:
            ranked = np.delete(given, np.setdiff1d(case.seen, case.target))
        target = given[case.target]
        if not np.isfinite(ranked).all():  # comparing with NaN is always false: every target would be the best
            raise ArithmeticError(f"{name}: scores that are not finite cannot be ranked")
        found[name] = float((ranked > target).sum() + ((ranked == target).sum() - 1) / 2)
    return found


def gains(rank: Array) -> dict[str, list[float]]:
    """``hr@10`` and ``ndcg@10`` by case, for ranks that begin at 0.

    >>> gains(np.array([0.0, 1.0, 10.0]))["ndcg@10"]
    [1.0, 0.6309297535714575, 0.0]
    """
    hit = rank < TOP
    return {"hr@10": hit.astype(float).tolist(), "ndcg@10": np.where(hit, 1 / np.log2(rank + 2), 0.0).tolist()}


def _reranked(cases: Sequence[Case], log: Log, path: Path) -> list[Case]:
    """The people of ``path`` with their first 19 candidates and the item that came next."""
    of_user = {case.user: case for case in cases}
    of_item = {id_: i for i, id_ in enumerate(log.items)}
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        user, _, listed = line.partition("\t")
        if user not in of_user or any(id_ not in of_item for id_ in listed.split()):
            raise InputError(reason="data_row", where=f"{path.name}:{number}", detail=line[:80])
        case = of_user[user]
        others = [of_item[id_] for id_ in listed.split() if of_item[id_] != case.target][:19]
        found.append(replace(case, candidates=np.array([*others, case.target])))
    return found


def _checksum(cases: Sequence[Case], log: Log) -> str:
    told = "".join(f"{case.user}\t{log.items[case.target]}\t{_ids(case, log)}\n" for case in cases)
    return hashlib.sha256(told.encode()).hexdigest()


def _ids(case: Case, log: Log) -> str:
    return "" if case.candidates is None else " ".join(log.items[i] for i in case.candidates)
