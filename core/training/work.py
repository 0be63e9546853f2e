"""A training run from data to a judged version, as a durable job of two items: ``train`` and ``judge``.

    prepared = prepare(runtime, "head", Path("tickets.csv"), name="tickets")
    version = run(runtime, prepared)        # goes on where it was after a kill
    version.facts(), version.report

What can be refused is refused in ``prepare``: wrong data, a base that is not there, a run that does not fit in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from core import __version__
from core.errors import InputError
from core.evaluation import results
from core.evaluation.tasks import report
from core.jobs import Job, Jobs, job
from core.runtime import Runtime
from core.settings import Settings, load_settings, override, unread
from core.training import tracking
from core.training.bases import Base, Needs, memory_needed, need_torch, quantization, require_memory, resolve
from core.training.checks import DataReport, examine
from core.training.loop import Log, Progress, Session
from core.training.parallel import required
from core.training.recipes import Plan, Recipe, recipe, trainer
from core.training.splits import PARTS
from core.training.store import Run, Trained, Version, checked_name, write_whole
from core.types import LOCAL, Caller

STAGES = ("train", "judge")
GROUPS = ("local", "training")  # of settings that a run follows
DEFAULT_CHAT_BASE = "embedded:smollm2"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that may start. ``resumed`` says that it began before; ``memory`` is what it needs, in bytes, with torch."""

    version: Version
    data: DataReport
    job: Job
    resumed: bool
    memory: int | None = None
    weights: int | None = None
    trained_weights: int | None = None


def prepare(
    runtime: Runtime,
    name: str,
    data: Path,
    *,
    out: str,
    base: str = "",
    settings: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    validation: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
    fresh: bool = False,
    caller: Caller = LOCAL,
) -> Prepared:
    """Check everything for a run of recipe ``name`` and create its version ``out`` and its job.

    A run of the same recipe, base, settings, seed and rows that has not ended is taken up again, unless ``fresh``.

    Raises:
        UnknownName, InputError, MissingFile: the recipe, a setting or the data are wrong.
        MissingPackage, ConfigurationError: the base model, or what computes it, is not there.
        OutOfMemory: it would not fit.
    """
    chosen = recipe(name).with_settings(settings or {})
    checked_name(out)
    found = examine(data, chosen.kind, columns=columns, validation=validation, test=test, seed=seed).require()
    if chosen.method == "dpo":
        _need_pairs(found)
    run, memory = _described(runtime, chosen, found, out=out, base=base, seed=seed)
    jobs, store = Jobs(runtime.workspace), Trained(runtime.settings.home)
    for version in [] if fresh else store.versions(out):
        if not version.finished and _same(version.run, run):
            made = jobs.get(caller, version.run.job) if version.run.job else _job(jobs, caller, version, runtime)
            return Prepared(_with_job(store, version, made), found, made, True, *memory)
    version = store.create(run, found.splits)
    made = _job(jobs, caller, version, runtime)
    return Prepared(_with_job(store, version, made), found, made, False, *memory)


async def train(
    runtime: Runtime,
    prepared: Prepared,
    *,
    caller: Caller = LOCAL,
    on_progress: Callable[[Progress | None], None] | None = None,
) -> Version:
    """Run what ``prepared`` prepared, in this process, to its end. Cancelling leaves a checkpoint to go on from.

    Raises:
        InputError: (reason ``training_failed``) the recipe failed; says why. Run it again to go on.
        StoreBusy: another process runs it.
    """
    jobs, version = Jobs(runtime.workspace), prepared.version
    if jobs.get(caller, prepared.job.id).state in ("cancelled", "failed"):
        jobs.resume(caller, prepared.job.id, errors=True)
    log = Log(version.folder / "progress.jsonl")
    ended = await jobs.run(
        caller,
        prepared.job.id,
        concurrency=1,
        max_errors=1,
        on_progress=(lambda _: on_progress(log.last())) if on_progress else None,
    )
    for row in jobs.results(caller, prepared.job.id, "failed"):
        raise InputError(reason="training_failed", name=version.served_as, detail=(row.error or {}).get("en", ""))
    if ended.state != "done":
        raise InputError(reason="training_failed", name=version.served_as, detail=ended.state)
    return version


# --- the job --------------------------------------------------------------------------------------


