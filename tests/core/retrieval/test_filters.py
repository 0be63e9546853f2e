"""Filters: what they mean (against a plain Python reading), what they refuse, and that both legs obey them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.retrieval import filters
from core.retrieval.filters import Compare, Either, Every, Not
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions

BUILT_IN_TEXT = {"source": "d.source", "language": "d.language"}


# --- meaning ------------------------------------------------------------------------------------


def matches(where: filters.Filter, document: dict[str, Any], passage: dict[str, Any], row: dict[str, Any]) -> bool:
    """What a filter means, read slowly."""
    if isinstance(where, Not):
        return not matches(where.part, document, passage, row)
    if isinstance(where, Every):
        return all(matches(part, document, passage, row) for part in where.parts)
    if isinstance(where, Either):
        return any(matches(part, document, passage, row) for part in where.parts)
    key = where.field.removeprefix("metadata.")
    stored = row[where.field] if where.field in row else passage.get(key, document.get(key))
    if where.operator == "$exists":
        return (stored is not None) == where.value
    if where.operator == "$contains":
        return isinstance(stored, list) and any(same(item, where.value) for item in stored)
    if where.operator == "$in":
        assert isinstance(where.value, tuple)
        return any(same(stored, value) for value in where.value)
    if where.operator == "$eq":
        return same(stored, where.value)
    if kind(stored) != kind(where.value) or kind(stored) not in ("text", "number"):
        return False
    left, right = stored, where.value
    if kind(right) == "text" and filters.moment(right) is not None:
        if filters.moment(left) is None:
            return False
        left, right = filters.moment(left), filters.moment(right)
    return {"$gt": left > right, "$gte": left >= right, "$lt": left < right, "$lte": left <= right}[where.operator]


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"bool {value}"
    return "text" if isinstance(value, str) else "number" if isinstance(value, int | float) else "other"


def same(a: Any, b: Any) -> bool:
    return kind(a) == kind(b) and kind(a) != "other" and a == b


dates = st.one_of(
    st.dates(date(1990, 1, 1), date(2030, 1, 1)).map(date.isoformat),
    st.builds(
        lambda moment, hours: moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours))).isoformat(),
        st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
        st.integers(-12, 12),
    ),
)
texts = st.one_of(
    st.sampled_from(["", "a", "b", "zh", "退货", "2020", "true", "now", "'; --", '"', "$ne", "%"]), st.text(max_size=6)
)
texts = texts.filter(lambda t: "\x00" not in t and not any("\ud800" <= c <= "\udfff" for c in t))
numbers = st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1), st.integers(-8, 8).map(lambda n: n / 8))
# Few values and few names, so that a filter often meets what is stored; and some that are rarely met.
few = st.sampled_from([0, 1, 1.0, 0.5, "", "b", "退货", "2020", "2020-01-01", "2020-01-01T08:00:00+08:00", True, False])
scalars = st.one_of(few, few, few, texts, dates, numbers, st.booleans())
KEYS = ["a", "a", "a", "年份", "it's", "x.y", "[0]", "a b", "null"]
stored = st.dictionaries(st.sampled_from(KEYS), st.one_of(scalars, scalars, st.lists(scalars, max_size=3)), max_size=4)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A filter and what a document and a passage carry; the filter mostly asks for something that is there."""
    document, passage = draw(stored), draw(stored)
    there = {**document, **passage}
    items = [item for value in there.values() for item in (value if isinstance(value, list) else [value])]
    name = st.sampled_from([*there, *there, *KEYS, "metadata.a"])
    value = st.one_of(st.sampled_from(items), scalars) if items else scalars
    in_order = value.filter(lambda item: not isinstance(item, bool))
    leaf = st.one_of(
        st.builds(lambda f, v: {f: v}, name, value),
        st.builds(lambda f, o, v: {f: {o: v}}, name, st.sampled_from(["$eq", "$ne", "$contains"]), value),
        st.builds(lambda f, o, v: {f: {o: v}}, name, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), in_order),
        st.builds(lambda f, o, v: {f: {o: v}}, name, st.sampled_from(["$in", "$nin"]), st.lists(value, max_size=4)),
        st.builds(lambda f, v: {f: {"$exists": v}}, name, st.booleans()),
        st.builds(lambda o, v: {"language": {o: v}}, st.sampled_from(["$eq", "$ne", "$gt", "$lte"]), texts),
        st.builds(lambda o, v: {"page": {o: v}}, st.sampled_from(["$eq", "$ne", "$gte", "$lt"]), st.integers(-3, 3)),
    )
    inner = st.recursive(
        leaf,
        lambda part: st.one_of(
            st.builds(lambda parts: {"$and": parts}, st.lists(part, min_size=1, max_size=3)),
            st.builds(lambda parts: {"$or": parts}, st.lists(part, min_size=1, max_size=3)),
            st.builds(lambda one: {"$not": one}, part),
            st.builds(lambda a, b: {**a, **b}, part, part),
        ),
        max_leaves=4,
    )
    return draw(st.one_of(leaf, inner)), document, passage


