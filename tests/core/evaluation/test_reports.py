"""Reports: tables, one safe page, the scoreboard."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from core.errors import InputError
from core.evaluation import charts, gate, reports, scoreboard
from core.evaluation.datasets import Dataset, Record
from core.evaluation.judges import answer_task, retrieval_task
from core.evaluation.results import Report
from core.evaluation.tasks import judged, report
from core.i18n import catalogue

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = '<script>alert("x")</script>[bold red]&{{ 7*7 }}'
DATA = Dataset(HOSTILE, "test", tuple(Record(str(n), "?", answers=("blue",), relevant={"d": 1.0}) for n in range(20)))
OTHERS = Dataset("other", "test", tuple(Record(str(n), "?") for n in range(5)))


def made() -> Report:
    ranked = judged(
        retrieval_task(DATA, ["mrr", "ndcg@10"]),
        {str(n): ["d"] if n % 2 else ["x", "d"] for n in range(20)},
        name=HOSTILE,
        config={HOSTILE: HOSTILE},
    )
    second = judged(retrieval_task(DATA, ["mrr", "ndcg@10"]), {str(n): ["d"] for n in range(20)}, name="better")
    answers = {
        str(n): {"answered": n > 3, "quotes": ["blue"] if n > 8 else [], "confidence": n / 20} for n in range(20)
    }
    refused = {f"other:{n}": {"answered": n > 3, "quotes": [], "confidence": 0.1} for n in range(4)}
    answered = judged(answer_task(DATA, [OTHERS]), {**answers, **refused}, name="answers")
    return report(HOSTILE, [ranked, second, answered], HOSTILE)


REPORT = made()
WORSE = Report("now", REPORT.evaluations[:1], REPORT.date, REPORT.version, REPORT.device)
BASE = Report("base", REPORT.evaluations[1:2], REPORT.date, REPORT.version, REPORT.device)
GATE = gate.compare(WORSE, BASE)


class Tags(HTMLParser):
    """Counts tags, collects attributes and text, and checks that what is opened is closed."""

    VOID = frozenset({"meta", "rect", "path", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_needs_nothing_from_outside_and_runs_nothing(language: str) -> None:
    tags = parsed(reports.html(REPORT, language, GATE))
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(tags.seen)
    for name, value in tags.attributes:
        assert name not in {"src", "href", "srcset", "action", "data"}
        assert not name.startswith("on")
        assert not re.search(r"https?:|//|javascript:|url\(", value or "")
    policy = [value for name, value in tags.attributes if name == "content" and "default-src" in (value or "")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "@import" not in tags.text
    assert "url(" not in tags.text


def test_foreign_text_is_shown_as_text() -> None:
    page = reports.html(REPORT, "en")
    assert "<script>" not in page
    assert HOSTILE in parsed(page).text


def test_the_page_speaks_both_languages() -> None:
    english, chinese = reports.html(REPORT, "en", GATE), reports.html(REPORT, "zh", GATE)
    assert 'lang="en"' in english
    assert 'lang="zh-CN"' in chinese
    assert not re.search("[\u4e00-\u9fff]", english)
    for word in ("门禁", "未通过", "变差", "指标含义", "风险与覆盖率"):
        assert word in chinese
    assert "evaluation." not in english + chinese, "a text is missing in the catalogue"


def test_the_page_draws_bars_and_the_risk_curve() -> None:
    tags = parsed(reports.html(REPORT, "en"))
    assert tags.seen.count("svg") == 3  # bars of two tasks, one curve
    assert tags.seen.count("polyline") == 1
    assert tags.seen.count("rect") >= 2 * 4
    assert "prefers-color-scheme: dark" in tags.text


def test_every_number_of_the_report_stands_on_the_page() -> None:
    text = parsed(reports.html(REPORT, "en")).text
    for evaluation in REPORT.evaluations:
        for figure in evaluation.figures.values():
            assert reports.number(figure.value) in text
            assert f"{reports.number(figure.low)} … {reports.number(figure.high)}" in text


def test_the_page_is_written_to_a_file(tmp_path: Path) -> None:
    reports.save_html(REPORT, tmp_path / "new" / "report.html", "zh")
    assert (tmp_path / "new" / "report.html").read_text("utf-8") == reports.html(REPORT, "zh")


def test_charts_keep_labels_as_text_and_values_on_the_scale() -> None:
    drawn = charts.bars("<t>", [charts.Bar("<l>", 0.5, 0.4, 0.6), charts.Bar("b" * 99, 2.0, 1.5, 4.0)])
    parsed(drawn)
    assert "&lt;l&gt;" in drawn
    widths = [float(w) for w in re.findall(r'class="bar" x="\d+" y="\d+" width="([\d.]+)"', drawn)]
    tracks = [float(w) for w in re.findall(r'class="track" x="\d+" y="\d+" width="([\d.]+)"', drawn)]
    assert widths[1] == pytest.approx(tracks[1] / 2)
    assert widths[0] == pytest.approx(tracks[0] / 8, abs=0.2)
    curve = charts.lines("t", [charts.Line("<a>", [n / 999 for n in range(1000)], [0.5] * 1000)], "x", "y")
    parsed(curve)
    points = re.findall(r'points="([^"]+)"', curve)[0].split()
    assert len(points) <= 201
    assert float(points[-1].split(",")[0]) == charts.WIDTH - 12


# --- the terminal --------------------------------------------------------------------------------


def drawn(thing: Any) -> str:
    console = Console(width=240, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  # closed with the console below
    console.print(thing)
    console.file.close()
    return console.export_text()


def test_tables_show_figures_with_intervals_and_foreign_names_as_they_are() -> None:
    first, second = (drawn(table) for table in reports.tables(REPORT, "zh"))
    assert "[bold red]" in first
    assert re.search(r"mrr +0\.750 \[0\.6\d+, 0\.8\d+\] +1\.000 \[1\.000, 1\.000\]", first)
    assert "aurc ↓" in second
    assert re.search(r"出错条数 +1 ", second)


def test_the_gate_table_names_verdicts() -> None:
    assert "worse" in drawn(reports.gate_table(GATE, "en"))
    assert "变差" in drawn(reports.gate_table(GATE, "zh"))


def test_every_measure_has_a_meaning_in_both_languages() -> None:
    known = {name for e in REPORT.evaluations for name in e.figures} | {"accuracy", "macro_f1", "ece", "recall@10", "map@100", "success@1", "f1", "exact_match"}  # fmt: skip
    for language in ("en", "zh"):
        assert reports.meanings(sorted(known), reports._text(language)).keys() == known
    assert "evaluation.meaning.ndcg" in catalogue("zh")


@pytest.mark.parametrize(
    ("value", "told"), [(None, "–"), (0.0, "0.000"), (1.0, "1.000"), (0.12345, "0.123"), (0.000123, "0.00012"), (12.5, "12.500")]
)  # fmt: skip
def test_numbers(value: float | None, told: str) -> None:
    assert reports.number(value) == told


# --- the scoreboard ------------------------------------------------------------------------------


def figure(**changes: Any) -> dict[str, Any]:
    return {
        "app": "retrieval",
        "name": "colors nDCG@10",
        "value": 0.71234,
        "interval": [0.7, 0.72],
        "baselines": {"BM25": 0.68},
        "command": "touchstone evaluate retrieval --data colors",
        "data": "colors/test",
        "checksum": "ab" * 32,
        "date": "2026-11-21",
        "version": "0.1.0",
        "device": "2 CPUs",
        **changes,
    }


def test_figures_are_collected_into_a_table_per_app(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(
        json.dumps([figure(app="support", name="n|ame", value=12345.6, interval=None, unit="/s")])
    )
    (tmp_path / "a.json").write_text(json.dumps(figure(higher_is_better=False, records=300)))
    page = scoreboard.page(scoreboard.collect(tmp_path))
    assert page.index("## retrieval") < page.index("## support")
    assert "| colors nDCG@10 ↓ | **0.712** [0.700, 0.720] | BM25 0.680 | colors/test (300, `abababab`) |" in page
    assert "| n\\|ame | **12,346** /s |" in page


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        "[3]",
        json.dumps({k: v for k, v in figure().items() if k != "checksum"}),
        json.dumps(figure(command="")),
        json.dumps(figure(vlaue=1)),
    ],
)
def test_a_figure_that_cannot_say_how_it_was_made_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=r"bad\.json"):
        scoreboard.collect(tmp_path)


def test_a_report_can_be_published_with_other_systems_as_baselines(tmp_path: Path) -> None:
    wanted = [scoreboard.Wanted("mrr", "colors MRR", {"published": 0.5})]
    found = scoreboard.published("retrieval", REPORT, REPORT.evaluations[1], wanted)
    scoreboard.save(tmp_path / "measured", "colors", found)
    (loaded,) = scoreboard.collect(tmp_path / "measured")
    assert loaded == found[0]
    assert loaded.baselines == {HOSTILE: 0.75, "published": 0.5}
    assert (loaded.value, loaded.records, loaded.command) == (1.0, 20, HOSTILE)
    scoreboard.main([str(tmp_path)])
    assert (tmp_path / "scoreboard.md").read_text("utf-8") == scoreboard.page([loaded])


def test_the_scoreboard_of_this_repository_is_fresh() -> None:
    wanted = scoreboard.page(scoreboard.collect(ROOT / "docs" / "measured"))
    assert (ROOT / "docs" / "scoreboard.md").read_text("utf-8") == wanted, "run `make eval`"
