"""A collection in step with its files: what sync reports, what it costs, who sees what."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConnectFailed, InputError, MissingFile, NotFound
from core.providers.embedded import BULK_BYTES
from core.retrieval import bm25, keyword, tokens
from core.retrieval.index import EMBED_CHARACTERS
from core.retrieval.library import Library
from core.retrieval.records import Progress
from core.runtime import Runtime
from core.types import Caller
from tests.core.retrieval.conftest import Counting, found, sync


def statuses(report: object) -> dict[str, str]:
    return {Path(row.source).name: row.status for row in report.files}  # type: ignore[attr-defined]


def test_sync_reports_each_file(library: Library, folder: Path) -> None:
    (folder / "broken.txt").write_bytes(b"\x00\x01\x02" * 50)
    first = sync(library, folder)
    assert statuses(first) == {"faq.csv": "added", "kettle.md": "added", "returns.md": "added", "broken.txt": "failed"}
    failure = next(row for row in first.files if row.status == "failed")
    assert isinstance(failure.error, InputError)
    assert "broken.txt" in failure.as_dict("zh")["error"]["message"]
    (folder / "returns.md").write_text("# 退货政策\n\n自签收之日起 30 天内可以退货。\n", "utf-8")
    (folder / "kettle.md").unlink()
    second = sync(library, folder)
    assert statuses(second) == {
        "faq.csv": "unchanged",
        "returns.md": "updated",
        "kettle.md": "removed",
        "broken.txt": "failed",
    }
    assert second.as_dict()["updated"] == 1
    assert [d.title for d in library.collection().documents()] == ["faq", "退货政策"]
    assert "kettle" not in " ".join(found(library, "KT-210 kettle"))


def test_unchanged_costs_no_embedding_and_edits_cost_what_changed(
    library: Library, folder: Path, counting: Counting
) -> None:
    sync(library, folder)
    once = counting.documents
    assert sync(library, folder).embedded == 0
    assert counting.documents == once
    text = (folder / "returns.md").read_text("utf-8")
    (folder / "returns.md").write_text(text.replace("礼品卡不能退货", "礼品卡可以退货"), "utf-8")
    report = sync(library, folder)
    assert counting.documents == once + 1  # one of the two passages changed
    assert (report.embedded, report.cached) == (1, 1)


def test_a_moved_file_is_not_embedded_again(library: Library, folder: Path, counting: Counting) -> None:
    sync(library, folder)
    once = counting.documents
    (folder / "faq.csv").rename(folder / "faq-moved.csv")
    (folder / "kettle.md").rename(folder / "kt.md")
    report = sync(library, folder)
    assert (report.count("added"), report.count("removed")) == (2, 2)
    assert counting.documents == once + 2  # the FAQ takes its title from the file's name, the manual does not
    assert found(library, "engrave")[0] == "faq-moved"


def test_words_are_found_before_vectors(library: Library, folder: Path, counting: Counting) -> None:
    sync(library, folder, embed=False)
    assert counting.documents == 0
    assert library.collection().info().pending == 5
    assert found(library, "退货运费")[0] == "退货政策"
    assert asyncio.run(library.collection().embed_pending()) == (5, ())
    assert library.collection().info().pending == 0


def test_without_an_embedding_model(hashed: Runtime, folder: Path) -> None:
    library = Library(hashed.workspace, None)
    assert sync(library, folder).notices == ()
    hit = asyncio.run(library.collection().search("几天可以退货"))[0]
    assert (hit.passage.title, hit.keyword_rank, hit.vector_rank) == ("退货政策", 1, None)
    assert "退货" in hit.matched_terms


def test_an_embedding_model_that_is_down(library: Library, folder: Path, counting: Counting) -> None:
    counting.error = ConnectFailed(provider="x", url="http://127.0.0.1:1", detail="refused")
    report = sync(library, folder)
    assert (report.count("added"), report.embedded, report.notices) == (3, 0, ("embedding_down",))
    answer = asyncio.run(library.collection().find("退货"))
    assert answer.notices == ("embedding_down",)
    assert answer.hits[0].passage.title == "退货政策"
    counting.error = None
    assert sync(library, folder).embedded == 5


def test_hits_say_why(library: Library, folder: Path) -> None:
    sync(library, folder)
    hits = asyncio.run(library.collection().search("Boil-dry protection E1", 3))
    assert hits[0].passage.title == "KT-210 kettle"
    assert hits[0].keyword_rank == hits[0].vector_rank == 1
    assert hits[0].score == max(hit.score for hit in hits) <= 1.0
    assert {"boil", "dry", "protect", "e1"} <= set(hits[0].matched_terms)


def test_passages_point_into_the_stored_text(library: Library, folder: Path) -> None:
    sync(library, folder)
    index = library.collection()
    for document in index.documents():
        text = index.document_text(document.id)
        for passage in index.passages(document.id):
            assert text[passage.start : passage.end] == passage.text
            assert index.passage(passage.id) == passage


def test_uploads(library: Library) -> None:
    index = library.collection("uploads")

    async def steps() -> None:
        first = await index.add_bytes("发票在订单页下载。".encode("gb18030"), "../../etc/发票.txt")
        assert (first.status, first.source) == ("added", "发票.txt")
        again = await index.add_bytes("发票在订单页下载。".encode("gb18030"), "发票.txt")
        assert again.status == "unchanged"
        newer = await index.add_text("发票改在邮箱里领。", "发票.txt", title="开票说明")
        assert (newer.status, newer.document_id) == ("updated", first.document_id)
        assert [hit.passage.title for hit in await index.search("发票")] == ["开票说明"]
        with pytest.raises(InputError):
            await index.add_bytes(b"\x00\x01", "x.bin")
        await index.remove(newer.document_id or "")
        assert await index.search("发票") == []
        with pytest.raises(NotFound):
            await index.remove(newer.document_id or "")

    asyncio.run(steps())


def test_what_is_removed_leaves_no_vector(library: Library, folder: Path, hashed: Runtime) -> None:
    sync(library, folder)
    asyncio.run(library.answer("几天内可以退货？"))  # weighs, and so embeds, the sentences
    with hashed.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone()[0] > 5
    for path in folder.iterdir():
        path.unlink()
    sync(library, folder)
    with hashed.workspace.read() as db:
        left = db.execute("SELECT count(*) FROM vectors").fetchone()[0]
        anchors = 48  # the scale of a model that is not listed
        assert left == anchors
        for table in ("documents", "passages", "keyword_fresh", "keyword_segments", "keyword_blocks"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def test_missing_path(library: Library, folder: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        sync(library, folder / "nowhere")
    assert "nowhere" in str(caught.value)
    one = folder / "faq.csv"
    sync(library, one)
    one.unlink()
    assert statuses(sync(library, one)) == {"faq.csv": "removed"}


def test_tenants_and_collections_do_not_meet(library: Library, folder: Path) -> None:
    sync(library, folder)
    other = library.for_caller(Caller("other", "eve"))
    assert other.collections() == []
    assert asyncio.run(other.collection().search("退货")) == []
    document = library.collection().documents()[0]
    for read in (other.collection().document_text, other.collection("x").document_text):
        with pytest.raises(NotFound):
            read(document.id)
    with pytest.raises(NotFound):
        other.collection().passage(library.collection().passages(document.id)[0].id)
    with pytest.raises(NotFound):
        asyncio.run(other.collection().remove(document.id))
    with pytest.raises(NotFound):
        other.drop("default")
    assert asyncio.run(library.collection("second").search("退货")) == []
    assert found(library, "退货")


def test_dropping_a_collection(library: Library, folder: Path, hashed: Runtime) -> None:
    sync(library, folder)
    sync(library, folder, collection="keep")
    number = library.collection().id()
    library.drop("default")
    assert [info.name for info in library.collections()] == ["keep"]
    with hashed.workspace.read() as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name LIKE ?", (f"keyword_{number}%",)).fetchone()
    assert found(library, "退货", "keep")
    with pytest.raises(InputError):
        library.collection("  ")


def test_progress_is_told(library: Library, folder: Path) -> None:
    steps: list[Progress] = []
    sync(library, folder, progress=steps.append)
    assert [s.done for s in steps if s.stage == "files"] == [1, 2, 3]
    assert [(s.done, s.total) for s in steps if s.stage == "vectors"][-1] == (5, 5)


def test_idf_never_falls_below_zero() -> None:
    assert bm25.idf(0, 100) > bm25.idf(10, 100) > bm25.idf(100, 100) > 0


def test_a_second_sync_of_many_files_is_quick(library: Library, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for n in range(300):
        (many / f"{n}.md").write_text(f"# Document {n}\n\nText of document {n}.\n")
    sync(library, many, embed=False)
    started = time.process_time()
    assert sync(library, many, embed=False).count("unchanged") == 300
    assert time.process_time() - started < 1.5  # 3 s are the aim for 10,000


def test_scores_of_given_passages_are_those_of_the_search(library: Library, folder: Path) -> None:
    sync(library, folder, embed=False)
    index = library.collection()
    terms = tokens.query_terms("KT-210 退货运费")
    with library.workspace.read() as db:
        numbers = [row[0] for row in db.execute("SELECT number FROM passages ORDER BY number")]
        best = dict(keyword.search(db, index.id(), terms, 100))
        assert 0 < len(best) < len(numbers)
        scored = keyword.scores(db, index.id(), terms, numbers)
        assert list(scored) == numbers
        assert scored == pytest.approx({number: best.get(number, 0.0) for number in numbers})
        assert keyword.scores(db, index.id(), [], numbers[:1]) == {numbers[0]: 0.0}


def test_texts_are_embedded_in_calls_that_are_large_enough_for_bulk(library: Library, counting: Counting) -> None:
    """A local model computes many texts at once in a third of the time, a service is asked several times at once."""
    calls: list[int] = []
    original = counting.embed

    async def embed(texts: Any, *, kind: Any) -> Any:
        calls.append(sum(len(text) for text in texts))
        return await original(texts, kind=kind)

    counting.embed = embed  # type: ignore[method-assign]
    index = library.collection()

    async def steps() -> None:
        for n in range(3000):
            await index.add_text(f"Tent {n} weighs {n} g.", f"{n}.txt", embed=False)
        assert await index.embed_pending() == (3000, ())

    asyncio.run(steps())
    assert all(size >= BULK_BYTES for size in calls[:-1])
    assert max(calls) < EMBED_CHARACTERS + 100
    assert len(calls) > 2
    with library.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone()[0] == 3000