@settings(max_examples=300, deadline=None)
@given(cases(), st.sampled_from(["zh", "en", "a"]), st.one_of(st.none(), st.integers(-3, 3)))
def test_sql_means_what_the_filter_says(
    case: tuple[dict[str, Any], dict[str, Any], dict[str, Any]], language: str, page: int | None
) -> None:
    mapping, document, passage = case
    where = filters.parse(mapping)
    sql, values = filters.compiled(where)
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE TABLE passages (metadata TEXT, page INTEGER, heading TEXT)")
        db.execute("CREATE TABLE documents (metadata TEXT, language TEXT)")
        db.execute("INSERT INTO passages VALUES (?, ?, NULL)", (json.dumps(passage, ensure_ascii=False), page))
        db.execute("INSERT INTO documents VALUES (?, ?)", (json.dumps(document, ensure_ascii=False), language))
        got = db.execute(f"SELECT {sql} FROM passages p, documents d", values).fetchone()[0]
    finally:
        db.close()
    wanted = matches(where, document, passage, {"language": language, "page": page})
    assert got in (0, 1)
    assert bool(got) == wanted, filters.described(where)


@pytest.mark.parametrize(
    ("stored_date", "operator", "asked", "wanted"),
    [
        ("2026-01-01", "$gte", "2026-01-01", True),
        ("2026-01-01", "$gt", "2026-01-01", False),
        ("2026-01-01T00:00:01", "$gt", "2026-01-01", True),
        ("2026-01-01T08:00:00+08:00", "$lte", "2026-01-01", True),  # the same moment
        ("2026-01-01T07:59:59+08:00", "$gte", "2026-01-01", False),
        ("now", "$gt", "2000-01-01", False),  # SQLite knows a date of that name
        ("2451545", "$gt", "2000-01-01", False),  # and takes numbers for days
    ],
)
def test_dates_are_moments(stored_date: str, operator: str, asked: str, wanted: bool) -> None:
    sql, values = filters.compiled(filters.parse({"at": {operator: asked}}))
    db = sqlite3.connect(":memory:")
    try:
        rows = "(SELECT '{}' AS metadata) p, (SELECT ? AS metadata) d"
        got = db.execute(f"SELECT {sql} FROM {rows}", (*values, json.dumps({"at": stored_date}))).fetchone()[0]
    finally:
        db.close()
    assert bool(got) == wanted


