"""Is it worse than before? A report against a baseline, record by record, with paired significance.

A loss fails the gate when it is significant after Holm's correction over everything compared and larger
than ``tolerance``. A task, system or figure that the baseline has and the new report lacks fails it, too:
a gate that falls silent is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.errors import InputError
from core.evaluation.results import DECIMALS, Evaluation, Measure, Report
from core.evaluation.significance import Comparison, holm, paired_bootstrap, paired_permutation

Verdict = Literal["better", "same", "worse", "missing", "new"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One figure. ``difference`` is current minus baseline with its 95 % interval, ``p`` corrected and two-sided."""

    task: str
    system: str
    measure: str
    verdict: Verdict
    current: float | None = None
    baseline: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    rows: tuple[GateRow, ...]
    alpha: float

    @property
    def passed(self) -> bool:
        return not any(row.verdict in ("worse", "missing") for row in self.rows)

    @property
    def exit_code(self) -> int:
        """For scripts: 0 passed, 1 a significant loss or something missing."""
        return 0 if self.passed else 1

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "alpha": self.alpha, "rows": [asdict(row) for row in self.rows]}


def compare(
    current: Report,
    baseline: Report,
    *,
    alpha: float = 0.05,
    tolerance: float = 0.0,
    measures: Sequence[str] | None = None,
) -> GateResult:
    """Compare every gated figure of ``current`` with the baseline's of the same task and system.

    A system that is new under its name is compared with the task's only one in the baseline, so that a
    changed model can be judged; with several it must be named alike.

    Args:
        tolerance: a loss of no more than this passes, however certain.
        measures: which figures to look at; by default those that the task gates.

    Raises:
        InputError: a task was measured on other records than the baseline.
    """
    rows: list[GateRow] = []
    tested: list[tuple[Evaluation, Evaluation, Measure]] = []
    pairs = _pairs(current, baseline)
    for found, before in pairs:
        if found is None or before is None:
            for side in (found, before):
                if side is not None:
                    rows += [_alone(side, m, missing=side is before) for m in side.measures if _wanted(m, measures)]
            continue
        if set(found.ids) != set(before.ids) or found.checksum != before.checksum:
            raise InputError(reason="not_comparable", task=found.task, detail=_difference(found, before))
        ours = {m.name: m for m in found.measures if _wanted(m, measures) and m.name in found.figures}
        theirs = {m.name: m for m in before.measures if _wanted(m, measures) and m.name in before.figures}
        rows += [_alone(before, m, missing=True) for name, m in theirs.items() if name not in ours]
        rows += [_alone(found, m, missing=False) for name, m in ours.items() if name not in theirs]
        tested += [(found, before, measure) for name, measure in ours.items() if name in theirs]
    compared = [_compared(*test) for test in tested]
    for test, comparison, p in zip(tested, compared, holm([c.p for c in compared]), strict=True):
        rows.append(_row(*test, comparison, p, alpha, tolerance))
    return GateResult(tuple(rows), alpha)


def _pairs(current: Report, baseline: Report) -> list[tuple[Evaluation | None, Evaluation | None]]:
    left = {(e.task, e.system): e for e in baseline.evaluations}
    pairs: list[tuple[Evaluation | None, Evaluation | None]] = []
    for found in current.evaluations:
        before = left.pop((found.task, found.system), None)
        same_task = [key for key in left if key[0] == found.task]
        if before is None and len(same_task) == 1 and sum(e.task == found.task for e in current.evaluations) == 1:
            before = left.pop(same_task[0])
        pairs.append((found, before))
    return pairs + [(None, before) for before in left.values()]


def _wanted(measure: Measure, measures: Sequence[str] | None) -> bool:
    return measure.name in measures if measures is not None else measure.gated


def _alone(side: Evaluation, measure: Measure, *, missing: bool) -> GateRow:
    figure = side.figures.get(measure.name)
    value = figure.value if figure else None
    if missing:
        return GateRow(side.task, side.system, measure.name, "missing", baseline=value)
    return GateRow(side.task, side.system, measure.name, "new", current=value)


def _difference(found: Evaluation, before: Evaluation) -> str:
    return f"{found.data}/{found.split} {len(found.ids)} {found.checksum[:12]} ≠ {before.data}/{before.split} {len(before.ids)} {before.checksum[:12]}"


def _compared(found: Evaluation, before: Evaluation, measure: Measure) -> Comparison:
    """Both on the records for which both have values, in one order and with the decimals of a report file."""
    (mine, places), (other, their_places) = measure.arrays(found.columns), measure.arrays(before.columns)
    row_of = {before.ids[place]: row for row, place in enumerate(their_places.tolist())}
    shared = [(row, row_of[i]) for row, place in enumerate(places.tolist()) if (i := found.ids[place]) in row_of]
    if not shared:
        return Comparison(0.0, 0.0, 0.0, 1.0)
    rows, other_rows = (np.array(side) for side in zip(*shared, strict=True))
    left = tuple(_as_stored(column[rows]) for column in mine)
    right = tuple(_as_stored(column[other_rows]) for column in other)
    if all(np.array_equal(ours, theirs) for ours, theirs in zip(left, right, strict=True)):
        return Comparison(0.0, 0.0, 0.0, 1.0)
    comparison = paired_bootstrap(left, right, statistic=measure.function())
    if measure.statistic:
        return comparison
    return Comparison(comparison.difference, comparison.low, comparison.high, paired_permutation(left[0], right[0]))


def _as_stored(column: np.ndarray) -> np.ndarray:
    """Without this, rounding alone would make every record of an unchanged system differ a little."""
    return column.astype(float).round(DECIMALS) if column.dtype.kind in "fiu" else column


def _row(
    found: Evaluation,
    before: Evaluation,
    measure: Measure,
    comparison: Comparison,
    p: float,
    alpha: float,
    tolerance: float,
) -> GateRow:
    gain = comparison.difference if measure.higher_is_better else -comparison.difference
    verdict: Verdict = "same"
    if p < alpha and abs(gain) > tolerance:
        verdict = "better" if gain > 0 else "worse"
    return GateRow(
        found.task,
        found.system,
        measure.name,
        verdict,
        found.figures[measure.name].value,
        before.figures[measure.name].value,
        comparison.difference,
        comparison.low,
        comparison.high,
        p,
    )