@job
@asynccontextmanager
async def stages(
    *, name: str, version: int, home: str, folder: str, changed: Mapping[str, Any] | None = None
) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Yields the work of one item; torch computes in a thread that stops at its next step when the run is cancelled.

    Args:
        changed: settings of the program that began the run, by path, that the environment and the files do not have.
    """
    settings = load_settings(Path(folder)).with_values(TOUCHSTONE_HOME=home)
    settings = override(settings, **(changed or {}))
    made = Trained(settings.home).version(name, version)
    steps = {"train": _train, "judge": _judge}

    async def work(stage: str) -> Any:
        stop = threading.Event()
        thread = asyncio.ensure_future(asyncio.to_thread(steps[stage], made, settings, stop))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(thread, return_exceptions=True)
            raise

    yield work


def _train(version: Version, settings: Settings, stop: threading.Event) -> dict[str, Any]:
    if facts := version.facts():
        return facts  # killed between the end of training and the end of its item
    count = settings.values["training.processes"]
    if count > 1 and recipe(version.run.recipe).needs != "embedding":
        from core.training import parallel

        parallel.learn(version, settings, count, stop)
        return version.facts()
    return learn(version, settings, stop.is_set)


def learn(
    version: Version, settings: Settings, stop: Callable[[], bool], *, rank: int = 0, processes: int = 1
) -> dict[str, Any]:
    """Train ``version`` in this process, number ``rank`` of ``processes`` that learn together; its facts are written.

    Raises:
        Stopped, Helped: as :func:`core.training.loop.optimize`.
    """
    run = version.run
    chosen = recipe(run.recipe)
    log = Log(version.folder / "progress.jsonl" if not rank else Path(os.devnull))
    checkpoints = version.folder / "checkpoints"
    plan = Plan(
        version.folder,
        replace(chosen, settings=dict(run.settings)),
        version.splits(),
        resolve(run.base, settings, adapters=chosen.needs == "chat") if run.base else None,
        run.embedding,
        settings,
        Session(
            checkpoints,
            log,
            run.seed,
            settings.values["local.device"],
            stop,
            board=None if rank else version.folder / "tensorboard",
            track="" if rank else tracking.require(settings),
            name=version.served_as,
            rank=rank,
            processes=processes,
        ),
    )
    facts = trainer(chosen)(plan)
    last = log.last()
    facts |= {
        "seconds": last.seconds if last else 0.0,
        "cpu_s": round(last.cpu_s * processes, 2) if last else 0.0,  # of all: each does as much as the first
        "peak_mib": _peak_mib() * processes,
        "processes": processes,
        "device": settings.values["local.device"] or results.device(),
        "bytes": sum(path.stat().st_size for path in version.model.rglob("*") if path.is_file()),
    }
    write_whole(version.folder / "facts.json", json.dumps(facts, ensure_ascii=False, indent=1))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return facts


def _judge(version: Version, settings: Settings, stop: threading.Event) -> dict[str, float]:
    from core.providers.sync import run
    from core.training import judging
    from core.training.card import write_card

    task = judging.task_of(version)
    mine = run(judging.judge(version, task, settings))
    plain = run(judging.baseline(version, task, settings))
    made = report(f"{version.run.recipe} · {version.run.name}", [mine, plain])
    write_card(version, made)
    fresh = version.folder / ".report.json"
    results.save(made, fresh)
    fresh.replace(version.report)
    return {name: figure.value for name, figure in mine.figures.items()}


# --- helpers --------------------------------------------------------------------------------------


def _described(
    runtime: Runtime, chosen: Recipe, data: DataReport, *, out: str, base: str, seed: int
) -> tuple[Run, tuple[int | None, int | None, int | None]]:
    """What the version will say of itself, and the memory of the run."""
    embedding = source = ""
    memory: tuple[int | None, int | None, int | None] = (None, None, None)
    if chosen.needs == "embedding":
        embedding, base = base or runtime.settings.model("embedding"), ""
        runtime.embedding(embedding)
    elif chosen.needs is not None:
        base = base or (DEFAULT_CHAT_BASE if chosen.needs == "chat" else "")
        need_torch()
        chats = chosen.needs == "chat"
        tracking.require(runtime.settings)
        if chats:
            quantization(runtime.settings)
        found = None if chosen.needs == "text" and not base else resolve(base, runtime.settings, adapters=chats)
        source = found.source if found else ""
        if found and base.startswith("trained:"):
            base = found.name  # another version may serve when this one is opened
        memory = _memory(runtime.settings, chosen, found, max(2, len(data.labels)))
        require_memory(memory[0], base or chosen.name, runtime.settings)
    told = data.as_dict("en")
    about = {name: told[name] for name in ("labels", "languages", "characters", "findings")}
    run = Run(
        out, 0, chosen.name, chosen.kind, base, source, embedding, dict(chosen.settings), seed, data.name,
        data.splits.checksum, data.splits.sizes, about, time.time(), __version__,
    )  # fmt: skip
    return run, memory


def _memory(settings: Settings, chosen: Recipe, base: Base | None, labels: int) -> tuple[int, int, int]:
    """As :func:`memory_needed`: of all processes where they share the memory, else of one with its share of a batch."""
    from core.providers.torch_device import choose

    count = required(settings, int(chosen.settings["batch_size"]))
    shared = {**chosen.settings, "batch_size": int(chosen.settings["batch_size"]) // count}
    needed, weights, trained = memory_needed(base, cast("Needs", chosen.needs), chosen.method, shared, labels=labels)
    return needed * (count if choose(settings).kind == "cpu" else 1), weights, trained


def _need_pairs(data: DataReport) -> None:
    """
    Raises:
        InputError: (reason ``no_pairs``) a part has no row with both answers.
    """
    for part in PARTS:
        if not any(all(record.answers) for record in getattr(data.splits, part).records):
            raise InputError(reason="no_pairs", name=data.name, part=part)


def _same(one: Run, other: Run) -> bool:
    names = ("name", "recipe", "base", "embedding", "settings", "seed", "checksum", "made_by")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _job(jobs: Jobs, caller: Caller, version: Version, runtime: Runtime) -> Job:
    run = version.run
    return jobs.create(
        caller,
        stages,
        STAGES,
        parameters={
            "name": run.name,
            "version": run.version,
            "home": str(runtime.settings.home),
            "folder": str(runtime.settings.folder.absolute()),
            "changed": unread(runtime.settings, *GROUPS),
        },
        title=f"{run.recipe} · {version.served_as}",
    )


def _with_job(store: Trained, version: Version, made: Job) -> Version:
    if version.run.job != made.id:
        version = Version(version.folder, replace(version.run, job=made.id))
        store.save(version)
    return version


def _peak_mib() -> int:
    """The most memory this process ever held; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024
