"""A report for the terminal and as one HTML page that needs nothing else: no script, no network, no font.

Both are written in Chinese or English. Everything that comes from data is escaped; the page's own
Content-Security-Policy allows nothing but its style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.evaluation.charts import Bar, Line, bars, lines
from core.evaluation.gate import GateResult
from core.evaluation.judges import curve
from core.evaluation.results import Evaluation, Figure, Report
from core.i18n import message

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Section:
    """The evaluations of one task on one data set, side by side."""

    evaluations: tuple[Evaluation, ...]
    measures: tuple[str, ...]
    higher: dict[str, bool]
    charts: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)  # what each figure is, in the reader's language

    @property
    def task(self) -> str:
        return self.evaluations[0].task

    @property
    def data(self) -> str:
        return self.evaluations[0].data

    @property
    def split(self) -> str:
        return self.evaluations[0].split

    @property
    def checksum(self) -> str:
        return self.evaluations[0].checksum

    @property
    def records(self) -> int:
        return len(self.evaluations[0].ids)


def sections(report: Report) -> list[Section]:
    """Evaluations of the same task and data together, in the order of the report."""
    groups: dict[tuple[str, str, str], list[Evaluation]] = {}
    for evaluation in report.evaluations:
        groups.setdefault((evaluation.task, evaluation.data, evaluation.checksum), []).append(evaluation)
    found = []
    for group in groups.values():
        higher = {m.name: m.higher_is_better for e in group for m in e.measures if m.name in e.figures}
        found.append(Section(tuple(group), tuple(higher), higher))
    return found


# --- terminal -------------------------------------------------------------------------------------


def tables(report: Report, language: str = "en") -> list[Table]:
    """A rich table per task and data set: measures down, systems across. Names are text, never markup."""
    text = _text(language)
    found = []
    for section in sections(report):
        heading = f"{section.task} · {section.data} · {text('records', count=section.records)}"
        table = _table(heading, [text("measure")], [e.system for e in section.evaluations])
        for name in section.measures:
            arrow = "" if section.higher[name] else " ↓"
            _add(table, name + arrow, *(_cell(e.figures.get(name)) for e in section.evaluations))
        if any(e.errors for e in section.evaluations):
            _add(table, text("errors"), *(str(len(e.errors)) for e in section.evaluations))
        found.append(table)
    return found


def gate_table(gate: GateResult, language: str = "en") -> Table:
    """A rich table with a row per compared figure."""
    text = _text(language)
    heading = f"{text('gate')}: {text('gate_passed' if gate.passed else 'gate_failed')}"
    names = [text(name) for name in ("task", "system", "measure", "verdict")]
    table = _table(heading, names, [*(text(name) for name in ("current", "baseline", "difference")), "p"])
    styles = {"better": "green", "worse": "bold red", "missing": "bold red"}
    for row in gate.rows:
        values = (number(row.current), number(row.baseline), signed(row.difference), number(row.p))
        told = text(f"verdict_{row.verdict}")
        _add(table, row.task, row.system, row.measure, told, *values, style=styles.get(row.verdict, ""))
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for name in left:
        table.add_column(Text(name))
    for name in right:
        table.add_column(Text(name), justify="right")
    return table


def _add(table: Table, *cells: str, style: str = "") -> None:
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells), style=style)


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


# --- HTML -----------------------------------------------------------------------------------------


def html(report: Report, language: str = "en", gate: GateResult | None = None) -> str:
    """The report as one page. Light or dark as the reader's system is."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((FOLDER / "report.html.j2").read_text("utf-8"))
    text = _text(language)
    drawn = [_with_charts(section, text, Markup) for section in sections(report)]
    return template.render(
        report=report,
        language=language,
        style=Markup((FOLDER / "report.css").read_text("utf-8")),  # noqa: S704  # our own file
        sections=drawn,
        gate=gate,
        t=text,
        number=number,
        signed=signed,
        interval=interval,
    )


def save_html(report: Report, path: Path, language: str = "en", gate: GateResult | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(report, language, gate), "utf-8")


def _with_charts(section: Section, text: Callable[..., str], markup: Callable[[str], Any]) -> Section:
    many = len(section.evaluations) > 1
    shares = [name for name in section.measures if section.higher[name]]
    rows = [
        Bar(f"{name} · {e.system}" if many else name, figure.value, figure.low, figure.high)
        for name in shares
        for e in section.evaluations
        if (figure := e.figures.get(name)) is not None
    ]
    charts = [bars(text("chart_bars"), rows)] if rows else []
    curves = [
        Line(e.system, *(points.tolist() for points in curve(e.columns)))
        for e in section.evaluations
        if {"confidence", "loss"} <= e.columns.keys() and any(c is not None for c in e.columns["confidence"])
    ]
    if curves:
        charts.append(lines(text("chart_risk"), curves, text("coverage"), text("risk")))
    return replace(section, charts=tuple(map(markup, charts)), meanings=meanings(section.measures, text))


def meanings(measures: Sequence[str], text: Callable[..., str]) -> dict[str, str]:
    """What each known figure is; "ndcg@10" and "refused_at_10%" are looked up without their number."""
    found = {}
    for name in measures:
        key = re.sub(r"@.*$|_\d+%$", "", name)
        told = text(f"meaning.{key}")
        if told != f"evaluation.meaning.{key}":
            found[name] = told
    return found


# --- numbers and words ----------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Three decimals; four significant digits below a hundredth; a dash for what is unknown."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def interval(figure: Any, form: Callable[[float | None], str]) -> str:
    return "–" if figure.low is None else f"{form(figure.low)} … {form(figure.high)}"


def _text(language: str) -> Callable[..., str]:
    def text(key: str, **params: Any) -> str:
        return message(f"evaluation.{key}", language, **params)

    return text
