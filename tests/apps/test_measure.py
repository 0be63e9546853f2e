"""``make eval``: what is there is measured and published, what is not is named, a failure is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from apps import measure
from apps.customer_service.evaluate import Case, Outcome, evaluation
from core.evaluation import scoreboard
from core.retrieval.answerer import Weighed
from core.retrieval.evidence import Evidence
from core.retrieval.records import Found
from core.types import Answer

PUBLISH = """
import sys
from pathlib import Path
from core.evaluation.scoreboard import Measured, save
figure = Measured("shop", "hits", 0.5, (0.4, 0.6), {}, "command", "data", "c" * 64, "2026-01-01", "1", "cpu")
save(Path(sys.argv[sys.argv.index("--publish") + 1]), "row", [figure])
"""


def test_rows_are_published_and_the_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROWS", (measure.Row("one", ("-c", PUBLISH)),))
    assert measure.main(["--into", str(tmp_path)]) == 0
    (figure,) = scoreboard.collect(tmp_path / "measured")
    assert figure.name == "hits"
    assert "**0.500** [0.400, 0.600]" in (tmp_path / "scoreboard.md").read_text("utf-8")


def test_absent_data_is_named_and_a_failure_ends_in_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = (
        measure.Row("absent", ("-c", "raise SystemExit(9)"), "nowhere"),
        measure.Row("broken", ("-c", "raise SystemExit(2)")),
        measure.Row("one", ("-c", PUBLISH)),
    )
    monkeypatch.setattr(measure, "ROWS", rows)
    assert measure.main(["--into", str(tmp_path), "--data", str(tmp_path)]) == 1
    told = capfd.readouterr().err
    assert "absent: not measured" in told
    assert "failed: broken\n" in told
    assert scoreboard.collect(tmp_path / "measured"), "the row after the broken one was measured"


def test_every_row_is_a_command_that_exists(tmp_path: Path) -> None:
    for row in measure.ROWS:
        given = row.arguments(tmp_path)
        assert "{" not in " ".join(given)
        assert given[0] == "-m"
        if row.data:
            assert any(word == str(tmp_path) or word.startswith(str(tmp_path / row.data)) for word in given)
    assert sys.executable


def test_the_shops_figures_have_intervals() -> None:
    def outcome(name: str, said: str, answerable: bool = True) -> Outcome:
        case = Case(name, "en", "?", answerable, frozenset({"en/a.md"}), ("30 days",), "unanswerable-near", "tune")
        ranking = {leg: ["en/a.md"] for leg in ("keyword", "vector", "fused", "weighed")}
        answer = Answer("?", "extractive" if said else "refused", said)
        weighed = Weighed(Found("?", ()), (), (), Evidence(0.0, {}))
        return Outcome(case, ranking, answer, weighed)

    made = evaluation([outcome("a", "within 30 days"), outcome("b", ""), outcome("c", "", answerable=False)], "tune")
    assert made.figures["answer_right"].value == 0.5
    assert made.figures["answer_right"].records == 2, "the unanswerable one is not asked for an answer"
    assert made.figures["refused_near"].value == 1.0
    assert "refused_far" not in made.figures
