"""The gate between a trained version and its stable name: the version that serves now is judged on the new one's test
rows, record by record, and a significant loss is refused. Where the two learned from data of different kinds, as a chat
model from conversations and from preferences, each judges the other on its own rows, too (decision 0037)."""

from __future__ import annotations

from dataclasses import replace

from core.errors import InputError
from core.evaluation import results
from core.evaluation.gate import GateResult, compare
from core.evaluation.results import Evaluation, Report
from core.evaluation.tasks import Task, report
from core.settings import Settings
from core.training.data import fold
from core.training.judging import judge, task_of
from core.training.store import Step, Trained, Version

LEAST = 10  # test rows below which a comparison says nothing


async def compared(version: Version, settings: Settings) -> tuple[GateResult, str]:
    """``version`` against the one that serves, or where none does against its baseline; and the other's name.

    Test rows that the other one has learned from are left out of the comparison.

    Raises:
        InputError: ``not_finished``; ``serves_already``; ``other_role``, what serves under this name is used for
            something else; ``few_rows``, too few rows are left to compare on.
    """
    if not version.finished:
        raise InputError(reason="not_finished", name=version.served_as)
    store, made = Trained(settings.home), results.load(version.report)
    number = store.serving(version.run.name)
    if number == version.run.version:
        raise InputError(reason="serves_already", name=version.served_as)
    if number is None:
        mine, plain = made.evaluations[0], made.evaluations[1]
        return compare(_as(made, mine), _as(made, plain)), plain.system
    other = store.version(version.run.name, number)
    if other.role != version.role:
        raise InputError(
            reason="other_role", name=version.served_as, role=version.role, other=other.served_as, wanted=other.role
        )
    found = [await _both(version, version, other, settings, known=made.evaluations[0])]
    if other.run.kind != version.run.kind:
        found.append(await _both(other, version, other, settings))
    now, before = zip(*found, strict=True)
    return compare(report("now", now), report("before", before)), other.served_as


async def promote(version: Version, settings: Settings, *, by: str = "local", force: bool = False) -> tuple[Step | None, GateResult, str]:  # fmt: skip
    """Let ``version`` serve when it is not worse than what serves; ``None`` in place of the step when it is.

    Args:
        force: let it serve whatever the comparison says, or where there are too few rows to compare; the history says so.

    Raises: as :func:`compared`.
    """
    try:
        gate, against = await compared(version, settings)
    except InputError as error:
        if not force or error.reason != "few_rows":
            raise
        gate, against = GateResult((), 0.05), "-"  # nothing to compare on: the history says forced
        step = Trained(settings.home).promote(version, what="forced", by=by, compared={})
        return step, gate, against
    if not gate.passed and not force:
        return None, gate, against
    step = Trained(settings.home).promote(
        version,
        what="promoted" if gate.passed else "forced",
        by=by,
        compared={"against": against, **gate.as_dict()},
    )
    return step, gate, against


async def _both(
    owner: Version, version: Version, other: Version, settings: Settings, *, known: Evaluation | None = None
) -> tuple[Evaluation, Evaluation]:
    """``version`` and ``other`` on those test rows of ``owner``, one of them, that neither has learned from.

    Args:
        known: how ``version`` did on all of these rows.
    """
    task, stranger = task_of(owner), other if owner is version else version
    fair = _without_learned(task, stranger)
    if len(fair.data) < LEAST:
        raise InputError(
            reason="few_rows", name=owner.served_as, other=stranger.served_as, count=len(fair.data), least=LEAST
        )
    if known is None or len(fair.data) < len(task.data):
        known = await judge(version, fair, settings)
    return known, await judge(other, fair, settings)


def _as(made: Report, evaluation: results.Evaluation) -> Report:
    return replace(made, evaluations=(replace(evaluation, system="one"),))


def _without_learned(task: Task, other: Version) -> Task:
    """The task without rows that ``other`` was trained on, word for word or nearly."""
    learned = {fold(record.input) for record in other.splits().train.records}
    kept = tuple(record for record in task.data.records if fold(record.input) not in learned)
    return task if len(kept) == len(task.data) else replace(task, data=replace(task.data, records=kept, checksum=""))
