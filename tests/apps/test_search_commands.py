"""``touchstone search``, ``explain``, ``synonyms`` and ``dictionary`` from the outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.apps.test_cli import data, folder, touchstone

__all__ = ["folder"]  # the fixture: an empty folder and scripted models


@pytest.fixture
def indexed(folder: Path) -> Path:
    docs = folder / "docs"
    docs.mkdir()
    (docs / "退货.md").write_text(
        "---\nyear: 2026\ntags: [售后]\n---\n\n# 退货政策\n\n签收后 15 天内可以退货。运费由买家承担。\n", "utf-8"
    )
    (docs / "kettle.md").write_text("# KT-210 kettle\n\nThe kettle holds 1.5 L and may be sent back.\n", "utf-8")
    touchstone("index", str(docs), "--metadata", "shop=north", "-m", "rank=3")
    return docs


def titles(*arguments: str) -> list[str]:
    return [hit["title"] for hit in data(touchstone("search", *arguments, "--json"))["hits"]]


def test_search_for_people(indexed: Path) -> None:
    result = touchstone("search", "退货运费", TOUCHSTONE_LANG="zh")
    assert result.exit_code == 0
    assert "1. 退货政策" in result.stdout
    assert "运费由买家承担。" in result.stdout
    assert "退货.md" in result.stdout
    assert "没有找到" in touchstone("search", "xyzzy", "--mode", "keyword", TOUCHSTONE_LANG="zh").stdout


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_words_are_searched_without_an_embedding_model(indexed: Path, mode: str) -> None:
    result = touchstone(
        "search", "kettle", "--mode", mode, "--json", TOUCHSTONE_EMBEDDING="openai:text-embedding-3-small"
    )
    assert result.exit_code == 0, result.stdout
    assert [hit["title"] for hit in data(result)["hits"]] == ["KT-210 kettle"]


def test_search_as_data(indexed: Path) -> None:
    found = data(touchstone("search", "退货运费", "--json"))
    first = found["hits"][0]
    assert first["sentence"]["text"] == "运费由买家承担。"
    assert first["metadata"] == {"year": 2026, "tags": ["售后"], "shop": "north", "rank": 3}
    assert first["keyword_rank"] == 1
    assert found["passages"] == 2


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["退货 kettle", "--mode", "keyword", "--filter", "year>=2026"], ["退货政策"]),
        (["退货 kettle", "--filter", "year!=2026"], ["KT-210 kettle"]),
        (["退货 kettle", "-f", "language=en,zh", "-f", "tags~售后"], ["退货政策"]),
        (["退货 kettle", "-f", '{"$not": {"year": {"$exists": true}}}'], ["KT-210 kettle"]),
        (["kettle", "-k", "1", "--boost", "title=1", "--half-life", "30", "--collapse", "0.9", "--diversity", "0.1"], ["KT-210 kettle"]),
        (["kettle", "--collection", "none", "--collection", "default", "--mode", "keyword"], ["KT-210 kettle"]),
    ],
)  # fmt: skip
def test_options_reach_the_search(indexed: Path, arguments: list[str], wanted: list[str]) -> None:
    assert titles(*arguments) == wanted


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["x", "--filter", "year"], "input.bad_filter"),
        (["x", "--filter", '{"a": {"$where": 1}}'], "input.bad_filter"),
        (["x", "--mode", "fuzzy"], "input.bad_value"),
        (["x", "--boost", "title=much"], "input.bad_value"),
        (["x", "--boost", "body"], "input.bad_value"),
        (["x", "-c", "none"], "input.nothing_indexed"),
        (["  "], "input.empty_question"),
    ],
)
def test_what_is_refused(indexed: Path, arguments: list[str], code: str) -> None:
    result = touchstone("search", *arguments, "--json")
    assert result.exit_code == 6
    assert data(result)["error"]["code"] == code


def test_explain(indexed: Path) -> None:
    why = data(touchstone("explain", "退货运费", str(indexed / "退货.md"), "--json"))
    assert (why["verdict"], why["passages"][0]["rank"]) == ("found", 1)
    people = touchstone("explain", "退货运费", "kettle.md", "-f", "year>=2020", TOUCHSTONE_LANG="zh").stdout
    assert "不满足过滤条件" in people
    assert "运费" in people
    assert "touchstone index FILE" in touchstone("explain", "x", "nowhere.md", TOUCHSTONE_LANG="en").stdout
    found = data(touchstone("search", "kettle", "--explain", "--json"))
    assert [e["verdict"] for e in found["explanations"]] == ["found"] * len(found["hits"])


def test_synonyms(indexed: Path) -> None:
    assert titles("退款", "--mode", "keyword") == ["退货政策"]
    group: dict[str, Any] = data(touchstone("synonyms", "add", "退款", "sent back", "--json"))
    assert set(titles("退款", "--mode", "keyword")) == {"退货政策", "KT-210 kettle"}
    assert "退款 = sent back" in touchstone("synonyms", "list").stdout
    one_way = data(touchstone("synonyms", "add", "大促", "kettle", "--one-way", "-c", "default", "--json"))
    assert titles("大促", "--mode", "keyword") == ["KT-210 kettle"]
    assert [g["id"] for g in data(touchstone("synonyms", "list", "--json"))] == [group["id"]]
    for id_ in (group["id"], one_way["id"]):
        assert touchstone("synonyms", "remove", str(id_)).exit_code == 0
    assert touchstone("synonyms", "remove", str(group["id"])).exit_code == 6
    assert touchstone("synonyms", "add", "alone").exit_code == 6
    assert data(touchstone("synonyms", "list", "--json")) == []


def test_the_synonyms_file_of_the_settings(indexed: Path, folder: Path) -> None:
    (folder / "synonyms.yaml").write_text("equal: [[退款, sent back]]\n", "utf-8")
    (folder / "touchstone.yaml").write_text("retrieval:\n  synonyms: synonyms.yaml\n", "utf-8")
    assert set(titles("退款", "--mode", "keyword")) == {"退货政策", "KT-210 kettle"}


def test_dictionary(indexed: Path) -> None:
    assert data(touchstone("dictionary", "add", "KT-210 kettle", "--json")) == [
        {"word": "KT-210 kettle", "collection": "", "passages": 1}
    ]
    assert "KT-210 kettle" in touchstone("dictionary", "list").stdout
    assert "1" in touchstone("dictionary", "remove", "KT-210 kettle").stdout
    assert touchstone("dictionary", "remove", "KT-210 kettle").exit_code == 6


def test_metadata_that_cannot_be_read(indexed: Path) -> None:
    for pair in ("year", "year=", "question=x"):
        assert touchstone("index", str(indexed), "-m", pair).exit_code == 6


# --- help, saved searches -------------------------------------------------------------------------


def test_a_slip_is_corrected_unless_somebody_says_no(indexed: Path) -> None:
    found = data(touchstone("search", "kettel", "--json"))
    assert (found["typed"], found["query"]) == ("kettel", "kettle")
    assert found["changes"] == [{"kind": "spelling", "written": "kettel", "meant": "kettle"}]
    assert found["hits"][0]["title"] == "KT-210 kettle"
    assert "kettle" in touchstone("search", "kettel").output
    plain = data(touchstone("search", "kettel", "--no-help", "--json"))
    assert (plain["query"], plain["changes"], plain["other_language"]) == ("kettel", [], None)
    assert data(touchstone("search", "退貨運費", "--json"))["also"] == ["退货运费"]


def test_a_query_of_known_words_reads_no_lexicon(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.retrieval import lexicons

    monkeypatch.setattr(lexicons, "_read", lambda *_: pytest.fail("the words of all passages are read for nothing"))
    assert data(touchstone("search", "kettle holds", "--json"))["changes"] == []


def test_a_search_is_saved_and_tells_what_is_new(indexed: Path) -> None:
    assert data(touchstone("search", "--saved", "--json")) == {"saved": []}
    touchstone("search", "ketle sent back", "--save", "returns", "--filter", "language=en", "--mode", "keyword")
    (row,) = data(touchstone("search", "--saved", "--json"))["saved"]
    assert (row["name"], row["query"]["text"], row["query"]["mode"], row["query"]["where"], row["new"]) == (
        "returns",
        "kettle sent back",
        "keyword",
        ["language=en"],
        [],
    )
    (indexed / "news.md").write_text("# Kettle news\n\nA kettle is sent back without a fee.\n", "utf-8")
    touchstone("index", str(indexed))
    (row,) = data(touchstone("search", "--saved", "--json"))["saved"]
    assert [new["title"] for new in row["new"]] == ["Kettle news"]
    assert "1 new" in touchstone("search", "--saved").stdout
    opened = data(touchstone("search", "--saved", "returns", "--json"))
    assert "Kettle news" in [hit["title"] for hit in opened["hits"]]
    assert data(touchstone("search", "--saved", "--json"))["saved"][0]["new"] == [], "its owner has looked"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["x", "--save", "a", "-c", "default", "-c", "other"], "input.bad_value"),
        (["x", "--save", " "], "input.bad_value"),
        (["--saved", "nothing"], "not_found"),
    ],
)
def test_what_cannot_be_saved_is_said(indexed: Path, arguments: list[str], code: str) -> None:
    assert data(touchstone("search", *arguments, "--json"))["error"]["code"] == code


def test_the_page_saves_what_the_command_prints(indexed: Path) -> None:
    from apps.search import Search
    from apps.search.query import Query

    printed = data(touchstone("search", "退货运费", "-k", "100", "--collapse", "0.8", "--json"))
    desk = Search.open()
    try:
        query = Query("退货运费", places=("shared",))
        meant = desk.understood(query)
        assert desk.as_data(meant, desk.find(meant.query), query.text) == printed
    finally:
        desk.close()
