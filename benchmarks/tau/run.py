"""Play every task's own actions, and check what came of them."""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import Result, Table, Target
from benchmarks.tau import told
from benchmarks.tau.domain import DOMAINS, NOBODY, Domain, opened, tasks
from benchmarks.tau.forbidden import forbidden, mutations
from benchmarks.tau.records import Change
from benchmarks.tau.view import Seen, broken, seen
from core.errors import TouchstoneError

FOLDER = "tau2-bench"
READINGS = tuple(
    yaml.safe_load((Path(__file__).parent / name).read_text("utf-8"))
    for name in ("differences.yaml", "second_reader.yaml")
)
# The task's own actions cancel an insured booking for a reason that the policy does not cover. The tools are not told
# the reason (decision 0020), the second reader keeps to the policy: this one difference is known and shown.
AGAINST_POLICY = "airline/39"
STRANGER = "nobody_in_particular_1"


@dataclass
class Found:
    """What came of a domain."""

    calls: int = 0
    writes: int = 0
    refused: list[str] = field(default_factory=list)  # calls of the tasks themselves
    broken: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)  # a write with a key that was done and changed something again
    differences: int = 0
    different: list[str] = field(default_factory=list)
    against_policy: list[str] = field(
        default_factory=list
    )  # differences of the one task whose actions break the policy
    told: int = 0
    untold: list[str] = field(default_factory=list)
    mutations: Counter[tuple[str, str]] = field(default_factory=Counter)  # tool and mutation: how often refused
    accepted: list[str] = field(default_factory=list)  # mutations that were not refused
    blocked: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)  # forbidden writes that were done
    tasks: int = 0
    seconds: float = 0.0


def run(given: argparse.Namespace) -> Result:
    return shown({name: measure(name, given.data / FOLDER / name) for name in DOMAINS})


def measure(name: str, folder: Path, *, only: int | None = None) -> Found:
    """All of a domain, or the first ``only`` of its tasks and everything that is forbidden."""
    data, found = DOMAINS[name].load(folder), Found()
    started = time.perf_counter()
    with opened(name, data) as domain:
        for task in tasks(folder)[:only]:
            play(domain, task, found)
        for case in forbidden(name, data):
            for call in case.before:
                domain.call(case.customer, *call)
            before = domain.changes()
            try:
                domain.call(case.customer, *case.call, confirmed=case.confirmed)
            except TouchstoneError as error:
                ok = case.why in str(error) and domain.changes() == before
                (found.blocked if ok else found.allowed).append(f"{case.name}: {error}")
            else:
                found.allowed.append(case.name)
            domain.restore()
    found.seconds = time.perf_counter() - started
    return found


def play(domain: Domain, task: dict[str, Any], found: Found) -> None:
    """One task: its actions, every write twice with one key and with mutations before it."""
    name, criteria = f"{domain.name}/{task['id']}", task["evaluation_criteria"]
    actions = criteria["actions"] or []
    customer = identified(domain, task)
    results: list[Any] = []
    records = told.visible(domain, customer) if criteria.get("communicate_info") else []
    for number, action in enumerate(actions):
        tool, arguments = action["name"], action["arguments"]
        writes, key = domain.tools[tool].permission == "write", f"{name}/{number}"
        found.calls += 1
        if writes:
            found.writes += 1
            _mutated(domain, customer, tool, arguments, found)
        try:
            results.append(domain.call(customer, tool, arguments, key=key).value)
        except TouchstoneError as error:
            found.refused.append(f"{name} {tool}: {error}")
            continue
        if writes:
            before = domain.changes()
            if not domain.call(customer, tool, arguments, key=key).replayed or domain.changes() != before:
                found.repeated.append(key)
    changes = domain.changes()
    found.broken += [f"{name}: {text}" for text in broken(domain.name, changes)]
    _compared(name, domain.name, changes, found)
    wanted = [value.replace(",", "") for value in criteria.get("communicate_info") or []]
    if wanted:
        found.told += len(wanted)
        later = told.visible(domain, customer)
        missing = told.missing(wanted, records, later, results, changes)
        found.untold += [f"{name}: {value}" for value in missing]
    found.tasks += 1
    domain.restore()


def identified(domain: Domain, task: dict[str, Any]) -> str:
    """The customer, from the words of the task; by the first record its actions name where the words do not say."""
    known = " ".join(str(task["user_scenario"]["instructions"].get(k) or "") for k in ("known_info", "reason_for_call"))
    if user_id := re.search(r"\b[a-z]+_[a-z]+_\d{4}\b", known):
        return user_id[0]
    named = re.search(r"(?:You are|name is) ([A-Z]\w+) ([A-Z]\w+)", known)
    zip_ = re.search(r"\b\d{5}\b", known)
    if named and zip_:
        try:
            asked = {"first_name": named[1], "last_name": named[2], "zip": zip_[0]}
            return str(domain.call(NOBODY, "find_user_id_by_name_zip", asked).value)
        except TouchstoneError:
            pass  # some customers give a wrong one, as their tasks say
    owners = (domain.owner(action["arguments"]) for action in task["evaluation_criteria"]["actions"] or [])
    return next((owner for owner in owners if owner), NOBODY)


