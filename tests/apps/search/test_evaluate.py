"""The measurement of the search app: what is ranked, judged and published, on hand-computed cases."""

from __future__ import annotations

from pathlib import Path

from apps.search import evaluate
from apps.search.query import Query
from apps.search.service import Search
from core.evaluation import scoreboard

ENTRIES = [
    {"id": "a", "query": "one", "relevant": {"x": 2}},
    {"id": "b", "query": "two", "wanted": ["y", "z"]},
    {"id": "c", "query": "nothing answers this", "relevant": {}},
]


def test_a_query_is_judged_by_what_it_finds() -> None:
    made = evaluate.judged("s", "d", "test", ENTRIES, lambda text: {"one": ["x"], "two": ["q", "z"]}[text])
    assert made.ids == ("a", "b")
    assert made.columns["success@1"] == [1.0, 0.0]
    assert made.columns["success@5"] == [1.0, 1.0]
    assert made.columns["recall@100"] == [1.0, 0.5]


def test_documents_are_named_as_the_sample_names_them(desk: Search) -> None:
    found = evaluate.ranked(desk, Query("annual leave in Leeds"))
    assert set(found[:2]) == {"en/leave.md", "en/leave-mail.txt"}, "what is folded counts right after the kept one"
    assert len(found) == len(set(found))


def test_figures_are_published_beside_the_other_systems(tmp_path: Path) -> None:
    def made(system: str, found: list[str]) -> evaluate.Evaluation:
        return evaluate.judged(system, "d", "test", ENTRIES, lambda _: found)

    sets = {
        "d": [made("keyword", []), made("hybrid", ["x", "y"])],
        "slips": [made("as typed", []), made("with help", ["y"])],
        "clean": [made("as typed", ["y"]), made("with help", ["y"])],
    }
    paths = evaluate.publish(sets, "test", tmp_path)
    assert [path.name for path in paths] == [
        "search-sample-test.json",
        "search-sample-slips-test.json",
        "search-sample-clean-test.json",
    ]
    figures = {figure.name: figure for figure in scoreboard.collect(tmp_path)}
    assert figures["slips: success@5"].value == 0.5
    assert figures["slips: success@5"].baselines == {"as typed": 0.0}
    assert "with help" in evaluate.table(sets)
