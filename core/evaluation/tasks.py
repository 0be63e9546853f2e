"""A task is data plus a judge. Running a system on it is a durable job; judging the outputs is pure.

    task = retrieval_task(load_beir(Path("scifact")))
    found = await evaluate(task, search, name="keyword", jobs=Jobs(workspace))
    found.figures["ndcg@10"]        # value, low, high, records

The outputs of the system stay in the job, so a run that was killed can go on where it stopped. That has
to be asked for, with ``resume=True``: half a run of one state of a program and half of another would
measure neither.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from core import __version__
from core.errors import InputError
from core.evaluation.datasets import Dataset, Record
from core.evaluation.results import Cell, Evaluation, Measure, Report, device, figures
from core.jobs import Item, Job, Jobs
from core.types import LOCAL, Caller

System = Callable[[Record], Awaitable[Any]]
Judge = Callable[[Sequence[Record], Sequence[Any]], Mapping[str, Sequence[Cell]]]


@dataclass(frozen=True, slots=True)
class Task:
    """``judge`` gets all records with their outputs and returns columns of the same length.

    An output of ``None`` means that the system failed on that record; the judge says what that is worth,
    which is never more than a wrong answer.
    """

    name: str
    data: Dataset
    judge: Judge
    measures: tuple[Measure, ...]


async def evaluate(
    task: Task,
    system: System,
    *,
    name: str,
    jobs: Jobs,
    caller: Caller = LOCAL,
    config: Mapping[str, Any] | None = None,
    concurrency: int = 4,
    max_errors: int | None = None,
    resume: bool | None = None,
    on_progress: Callable[[Job], None] | None = None,
) -> Evaluation:
    """Run ``system`` on every record and judge its outputs.

    Args:
        system: takes a record, returns JSON; what it raises is kept as an error of that record.
        name: what the system is called in reports and baselines.
        config: what the figures depend on; kept with them, and part of what a resumed run must share.
        resume: True goes on with an unfinished run of the same task, data, name, config and version, False
            forgets it and starts afresh; by default its existence is an error, so that neither happens unasked.

    Raises:
        InputError: ``evaluation_unfinished``, see ``resume``; ``evaluation_stopped``: cancelled, or too many errors.
        StoreBusy: another process runs the same evaluation.
        ConfigurationError: raised by the system.
    """
    records = {record.id: record for record in task.data.records}
    chosen = dict(config or {})
    key = _key(task, name, chosen)
    title = f"{task.name} · {name}"

    def made() -> Job:
        return jobs.create(caller, None, [Item(i, i) for i in records], title=title, key=key)

    job = made()
    tried = job.done + job.failed
    if job.state not in ("done", "running") and tried and resume is None:
        raise InputError(reason="evaluation_unfinished", title=title, tried=tried, total=job.total)
    if job.state == "done" or not resume:
        jobs.delete(caller, job.id)
        job = made()
    elif job.state == "cancelled":
        jobs.resume(caller, job.id)

    async def work(record_id: str) -> Any:
        return await system(records[record_id])

    ended = await jobs.run(
        caller, job.id, work=work, concurrency=concurrency, max_errors=max_errors, on_progress=on_progress
    )
    if ended.state != "done":
        tried = ended.done + ended.failed
        raise InputError(reason="evaluation_stopped", title=title, state=ended.state, tried=tried, total=ended.total)
    rows = list(jobs.results(caller, job.id))
    outputs = {row.key: row.output for row in rows if row.state == "done"}
    errors = {row.key: row.error["code"] for row in rows if row.error is not None}
    seconds = [row.elapsed_s for row in rows if row.elapsed_s is not None]
    found = await asyncio.to_thread(judged, task, outputs, errors, name=name, config=chosen)  # seconds of resampling
    return replace(
        found,
        median_s=float(np.median(seconds)) if seconds else None,
        p95_s=float(np.percentile(seconds, 95)) if seconds else None,
    )


def judged(
    task: Task,
    outputs: Mapping[str, Any],
    errors: Mapping[str, str] | None = None,
    *,
    name: str,
    config: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Judge outputs by record id; a record without an output is one that the system failed on."""
    records = task.data.records
    columns = task.judge(records, [outputs.get(record.id) for record in records])
    return Evaluation(
        task=task.name,
        system=name,
        data=task.data.name,
        split=task.data.split,
        checksum=task.data.checksum,
        ids=tuple(record.id for record in records),
        columns=columns,
        measures=task.measures,
        figures=figures(task.measures, columns),
        errors={r.id: (errors or {}).get(r.id, "no_output") for r in records if outputs.get(r.id) is None},
        config=dict(config or {}),
    )


def report(title: str, evaluations: Sequence[Evaluation], command: str = "") -> Report:
    """A report of now, on this machine, by this version."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return Report(title, tuple(evaluations), now, __version__, device(), command)


def _key(task: Task, name: str, config: Mapping[str, Any]) -> str:
    parts = json.dumps([task.name, task.data.checksum, name, config, __version__], sort_keys=True)
    return "evaluation-" + hashlib.sha256(parts.encode()).hexdigest()[:24]
