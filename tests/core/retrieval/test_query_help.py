"""Help with a query: what is corrected by a collection's own words, and what is left alone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from core.errors import InputError
from core.retrieval import lexicons as module
from core.retrieval.lexicon import Lexicon, edits
from core.retrieval.lexicons import Lexicons
from core.retrieval.library import Library
from core.retrieval.query_help import Change, helped
from core.workspace import Workspace

TEXTS = (
    "The evening meal limit is 30 pounds. Annual leave carries over until March.",
    "The security key opens the warehouse. Use a light cartridge; the engineer brings the RO-800.",
    "Annual leave is asked for with the manual form. The light is blue when the security check is done.",
    "出差餐补标准：每天 80 元。加班餐由公司提供。",
    "出差餐补标准见上。叉车限速五公里，陪产假十五天。",
    "车间叉车限速五公里。集合点在北门，消防集合点有牌子。",
)
LEXICON = Lexicon(TEXTS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("evning meal limit", "evening meal limit"),
        ("secuirty key", "security key"),
        ("anual leave", "annual leave"),
        ("light cartrige", "light cartridge"),
        ("RO80 price", "ro-800 price"),
        ("出差餐部标准", "出差餐补标准"),
        ("陪产家几天", "陪产假几天"),
        ("chuchai canbu", "出差餐补"),
        ("chache 限速", "叉车 限速"),
        ("jiaban can", "加班餐"),
        ("xiaofang jihedian", "消防集合点"),
        ("出差餐部 evning meal", "出差餐补 evening meal"),
    ],
)
def test_slips_become_what_the_collection_says(typed: str, meant: str) -> None:
    found = helped(typed, LEXICON)
    assert found.query == meant
    assert found.changes
    assert all(change.written in typed and change.meant in meant for change in found.changes)


@pytest.mark.parametrize(
    "query",
    [
        "annual leave", "evening meals limits", "the can", "RO-800", "RO800", "ro-900", "jury service", "solo",
        "secur", "出差餐补标准", "叉车限速", "井水", "还能退吗", "六十万的合同要谁批", "", "？？", "12,000", "evning " * 60,
    ],
)  # fmt: skip
def test_what_is_no_slip_stays(query: str) -> None:
    assert helped(query, LEXICON).query == query
    assert not helped(query, LEXICON).changes


def test_each_kind_can_be_switched_off() -> None:
    query = "chache secuirty"
    assert helped(query, LEXICON, ("pinyin",)).changes == (Change("pinyin", "chache", "叉车"),)
    assert helped(query, LEXICON, ("spelling",)).changes == (Change("spelling", "secuirty", "security"),)
    assert helped(query, LEXICON, ()).query == query
    with pytest.raises(InputError):
        helped(query, LEXICON, ("grammar",))


def test_traditional_characters_stay_as_typed_and_are_named() -> None:
    found = helped("叉車限速", LEXICON)
    assert (found.query, found.changes, found.simplified) == ("叉車限速", (), "叉车限速")


def test_full_width_letters_are_corrected_in_their_place() -> None:
    assert helped("ｓecuirty 鑰匙", LEXICON).query == "security 鑰匙"


@pytest.mark.parametrize(("a", "b", "n"), [("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)])
def test_edits(a: str, b: str, n: int) -> None:
    assert edits(a, b) == edits(b, a) == n


def test_a_lexicon_follows_its_collections(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "home")
    library, lexicons = Library(workspace, None), Lexicons()
    index, file = library.collection("a"), tmp_path / "a.txt"
    file.write_text("The security key.", "utf-8")
    asyncio.run(index.sync([file], embed=False))
    first = lexicons.of([index], wait_s=None)
    assert first is not None
    assert "security" in first.words
    assert lexicons.of([index]) is first, "nothing changed: it is not read again"
    file.write_text("A parking space.", "utf-8")
    asyncio.run(index.sync([file], embed=False))
    assert lexicons.of([index]) in (first, lexicons.of([index], wait_s=None)), "it never waits, unless told to"
    second = lexicons.of([index], wait_s=None)
    assert second is not None
    assert set(second.words) & {"security", "parking"} == {"parking"}
    lexicons.close()
    library.close()
    workspace.close()


def test_a_lexicon_is_shared_by_all_who_search_its_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(tmp_path / "home")
    library, lexicons = Library(workspace, None), Lexicons()
    texts = {
        "shared": "The security key opens door AX-200. 叉车限速。",
        "ann": "A parking space.",
        "bob": "Secure boots. 安全鞋。",
    }
    for name, text in texts.items():
        asyncio.run(library.collection(name).add_text(text, f"{name}.txt", embed=False))
    read: list[int] = []
    monkeypatch.setattr(module, "_read", lambda w, id_, most, made=module._read: read.append(id_) or made(w, id_, most))
    shared, ann, bob = (library.collection(name) for name in texts)
    for mine in (ann, bob, ann, bob):
        lexicon = lexicons.of([shared, mine], wait_s=None)
        assert lexicon is not None
        assert helped("secuirty chache 限速 AX-20O", lexicon).query.startswith("security 叉车 限速")
        assert ("parking" in lexicon.words) is (mine is ann)
    assert sorted(read) == sorted({shared.id(), ann.id(), bob.id()}), "each collection is read once"
    both = lexicons.of([shared, ann, bob], wait_s=None)
    whole = Lexicon(texts.values())
    assert both is not None
    for word in ("security", "secuirty", "parkin", "secured", "zzz"):
        assert (both.knows(word), both.begins(word), both.near(word, 2)) == (
            whole.knows(word), whole.begins(word), whole.near(word, 2),
        )  # fmt: skip
    assert (both.words["security"], both.pairs["安全"], both.triples["叉车限"]) == (1, 1, 1)
    assert sorted(both.homophones("che")) == sorted(whole.homophones("che"))
    monkeypatch.setattr(module, "KEPT", 1)
    lexicons.of([ann], wait_s=None)
    lexicons.of([shared], wait_s=None)
    assert len(read) > 3, "beyond what is kept, the one used longest ago is forgotten"
    lexicons.close()
    library.close()
    workspace.close()


@pytest.mark.parametrize(
    "query", ["xian " * 39, "xian" * 49, "jihedian chuchai canbu " * 8, "部" * 200, "secuirty " * 22]
)
def test_no_query_takes_long(query: str) -> None:
    began = time.process_time()
    helped(query, LEXICON)
    assert time.process_time() - began < 1.0
