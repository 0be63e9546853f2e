"""Every measured figure of the repository in one page: ``docs/measured/*.json`` → ``docs/scoreboard.md``.

A file holds one figure or a list of them. A figure that cannot say how it was made is refused: command,
data with checksum, date, version, device and the baselines it should be read beside are all required.

``python -m core.evaluation.scoreboard docs`` writes the page anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.evaluation.results import DECIMALS, Evaluation, Report


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure. ``interval`` is its 95 % confidence interval, ``None`` where the thing has none (a size, a count)."""

    app: str
    name: str
    value: float
    interval: tuple[float, float] | None
    baselines: Mapping[str, float]
    command: str
    data: str
    checksum: str
    date: str  # ISO 8601
    version: str
    device: str
    unit: str = ""
    higher_is_better: bool = True
    records: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which measure of an evaluation to publish, under which name, beside which baselines."""

    measure: str
    name: str
    baselines: Mapping[str, float] = field(default_factory=dict)


def published(app: str, report: Report, evaluation: Evaluation, wanted: Sequence[Wanted]) -> list[Measured]:
    """Figures of an evaluation for the scoreboard; other systems of the report are baselines beside those named."""
    found = []
    for item in wanted:
        figure = evaluation.figures[item.measure]
        beside = {
            other.system: round(other.figures[item.measure].value, DECIMALS)
            for other in report.evaluations
            if other is not evaluation and other.checksum == evaluation.checksum and item.measure in other.figures
        }
        measure = next(m for m in evaluation.measures if m.name == item.measure)
        found.append(
            Measured(
                app=app,
                name=item.name,
                value=round(figure.value, DECIMALS),
                interval=(round(figure.low, DECIMALS), round(figure.high, DECIMALS)),
                baselines={**beside, **item.baselines},
                command=report.command,
                data=f"{evaluation.data}/{evaluation.split}",
                checksum=evaluation.checksum,
                date=report.date,
                version=report.version,
                device=report.device,
                higher_is_better=measure.higher_is_better,
                records=figure.records,
            )
        )
    return found


def save(folder: Path, name: str, figures: Sequence[Measured]) -> Path:
    """Write figures as ``folder/name.json``; what stood there under that name is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps([asdict(f) for f in figures], ensure_ascii=False, indent=1) + "\n", "utf-8")
    return path


def collect(folder: Path) -> list[Measured]:
    """All figures of a folder, by app and name.

    Raises:
        InputError: a file that is not a list of figures, or a figure that lacks something; names file and field.
    """
    found: list[Measured] = []
    for path in sorted(folder.glob("*.json")):
        try:
            tree = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(reason="bad_json", where=path.name, detail=str(error)) from error
        found += [_figure(row, path.name) for row in (tree if isinstance(tree, list) else [tree])]
    return sorted(found, key=lambda f: (f.app, f.name))


def _figure(row: Any, where: str) -> Measured:
    if not isinstance(row, dict):
        raise InputError(reason="data_row", where=where, detail=repr(row)[:80])
    known = {f.name: f for f in fields(Measured)}
    missing = [name for name, f in known.items() if f.default is MISSING and name not in row]
    unknown = [name for name in row if name not in known]
    empty = [name for name in ("command", "data", "checksum", "date", "device") if not row.get(name)]
    if missing or unknown or empty:
        raise InputError(
            reason="data_row", where=where, detail=f"{row.get('name')}: {', '.join([*missing, *unknown, *empty])}"
        )
    span = row["interval"]
    return Measured(**{**row, "interval": None if span is None else (span[0], span[1])})


def page(figures: Sequence[Measured]) -> str:
    """The scoreboard as Markdown, in English and Chinese at once: a table per app."""
    parts = [
        "# Scoreboard · 成绩单",
        "Generated from `docs/measured/` by `make eval`; do not edit. Values in brackets are 95 % bootstrap "
        "intervals; ↓ means lower is better; baselines were measured on the same data.",
        "由 `make eval` 根据 `docs/measured/` 生成，请勿手改。方括号内为 95% 自助法区间；↓ 表示越低越好；基线在同一数据上测得。",
    ]
    for app in dict.fromkeys(f.app for f in figures):
        rows = [f for f in figures if f.app == app]
        parts.append(f"## {app}")
        parts.append(
            "\n".join(
                [
                    "| Figure 指标 | Value 数值 | Baselines 基线 | Data 数据 | Made 测量 | Command 命令 |",
                    "| --- | --- | --- | --- | --- | --- |",
                    *map(_line, rows),
                ]
            )
        )
    if not figures:
        parts.append("Nothing has been measured yet. 尚无测量结果。")
    return "\n\n".join(parts) + "\n"


def _line(f: Measured) -> str:
    span = f" [{_number(f.interval[0])}, {_number(f.interval[1])}]" if f.interval else ""
    unit = f" {f.unit}" if f.unit else ""
    cells = (
        f.name + ("" if f.higher_is_better else " ↓"),
        f"**{_number(f.value)}**{span}{unit}",
        ", ".join(f"{name} {_number(value)}" for name, value in f.baselines.items()) or "–",
        f"{f.data} ({f'{f.records}, ' if f.records else ''}`{f.checksum[:8]}`)",
        f"{f.date[:10]}, {f.version}, {f.device}" + (f"; {f.note}" if f.note else ""),
        f"`{f.command}`",
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0] if arguments else "docs")
    (folder / "scoreboard.md").write_text(page(collect(folder / "measured")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
