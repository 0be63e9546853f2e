"""The search app as plain Python: what is found where, by whom, and why."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from apps.search import export
from apps.search.query import Query
from apps.search.service import Search
from core.errors import InputError, NotFound
from core.retrieval import beside
from core.types import Caller, Hit, Passage
from tests.apps.search.conftest import embedded

ANNA, BOB = Caller(tenant="one", user="anna"), Caller(tenant="one", user="bob")


def names(desk: Search, query: Query | str, caller: Caller = ANNA) -> list[str]:
    return [hit.passage.source.rsplit("/", 1)[-1] for hit in desk.find(query, caller).hits]


def test_the_sample_is_found_in_both_languages(desk: Search) -> None:
    assert names(desk, "年假多少天")[0] == "leave.md"
    assert desk.find("annual leave in Leeds", ANNA).hits[0].passage.title.startswith("Annual leave")
    assert names(desk, "RO-400")[0] == "prices.csv"


def test_near_duplicates_are_folded(desk: Search) -> None:
    found = desk.find("annual leave in Leeds", ANNA)
    (kept,) = [hit for hit in found.hits if hit.passage.title.startswith("Annual leave")]
    assert [other.passage.document_id != kept.passage.document_id for other in kept.similar] == [True]


def test_filters_let_through_what_they_say(desk: Search) -> None:
    assert {h.passage.language for h in desk.find(Query("leave 年假", languages=("zh",)), ANNA).hits} == {"zh"}
    assert names(desk, Query("RO-400 leave", kinds=("table",))) == ["prices.csv"]
    assert names(desk, Query("leave", places=("mine",))) == []
    assert names(desk, Query("leave", since="2999-01-01")) == []
    with pytest.raises(InputError):
        desk.find(Query("leave", places=("elsewhere",)), ANNA)
    with pytest.raises(InputError):
        desk.find("  ", ANNA)


def test_uploads_are_found_by_their_owner_alone(desk: Search) -> None:
    desk.upload("note.md", b"# Bike shed\n\nThe code of the bike shed is 4711.\n", ANNA)
    assert names(desk, "bike shed code")[0] == "note.md"
    assert "note.md" not in names(desk, "bike shed code", BOB)
    (document,) = desk.documents(ANNA)
    assert desk.text(document.id, ANNA).startswith("# Bike shed")
    for action in (desk.text, desk.remove):
        with pytest.raises(NotFound):
            action(document.id, BOB)
    desk.remove(document.id, ANNA)
    assert "note.md" not in names(desk, "bike shed code")


def test_an_answer_is_quoted_with_its_source(desk: Search) -> None:
    answer = desk.answer("入职满一年有多少天年假？", ANNA)
    assert "10 天" in answer.text
    assert answer.citations[0].source.endswith("leave.md")


def test_an_answer_keeps_to_the_filters(desk: Search) -> None:
    question = "Staff in Leeds annual leave days"
    assert "25 days" in desk.answer(Query(question), ANNA).text
    answer = desk.answer(Query(question, languages=("zh",)), ANNA)
    assert all(citation.source.endswith(("leave.md", "travel.md")) for citation in answer.citations)
    assert "Leeds" not in answer.text


@pytest.mark.parametrize(
    ("about", "verdict"), [("travel.md", "found"), ("nowhere.md", "not_here"), ("差旅标准", "found")]
)
def test_a_document_is_explained_wherever_it_lies(desk: Search, about: str, verdict: str) -> None:
    assert desk.explain(Query("住宿标准"), about, ANNA).verdict == verdict


def test_an_upload_is_explained_too(desk: Search) -> None:
    desk.upload("note.md", b"# Bike shed\n\nThe code of the bike shed is 4711.\n", ANNA)
    assert desk.explain(Query("bike"), "note.md", ANNA).verdict == "found"
    assert desk.explain(Query("bike"), "note.md", BOB).verdict == "not_here"


def test_similar_passages_are_of_other_documents(desk: Search) -> None:
    hit = desk.find("annual leave in Leeds", ANNA).hits[0]
    found = desk.similar(hit, Query("annual leave in Leeds"), ANNA)
    assert found.hits
    assert all(other.passage.document_id != hit.passage.document_id for other in found.hits)


def test_a_query_is_understood_by_the_words_of_what_it_searches(desk: Search) -> None:
    meant = desk.understood(Query("anual leave"), ANNA)
    assert (meant.query.text, meant.also) == ("annual leave", ())
    assert desk.understood(Query("anual leave", help=()), ANNA).query.text == "anual leave"
    assert desk.understood(Query("anual leave", places=("mine",)), ANNA).changes == ()
    desk.upload("note.md", b"# Bicycle shed\n\nThe bicycle shed is locked.\n", ANNA)
    assert desk.understood(Query("bicyle shed"), ANNA).query.text == "bicycle shed"
    assert desk.understood(Query("bicyle shed"), BOB).changes == (), "words of others' uploads stay unsaid"
    assert desk.understood(Query("住宿標準"), ANNA).also == ("住宿标准",)


def test_the_other_language_stands_beside_the_results_and_never_among_them(
    desk: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(desk)
    asked = Query("annual leave in Leeds", places=("sample",))
    found = desk.find(asked, ANNA)
    assert desk.beside(asked, found, ANNA) is None, "a Chinese document is among the first five: nothing is hidden"
    monkeypatch.setattr(beside, "FIRST", 1)
    also = desk.beside(asked, found, ANNA)
    assert also is not None
    assert also.language == "zh"
    assert {hit.passage.language for hit in also.hits} == {"zh"}
    assert len({hit.passage.document_id for hit in also.hits}) == len(also.hits) <= beside.MOST
    other = desk.beside(Query("年假"), desk.find(Query("年假"), ANNA), ANNA)
    assert other is not None
    assert other.language == "en"
    for changed in ({"help": ()}, {"languages": ("en",)}, {"mode": "keyword"}):
        assert desk.beside(replace(asked, **changed), found, ANNA) is None  # type: ignore[arg-type]
    assert desk.beside(asked, desk.find(replace(asked, mode="keyword"), ANNA), ANNA) is None, (
        "without vectors nothing is known"
    )


def test_what_each_place_language_and_kind_has_is_counted(desk: Search) -> None:
    desk.upload("note.md", b"# Leave\n\nAsk for leave two weeks before.\n", ANNA)
    hits = desk.find("leave 年假 two weeks price RO-400", ANNA).hits
    found = desk.facets(hits, ANNA)
    assert set(found["language"]) == {"zh", "en"}
    assert found["kind"]["table"] == 1
    assert found["in"]["mine"] == 1
    assert sum(found["in"].values()) == len(hits)
    for facet, field in (("in", "places"), ("kind", "kinds"), ("language", "languages")):
        for name in found[facet]:
            narrowed = desk.find(Query("leave 年假 two weeks price RO-400", **{field: (name,)}), ANNA).hits  # type: ignore[arg-type]
            assert len(narrowed) >= found[facet][name], "a filter lets through at least what was counted"


# --- export -----------------------------------------------------------------------------------


def hit(title: str, text: str) -> Hit:
    return Hit(Passage("p", "d", text, title, "folder/a.md", 0, 0, len(text), page=3), 0.5)


def test_a_cell_of_the_table_cannot_act_as_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(export.as_csv([hit("=1+1", '@cmd "x"\n退货')]).removeprefix("\ufeff"))))
    assert rows[0][:3] == ["rank", "score", "title"]
    assert rows[1] == ["1", "0.5000", "'=1+1", "", "folder/a.md", "3", '\'@cmd "x"\n退货']


def test_text_of_a_document_cannot_leave_its_fence() -> None:
    made = export.as_markdown("a\n# b", [hit("t", "x\n```\n# not a heading\n````\n")])
    assert made.startswith("# a # b\n")
    assert "`````\nx\n```\n# not a heading" in made
