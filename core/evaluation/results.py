"""What an evaluation found: values per record, figures with intervals, reports as files.

A report file is also a baseline: it keeps the values of every record, so that a later run can be compared
with it pair by pair (``core.evaluation.gate``). It never holds texts of the data, only record ids.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, MissingFile, UnknownName
from core.evaluation import labels, selective
from core.evaluation.significance import Interval, bootstrap, bootstrap_means

Cell = float | str | None
Column = Sequence[Cell]

DECIMALS = 6  # of the numbers in report files

# Metrics of a whole set, by name so that a report file can name them; "name@x" fixes the last argument.
STATISTICS: dict[str, Callable[..., float]] = {
    "macro_f1": lambda expected, predicted: labels.f1(expected, predicted, "macro"),
    "weighted_f1": lambda expected, predicted: labels.f1(expected, predicted, "weighted"),
    "auroc": labels.auroc,
    "aupr": labels.aupr,
    "ece": labels.ece,
    "perplexity": lambda nll, tokens: float(np.exp(nll.sum() / tokens.sum())),
    "ratio": lambda part, whole: float(part.sum() / whole.sum()) if whole.sum() else 0.0,
    "bits": lambda nll, units: float(nll.sum() / units.sum() / np.log(2)),
    "aurc": selective.aurc,
    "coverage_at_risk": selective.coverage_at_risk,
    "risk_at_coverage": selective.risk_at_coverage,
    "accuracy_at_coverage": lambda confidence, right, share: (
        1.0 - selective.risk_at_coverage(confidence, 1.0 - right, share)
    ),
    "refusals_at": lambda answerable, confidence, share: (
        selective.refusal_at(confidence[answerable > 0], confidence[answerable <= 0], share).refusals
    ),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure to report: the mean of a column, or a statistic of several.

    Args:
        columns: what it is computed from; by default the column of the same name. Records with an empty
            cell in one of them are left out.
        statistic: a name of ``STATISTICS``, or "" for the mean.
        gated: whether a gate looks at it.
    """

    name: str
    columns: tuple[str, ...] = ()
    statistic: str = ""
    higher_is_better: bool = True
    gated: bool = True

    def arrays(self, evaluation_columns: Mapping[str, Column]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """The columns without records that have an empty cell, and the places of those that remain."""
        chosen = [evaluation_columns[name] for name in self.columns or (self.name,)]
        kept = np.array([all(cell is not None for cell in row) for row in zip(*chosen, strict=True)], dtype=bool)
        places = np.flatnonzero(kept)
        return tuple(np.array([column[i] for i in places.tolist()]) for column in chosen), places

    def function(self) -> Callable[..., float] | None:
        """The statistic, or ``None`` for the mean.

        Raises:
            UnknownName: no such statistic.
        """
        if not self.statistic:
            return None
        name, _, argument = self.statistic.partition("@")
        if name not in STATISTICS:
            raise UnknownName(kind="statistic", value=name, allowed=", ".join(STATISTICS))
        found = STATISTICS[name]
        return (lambda *columns: found(*columns, float(argument))) if argument else found


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95 % bootstrap interval over ``records`` records."""

    value: float
    low: float
    high: float
    records: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One system on one task. ``columns`` are aligned with ``ids``; an empty cell means not applicable."""

    task: str
    system: str
    data: str
    split: str
    checksum: str
    ids: tuple[str, ...]
    columns: Mapping[str, Column]
    measures: tuple[Measure, ...]
    figures: Mapping[str, Figure]
    errors: Mapping[str, str] = field(default_factory=dict)  # record id -> error code
    config: Mapping[str, Any] = field(default_factory=dict)
    median_s: float | None = None  # per record
    p95_s: float | None = None

    def value(self, measure: str) -> float:
        return self.figures[measure].value


@dataclass(frozen=True, slots=True)
class Report:
    """Evaluations made together."""

    title: str
    evaluations: tuple[Evaluation, ...]
    date: str  # ISO 8601, with time zone
    version: str
    device: str
    command: str = ""


def figures(
    measures: Sequence[Measure], columns: Mapping[str, Column], *, resamples: int = 10_000
) -> dict[str, Figure]:
    """Every measure with its interval; a measure that no record has a value for is left out."""
    found: dict[str, Figure] = {}
    means: dict[bytes, list[tuple[str, np.ndarray]]] = {}  # means over the same records share their resamples
    for measure in measures:
        arrays, places = measure.arrays(columns)
        if not len(places):
            continue
        statistic = measure.function()
        if statistic is None:
            means.setdefault(places.tobytes(), []).append((measure.name, arrays[0].astype(float)))
        elif not math.isnan(statistic(*arrays)):
            found[measure.name] = _figure(bootstrap(*arrays, statistic=statistic, resamples=resamples), len(places))
    for group in means.values():
        values = np.stack([column for _, column in group], axis=1)
        for (name, _), interval in zip(group, bootstrap_means(values, resamples=resamples), strict=True):
            found[name] = _figure(interval, len(values))
    return {measure.name: found[measure.name] for measure in measures if measure.name in found}


def _figure(interval: Interval, records: int) -> Figure:
    return Figure(interval.value, interval.low, interval.high, records)


def device() -> str:
    """The machine in words, without its name: system, processor, number of processors."""
    return f"{platform.system()} {platform.machine()}, {cpu_count()} CPUs"


# --- files ----------------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    return asdict(report)


def save(report: Report, path: Path) -> None:
    """Write the report as JSON; the same report gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(as_json(report)), ensure_ascii=False, indent=1) + "\n", "utf-8")


def load(path: Path) -> Report:
    """Read a report that :func:`save` wrote.

    Raises:
        MissingFile, InputError: no such file; not a report.
    """
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="--baseline")
    try:
        tree = json.loads(path.read_text("utf-8"))
        return Report(**{**tree, "evaluations": tuple(_evaluation(e) for e in tree["evaluations"])})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(reason="not_a_report", where=path.name, detail=str(error)) from error


def _evaluation(tree: Mapping[str, Any]) -> Evaluation:
    known = {f.name for f in fields(Evaluation)}
    if missing := {"task", "system", "checksum", "ids", "columns", "measures"} - tree.keys():
        raise ValueError(f"missing {', '.join(sorted(missing))}")
    return Evaluation(
        **{
            **{name: value for name, value in tree.items() if name in known},
            "ids": tuple(tree["ids"]),
            "measures": tuple(Measure(**{**m, "columns": tuple(m["columns"])}) for m in tree["measures"]),
            "figures": {name: Figure(**f) for name, f in tree["figures"].items()},
        }
    )


def _rounded(tree: Any) -> Any:
    """Floats with ``DECIMALS`` decimals, so that files stay small; what is not a number becomes null."""
    if isinstance(tree, float):
        return round(tree, DECIMALS) if math.isfinite(tree) else None
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(value) for value in tree]
    return tree
