"""What a benchmark returns, and how it is shown: on the console, as JSON, as a page of the docs in both languages."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
PACKAGES = (
    "openai",
    "httpx2",
    "langchain-openai",
    "langchain-core",
    "litellm",
    "uvloop",
    "xllamacpp",
    "streamlit",
    "torch",
    "transformers",
    "peft",
    "sentence-transformers",
)

Bilingual = tuple[str, str]  # English, Chinese


@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers are formatted by ``shown``. A column is English, or (English, Chinese)."""

    title: Bilingual
    columns: Sequence[str | Bilingual]
    rows: Sequence[Sequence[str | float | None]]


@dataclass(frozen=True)
class Target:
    """A figure with its limit. ``value`` is ``None`` when it could not be measured here."""

    text: Bilingual
    value: float | None
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Result:
    """One benchmark: tables to read, targets to hold, raw figures to keep."""

    name: str
    title: Bilingual
    tables: Sequence[Table]
    targets: Sequence[Target] = ()
    notes: Sequence[Bilingual] = ()
    raw: dict[str, Any] = field(default_factory=dict)


def shown(value: str | float | None) -> str:
    """A cell: three significant figures, never an exponent.

    >>> shown(0.01234), shown(12.3), shown(1234.5), shown(None)
    ('0.0123', '12.3', '1,234', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2
    size = abs(value)
    while size < 1 and digits < 6:
        size, digits = size * 10, digits + 1
    return f"{value:.{digits if abs(value) < 10 else 1}f}"


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "packages": found,
    }


def keep(result: Result, where: dict[str, Any]) -> Path:
    """Write the result with its raw figures to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result.name}.json"
    targets = [{**asdict(target), "met": target.met} for target in result.targets]
    data = {**asdict(result), "targets": targets, "machine": where}
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return path


def show(data: dict[str, Any]) -> None:
    """Print a kept result."""
    print(f"\n== {data['name']}: {data['title'][0]}")
    for table in data["tables"]:
        print(f"\n{table['title'][0]}")
        for line in _aligned([[_pick(c, 0) for c in table["columns"]], *(map(shown, row) for row in table["rows"])]):
            print("  " + line)
    print()
    for target in data["targets"]:
        print(f"  {_mark(target)} {_sentence(target, 0)}")
    for note in data["notes"]:
        print(f"  · {note[0]}")
    sys.stdout.flush()


def write_docs(names: Sequence[str]) -> None:
    """Write docs/<language>/benchmarks.md from all kept results, in the order of ``names``."""
    kept = [json.loads(path.read_text("utf-8")) for n in names if (path := RESULTS / f"{n}.json").exists()]
    for at, language in enumerate(("en", "zh")):
        path = DOCS / language / "benchmarks.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_page(kept, at), "utf-8")


_HEAD: Bilingual = (
    "# Benchmarks\n\nWritten by `make bench`; how it is measured stands in "
    "[benchmarks/README.md](../../benchmarks/README.md). Ratios carry over to other machines, absolute figures do not. "
    "Targets that are missed are shown too.",
    "# 性能\n\n由 `make bench` 生成；测量方法见 [benchmarks/README.md](../../benchmarks/README.md)。"
    "比值可以推广到别的机器，绝对数值不能。没有达到的目标也照样列出。",
)
_MEASURED: Bilingual = ("Measured {at} with {what}, {cores} cores.", "测于 {at}，{what}，{cores} 核。")
_TARGETS: Bilingual = ("Targets", "目标")


def _page(kept: Sequence[dict[str, Any]], at: int) -> str:
    parts = [_HEAD[at]]
    for data in kept:
        where = data["machine"]
        what = ", ".join([f"Python {where['python']}", *(f"{k} {v}" for k, v in where["packages"].items())])
        parts.append(f"## {data['title'][at]}")
        for table in data["tables"]:
            columns = [_pick(c, at) for c in table["columns"]]
            rows = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
            rows += ["| " + " | ".join(map(shown, row)) + " |" for row in table["rows"]]
            parts.append(f"{table['title'][at]}\n\n" + "\n".join(rows))
        if data["targets"]:
            parts.append("\n".join(f"- {_mark(t)} {_sentence(t, at)}" for t in data["targets"]))
        parts += [note[at] for note in data["notes"]]
        parts.append(_MEASURED[at].format(at=where["at"], what=what, cores=where["cores"]))
    return "\n\n".join(parts) + "\n"


# Columns that several benchmarks share.
_COLUMNS = {
    "client": "客户端",
    "face": "接口",
    "asynchronous": "异步",
    "synchronous": "同步",
    "module": "模块",
    "threads": "线程",
}


def _pick(text: str | Sequence[str], at: int) -> str:
    if isinstance(text, str):
        return _COLUMNS.get(text, text) if at else text
    return text[at]


def _sentence(target: dict[str, Any], at: int) -> str:
    sign = "≥" if target["at_least"] else "≤"
    unit = f" {target['unit']}"
    got, limit = shown(target["value"]), shown(target["limit"])
    return (
        f"{target['text'][at]}: {got}{unit} ({sign} {limit}{unit})"
        if at == 0
        else (f"{target['text'][at]}：{got}{unit}（{sign} {limit}{unit}）")
    )


def _mark(target: dict[str, Any]) -> str:
    return {True: "✓", False: "✗", None: "–"}[target["met"]]


def _aligned(rows: Sequence[Any]) -> list[str]:
    cells = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