@pytest.mark.parametrize(
    "hostile",
    [
        {"year": {"$where": "1=1"}},
        {"$nor": [{"a": 1}]},
        {"year": {"$eq": {"$ne": 1}}},
        {"year": {"$in": [{"$ne": 1}]}},
        {"year": {"$in": "abc"}},
        {"year": {"$gt": None}},
        {"year": {"$gt": True}},
        {"year": None},
        {"year": float("nan")},
        {"year": 10**400},
        {"year": "\ud800"},
        {"year": "a\x00b"},
        {'a" OR 1=1': 1},
        {"a\\": 1},
        {"": 1},
        {7: 1},
        {"language": 7},
        {"language": {"$contains": "z"}},
        {"page": "7"},
        {"updated_at": "yesterday"},
        {"updated_at": {"$gte": "yesterday"}},
        {"a": {"$exists": "yes"}},
        {"a": {}},
        {"$and": []},
        {"$or": {"a": 1}},
        {"a": {"$in": list(range(1001))}},
        {"$or": [{"a": n} for n in range(101)]},
        [],
        "year = 2020",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_filter_is_refused(hostile: Any) -> None:
    with pytest.raises(InputError) as caught:
        filters.parse(hostile)
    assert caught.value.reason == "bad_filter"
    assert caught.value.text("zh") != caught.value.text("en")


def test_deep_nesting_is_refused() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(2000):
        where = {"$not": where}
    with pytest.raises(InputError):
        filters.parse(where)


def test_a_users_value_is_nothing_but_a_value() -> None:
    assert filters.equals(year=2020) == Every((Compare("year", "$eq", 2020),))
    for value in ({"$ne": 0}, ["a"], None):
        with pytest.raises(InputError):
            filters.equals(year=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("year>=2020", Compare("year", "$gte", 2020)),
        ("year < 20.5", Compare("year", "$lt", 20.5)),
        ("date>2026-01-31", Compare("date", "$gt", "2026-01-31")),
        ("year=2020", Compare("year", "$in", ("2020", 2020))),
        ('year="2020"', Compare("year", "$in", ("2020",))),
        ("language=zh, en", Compare("language", "$in", ("zh", "en"))),
        ("page=3", Compare("page", "$in", (3,))),
        ("open=true", Compare("open", "$in", ("true", True))),
        ("作者!=王芳", Not(Compare("作者", "$in", ("王芳",)))),
        ("tags~vip", Either((Compare("tags", "$contains", "vip"),))),
        ("tags?", Compare("tags", "$exists", True)),
        ('{"a": {"$gt": 1}}', Compare("a", "$gt", 1)),
    ],
)
def test_the_command_lines_form(text: str, wanted: filters.Filter) -> None:
    assert filters.from_text([text]) == Every((wanted,))


@pytest.mark.parametrize("text", ["year", "=3", ">=3", "a?b", "{a: 1}", "{", "page=x", '{"$nor": []}', "$and=1"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError) as caught:
        filters.from_text([text])
    assert caught.value.reason == "bad_filter"


# --- searching ----------------------------------------------------------------------------------

WORDS = [
    "退货",
    "运费",
    "水壶",
    "kettle",
    "refund",
    "battery",
    "帐篷",
    "tent",
    "warranty",
    "保修",
    "delivery",
    "发货",
    "invoice",
    "发票",
    "camera",
    "相机",
]


@pytest.fixture
def filled(library: Library) -> Library:
    """Two hundred documents in which each word is common, so that any top 60 leaves most of them out."""
    import random

    seeded = random.Random(7)

    async def fill() -> None:
        index = library.collection()
        for n in range(200):
            text = " ".join(seeded.choices(WORDS, k=seeded.randint(3, 25)))
            metadata = {"n": n, "kind": seeded.choice(["a", "b", "c"]), "tags": seeded.sample(["x", "y", "z"], k=2)}
            await index.add_text(f"{text} {n}", f"doc{n}.txt", metadata=metadata, embed=False)
        await index.embed_pending()

    asyncio.run(fill())
    return library


@pytest.mark.parametrize("mode", ["keyword", "vector"])
@pytest.mark.parametrize(
    "where", [{"n": {"$gte": 190}}, {"kind": "a"}, {"$and": [{"kind": "b"}, {"tags": {"$contains": "x"}}]}, {"n": -1}]
)
def test_a_filtered_search_is_the_whole_ranking_filtered(filled: Library, mode: Any, where: dict[str, Any]) -> None:
    index = filled.collection()
    for query in ("退货 运费", "kettle warranty", "camera battery tent"):
        whole = asyncio.run(index.find(query, options=SearchOptions(1000, mode=mode))).hits
        wanted = [hit for hit in whole if allowed(where, hit)]
        got = asyncio.run(index.find(query, options=SearchOptions(5, mode=mode, where=where))).hits
        assert [h.passage.id for h in got] == [h.passage.id for h in wanted[:5]]
        for hit, other in zip(got, wanted, strict=False):
            assert hit.keyword_score == (pytest.approx(other.keyword_score) if other.keyword_score else None)
            assert hit.vector_score == (pytest.approx(other.vector_score, abs=1e-5) if other.vector_score else None)


def allowed(where: dict[str, Any], hit: Any) -> bool:
    return matches(filters.parse(where), {}, dict(hit.passage.metadata), {})


def test_hybrid_finds_nothing_else_and_enough(filled: Library) -> None:
    index = filled.collection()
    for where in ({"n": {"$lt": 10}}, {"kind": {"$in": ["a", "c"]}}):
        found = asyncio.run(index.find("退货 kettle", options=SearchOptions(8, where=where)))
        assert len(found.hits) == 8
        assert all(allowed(where, hit) for hit in found.hits)


def test_a_filter_sees_what_was_written_since(filled: Library) -> None:
    index = filled.collection()
    options = SearchOptions(3, where={"n": 500})
    assert asyncio.run(index.find("退货", options=options)).hits == ()
    asyncio.run(index.add_text("退货 新文档", "new.txt", metadata={"n": 500}))
    assert [h.passage.source for h in asyncio.run(index.find("退货", options=options)).hits] == ["new.txt"]
    asyncio.run(index.add_text("退货 新文档", "new.txt", metadata={"n": 501}))  # the text is the same
    assert asyncio.run(index.find("退货", options=options)).hits == ()


def test_chroma_restricts_as_the_exact_leg_does(hashed: Any, filled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.retrieval import search

    monkeypatch.setattr(search, "_COMPARED", 20)
    through = Library(hashed.workspace, hashed.embedding, vectors="chroma")
    asyncio.run(through.collection().embed_pending())
    try:
        for where in ({"n": {"$lt": 7}}, {"kind": "a"}):  # few, compared out of SQLite; many, asked of the graph
            options = SearchOptions(5, mode="vector", where=where)
            one = asyncio.run(filled.collection().find("退货 kettle", options=options)).hits
            other = asyncio.run(through.collection().find("退货 kettle", options=options)).hits
            assert [h.passage.id for h in one] == [h.passage.id for h in other]
            assert [h.vector_score for h in one] == pytest.approx([h.vector_score for h in other], abs=1e-3)
    finally:
        through.close()


# --- metadata -----------------------------------------------------------------------------------


def test_front_matter_and_what_is_given(library: Library) -> None:
    index = library.collection()
    text = "---\ntitle: 报销制度\nyear: 2025\ntags: [财务, 差旅]\nvalid: 2025-03-01\nauthor:\n  name: 王芳\n---\n\n# 报销\n\n差旅报销要发票。\n"

    async def steps() -> None:
        await index.add_text(text, "expenses.md", metadata={"year": 2026, "at": datetime(2026, 1, 1, tzinfo=UTC)})
        hit = (await index.search("报销", where={"author.name": "王芳"}))[0]
        assert hit.passage.title == "报销制度"
        assert dict(hit.passage.metadata) == {
            "year": 2026, "tags": ["财务", "差旅"], "valid": "2025-03-01", "author.name": "王芳",
            "at": "2026-01-01T00:00:00+00:00",
        }  # fmt: skip
        again = await index.add_text(
            text, "expenses.md", metadata={"year": 2026, "at": datetime(2026, 1, 1, tzinfo=UTC)}
        )
        assert again.status == "unchanged"
        assert (await index.add_text(text, "expenses.md")).status == "unchanged"  # what was given stays
        await index.add_text(text.replace("2025-03-01", "2025-04-01"), "expenses.md")
        assert len(await index.search("报销", where={"$and": [{"year": 2026}, {"valid": {"$gt": "2025-03-31"}}]})) == 1
        await index.add_text(text, "expenses.md", metadata={})
        assert len(await index.search("报销", where={"year": 2025})) == 1

    asyncio.run(steps())


@pytest.mark.parametrize(
    "front",
    ["&a [1, 2]", "a: &x [1]\nb: *x", "- just\n- a list", "a: !!python/object:os.system {}", "{unclosed", "x: .nan", "table_header: '| a |'", "true: 1", ": :"],
)  # fmt: skip
def test_a_front_matter_that_is_none_does_no_harm(library: Library, front: str) -> None:
    index = library.collection()
    result = asyncio.run(index.add_text(f"---\n{front}\n---\n\n# A\n\nwords here\n", "a.md"))
    assert result.status == "added"
    hit = asyncio.run(index.search("words"))[0]
    assert "table_header" not in hit.passage.metadata
    assert hit.passage.text == "words here"


@pytest.mark.parametrize(
    "metadata",
    [{"a": {"b": 1}}, {"a": 1j}, {"a": float("inf")}, {"a": "x" * 3000}, {"": 1}, {'"': 1}, {"question": "q"}, {"a": [[1]]}, {"a": "\ud800"}, {1: 2}, {str(n): n for n in range(101)}],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_metadata_that_cannot_be_kept_is_refused(library: Library, metadata: Any) -> None:
    with pytest.raises(InputError) as caught:
        asyncio.run(library.collection().add_text("text", "a.txt", metadata=metadata))
    assert caught.value.reason == "bad_metadata"
    assert library.collections() == []