def _mutated(domain: Domain, customer: str, tool: str, arguments: dict[str, Any], found: Found) -> None:
    before = domain.changes()
    for mutation in mutations(arguments):
        who = STRANGER if mutation.stranger else customer
        try:
            domain.call(who, tool, mutation.arguments, confirmed=mutation.confirmed)
        except TouchstoneError:
            found.mutations[tool, mutation.name] += 1
        else:
            found.accepted.append(f"{tool}, {mutation.name}: {mutation.arguments}")
    if domain.changes() != before:
        found.accepted.append(f"{tool}: something changed")


def _compared(name: str, domain: str, changes: list[Change], found: Found) -> None:
    got = _named(seen(domain, changes))
    for reading in READINGS:
        if name not in reading:
            continue
        found.differences += 1
        wanted = _named(reading[name])
        if got != wanted:
            keys = sorted(key for key in {*got, *wanted} if got.get(key) != wanted.get(key))
            text = f"{name}: " + "; ".join(f"{key}: {got.get(key)}, not {wanted.get(key)}" for key in keys)
            (found.against_policy if name == AGAINST_POLICY else found.different).append(text)


def _named(changed: Seen) -> Seen:
    """With new records named by who travels: their ids are drawn, and in what order they were booked is no difference.

    A status they have in one reading and, as in the records, none in the other.
    """
    named: Seen = {}
    for key, value in changed.items():
        if ".new" in key:
            named[f"new, {', '.join(value['passengers'])}"] = {"status": "booked", **value}
        else:
            named[key] = value
    return named


def shown(found: dict[str, Found]) -> Result:
    every = list(found.values())
    tools = Counter(tool for f in every for tool, _ in f.mutations)
    columns = (
        ("domain", "领域"),
        ("tasks", "任务"),
        ("calls", "调用"),
        ("writes", "写入"),
        ("refused", "被拒"),
        ("differences checked", "核对差异"),
        ("to be told", "须告知的值"),
        ("forbidden writes", "违规写入"),
        ("mutated writes", "篡改的写入"),
        ("s", "秒"),
    )
    rows = [
        (
            name,
            f.tasks,
            f.calls,
            f.writes,
            len(f.refused),
            f.differences,
            f.told,
            len(f.blocked) + len(f.allowed),
            sum(f.mutations.values()) + len(f.accepted),
            f.seconds,
        )
        for name, f in found.items()
    ]
    limits: list[tuple[tuple[str, str], float, float, bool]] = [
        (("broken invariants", "被破坏的不变量"), sum(len(f.broken) for f in every), 0, False),
        (
            ("writes that a repeated key did again", "同一键重复执行的写入"),
            sum(len(f.repeated) for f in every),
            0,
            False,
        ),
        (
            ("before/after differences as written beforehand", "与事先写下的前后差异相符"),
            sum(f.differences - len(f.different) - len(f.against_policy) for f in every),
            sum(f.differences - len(f.against_policy) for f in every),
            True,
        ),
        (
            ("values to be told that come out of the tools", "可由工具得出的须告知值"),
            sum(f.told - len(f.untold) for f in every),
            sum(f.told for f in every),
            True,
        ),
        (
            ("mutations of the tool with the fewest, all refused", "变体最少的工具，变体全部被拒"),
            min(tools.values()),
            7,
            True,
        ),
        (("mutated writes that were done", "被执行的篡改写入"), sum(len(f.accepted) for f in every), 0, False),
        (("writes the policies forbid, blocked", "被拦下的违规写入"), sum(len(f.blocked) for f in every), 20, True),
        (("writes the policies forbid, done", "被执行的违规写入"), sum(len(f.allowed) for f in every), 0, False),
    ]
    return Result(
        "tau",
        ("Two domains of tau2-bench in the tool layer", "工具层上的 tau2-bench 两个领域"),
        [Table(("Every task's own actions", "各任务自带的动作"), columns, rows)],
        [Target(text, value, limit, "", at_least) for text, value, limit, at_least in limits],
        notes=[_note(found)],
        raw={name: {**vars(f), "mutations": _listed(f.mutations)} for name, f in found.items()},
    )


def _listed(counted: Counter[tuple[str, str]]) -> dict[str, int]:
    return {f"{tool}, {what}": count for (tool, what), count in sorted(counted.items())}


def _note(found: dict[str, Found]) -> tuple[str, str]:
    count = sum(len(f.refused) for f in found.values())
    return (
        f"{count} calls in the tasks' own actions are refused, and the public tools refuse the same {count}: they look for"
        " what is not in the database, exchange what was not delivered, or pay with a gift card that holds too little."
        " Each stands with its reason in the raw figures. Two readers wrote the differences, the second without having"
        f" seen the code; {AGAINST_POLICY}, where the task's actions break the policy, is not counted. `send_certificate`"
        " is in no task's actions and has forbidden writes only.",
        f"任务自带的动作中有 {count} 次调用被拒，公开的工具也拒绝同样的 {count} 次：查找数据库中没有的东西、换未送达的货、礼品卡余额不足；"
        f"逐条原因见原始数据。差异由两位读者写下，第二位没有看过代码；{AGAINST_POLICY} 的动作违反政策，不计入。"
        "`send_certificate` 不在任何任务的动作里，只测违规写入。",
    )
