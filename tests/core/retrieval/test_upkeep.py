"""Keeping an index: the journal, files that are not opened again, rebuild, vacuum, watching, changing the model."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.providers.scripted import HashedEmbedding
from core.retrieval import choice, journal, keyword, load, upkeep
from core.retrieval.library import Library
from core.retrieval.migrate import Migration, Query, read_queries
from core.retrieval.options import SearchOptions
from core.retrieval.watch import watch
from core.runtime import Runtime
from core.types import Caller
from tests.core.retrieval.conftest import Counting, found, sync
from tests.core.retrieval.test_chroma_leg import documents


class Other(HashedEmbedding):
    """A second model, of another dimension."""

    dim = 64


@pytest.fixture
def chroma(hashed: Runtime, counting: Counting) -> Iterator[Library]:
    opened = Library(hashed.workspace, counting, vectors="chroma")
    yield opened
    opened.close()


def settle(folder: Path) -> None:
    """Make all files old enough that their looks can be trusted."""
    past = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (past, past))


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []
    original = load.read_stamped

    def noted(path: Path) -> tuple[bytes, load.Stamp]:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(load, "read_stamped", noted)
    return names


# --- journal and stamps -----------------------------------------------------------------------------


def test_the_journal_says_what_happened_and_why(library: Library, folder: Path) -> None:
    (folder / "bad.txt").write_bytes(b"\x00\x01" * 50)
    sync(library, folder)
    (folder / "kettle.md").unlink()
    (folder / "faq.csv").write_text("question,answer\nNew?,Yes.\n")
    sync(library, folder)
    newest, older = library.collection().journal(5)
    assert {Path(e.source).name: e.status for e in older.entries} == {
        "bad.txt": "failed", "faq.csv": "added", "kettle.md": "added", "returns.md": "added",
    }  # fmt: skip
    assert {Path(e.source).name: e.status for e in newest.entries} == {
        "bad.txt": "failed", "faq.csv": "updated", "kettle.md": "removed", "returns.md": "unchanged",
    }  # fmt: skip
    assert (newest.state, newest.embedded, older.embedded) == ("done", 1, 5)
    bad = next(e for e in newest.entries if e.status == "failed")
    assert "bad.txt" in bad.text("zh")
    assert bad.text("zh") != bad.text("en")
    assert library.for_caller(Caller("other", "x")).collection().journal() == []


def test_old_runs_are_forgotten(library: Library, folder: Path) -> None:
    for _ in range(journal.KEPT + 3):
        sync(library, folder, embed=False)
    assert len(library.collection().journal(100)) == journal.KEPT
    with library.workspace.read() as db:
        assert db.execute("SELECT count(DISTINCT run_id) FROM sync_entries").fetchone()[0] == journal.KEPT


def test_a_stopped_run_is_told_from_a_finished_one(library: Library, folder: Path) -> None:
    def stop(step: Any) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(library, folder, progress=stop)
    (run,) = library.collection().journal()
    assert run.notices == ("stopped",)
    assert [entry.status for entry in run.entries] == ["added", "added"]
    with library.workspace.write() as db:
        db.execute("UPDATE sync_runs SET ended_at = NULL, process_start = 'another'")
    assert library.collection().journal()[0].state == "interrupted"
    assert sync(library, folder).count("added") == 1


def test_a_file_that_looks_the_same_is_not_opened(library: Library, folder: Path, unopened: list[str]) -> None:
    sync(library, folder)
    settled = sorted(unopened)
    assert settled == ["faq.csv", "kettle.md", "returns.md"]
    unopened.clear()
    assert sync(library, folder).count("unchanged") == 3
    assert sorted(unopened) == settled  # written a moment ago: their looks are not trusted yet
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "RACY_S", 0.0)
        sync(library, folder)
    unopened.clear()
    report = sync(library, folder)
    assert report.count("unchanged") == 3
    assert unopened == []
    assert {row.title for row in report.files} == {"faq", "KT-210 kettle", "退货政策"}
    assert sync(library, folder, verify=True).count("unchanged") == 3
    assert sorted(unopened) == settled


def test_a_change_that_puts_size_and_time_back_is_seen(
    library: Library, folder: Path, unopened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RACY_S", 0.0)
    sync(library, folder)
    path = folder / "kettle.md"
    before = path.stat()
    path.write_text(path.read_text().replace("1.5 L", "9.5 L"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    unopened.clear()
    assert sync(library, folder).count("updated") == 1
    assert unopened == ["kettle.md"]


def test_a_new_mapping_of_columns_reads_again(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RACY_S", 0.0)
    rows = tmp_path / "news.csv"
    rows.write_text(
        "id,headline,body,link,day\n7,Rates fall,The bank cut rates. Shares rose.,https://a.example/7,2026-01-02\n8,空头,今天没有新闻。,,\n"
    )
    sync(library, rows)
    assert sync(library, rows).count("unchanged") == 1
    columns = {"title": "headline", "text": "body", "id": "id", "url": "link", "date": "day"}
    assert sync(library, rows, columns=columns).count("updated") == 1
    assert sync(library, rows, columns=columns).count("unchanged") == 1
    first, second = library.collection().passages(library.collection().documents()[0].id)
    assert (first.heading, first.text) == ("Rates fall", "The bank cut rates. Shares rose.")
    assert dict(first.metadata) == {"id": "7", "url": "https://a.example/7", "date": "2026-01-02"}
    assert (second.heading, dict(second.metadata)) == ("空头", {"id": "8"})
    for wrong, reason in (
        ({"text": "nope"}, "data_column"),
        ({"title": "id"}, "bad_value"),
        ({"txt": "id"}, "bad_value"),
    ):
        (row,) = sync(library, rows, columns=wrong).files
        assert row.error is not None
        assert row.error.reason == reason


def test_other_metadata_is_given_to_files_that_look_the_same(
    library: Library, folder: Path, unopened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RACY_S", 0.0)

    def given(metadata: dict[str, Any] | None) -> tuple[int, list[Any]]:
        unopened.clear()
        report = asyncio.run(library.collection().sync([folder], metadata=metadata))
        years = [dict(library.collection().passages(d.id)[0].metadata) for d in library.collection().documents()]
        return report.count("updated"), [found.get("year") for found in years]

    given({"year": 2025})
    assert given(None) == (0, [2025] * 3)
    assert given({"year": 2025}) == (0, [2025] * 3)
    assert unopened == []
    assert given({"year": 2026}) == (3, [2026] * 3)
    assert given({}) == (3, [None] * 3)


def test_ten_thousand_unchanged_documents(library: Library, tmp_path: Path, counting: Counting) -> None:
    """The first sync writes 2,000 only, to be quick; the second looks at all of 10,000 names in the same way."""
    many = tmp_path / "many"
    many.mkdir()
    for n in range(2000):
        (many / f"{n}.md").write_text(f"# D {n}\n\nText {n}.\n")
    settle(many)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "RACY_S", 0.0)
        sync(library, many)
    embedded, started = counting.documents, time.process_time()
    assert sync(library, many).count("unchanged") == 2000
    assert time.process_time() - started < 0.6  # 3 s are the aim for 10,000
    assert counting.documents == embedded


# --- rebuild and vacuum -----------------------------------------------------------------------------


def test_rebuild_mends_the_keyword_index_and_names_damaged_texts(
    chroma: Library, tmp_path: Path, counting: Counting
) -> None:
    folder = documents(tmp_path / "docs", 8)
    sync(chroma, folder)
    embedded, number = counting.documents, chroma.collection().id()
    with chroma.workspace.write() as db:
        db.execute("DELETE FROM keyword_fresh WHERE collection_id = ? AND number % 2 = 0", (number,))
        db.execute("UPDATE keyword_indexes SET stamp = stamp + 1")
        db.execute(
            "UPDATE passages SET text = 'Bit rot struck here.' WHERE id = (SELECT id FROM passages LIMIT 1 OFFSET 3)"
        )
    with chroma.workspace.read() as db:
        assert len(keyword.numbers(db, number)) == 4
    done = asyncio.run(upkeep.rebuild(chroma))
    assert (done.collections, done.passages, done.vectors) == (1, 8, 8)
    assert counting.documents == embedded
    (damaged,) = done.damaged
    report = sync(chroma, folder)
    assert [row.source for row in report.files if row.status == "updated"] == [damaged]
    assert asyncio.run(upkeep.rebuild(chroma)).damaged == ()
    for n in range(8):
        assert found(chroma, f"w{n * 7919 % 10007}x")[0] == f"Item {n}"


def test_vacuum_takes_what_nothing_points_to_and_no_more(chroma: Library, tmp_path: Path, counting: Counting) -> None:
    folder = documents(tmp_path / "docs", 6)
    sync(chroma, folder)
    asyncio.run(chroma.answer("What is the code word of item 3?"))  # remembers vectors of sentences
    with chroma.workspace.read() as db:
        kept = db.execute("SELECT count(*) FROM vectors").fetchone()[0]
    assert upkeep.vacuum(chroma).vectors == 0
    sync(chroma, documents(tmp_path / "gone", 5, start=50), collection="gone")
    names = chroma.store.names()
    chroma.drop("gone")
    with chroma.workspace.write() as db:
        db.execute("INSERT INTO vectors VALUES ('scripted:hash', 'stray', x'00')")
        db.execute("CREATE VIRTUAL TABLE keyword_99 USING fts5(context, body)")
        keyword.add(db, chroma.collection().id(), 9999, ["a"], ["b"])
    (chroma.workspace.folder / "chroma-damaged-20200101-000000").mkdir()
    embedded = counting.documents
    done = upkeep.vacuum(chroma)
    assert (done.vectors, done.keyword_rows, done.keyword_indexes, done.chroma_collections) == (1, 1, 1, 1)
    assert done.folders >= 2  # the one that was set aside, and the graph of the dropped collection
    assert len(names) == 2
    assert len(chroma.store.names()) == 1
    with chroma.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone()[0] == kept
    assert found(chroma, "code word of item 3")[0] == "Item 3"
    assert counting.documents == embedded
    assert upkeep.vacuum(chroma).as_dict()["bytes_freed"] >= 0


# --- watching ---------------------------------------------------------------------------------------


def test_watching_syncs_what_is_still_and_waits_for_what_is_written(library: Library, folder: Path) -> None:
    async def steps() -> list[dict[str, int]]:
        stop, seen = asyncio.Event(), []
        index = library.collection()
        reports = watch(index, [folder], every_s=0.05, still_s=0.3, stop=stop)
        async for report in reports:
            seen.append({name: report.count(name) for name in ("added", "updated", "removed") if report.count(name)})  # type: ignore[arg-type]
            if len(seen) == 1:

                async def write() -> None:
                    for n in range(8):  # a file that grows for a second is read once, at its end
                        with (folder / "log.md").open("a") as file:
                            file.write(f"line {n}\n")
                        await asyncio.sleep(0.1)

                writing = asyncio.create_task(write())
            elif len(seen) == 2:
                await writing
                assert "line 7" in index.document_text(
                    next(d.id for d in index.documents() if d.source.endswith("log.md"))
                )
                (folder / "kettle.md").unlink()
            elif len(seen) == 3:
                stop.set()
        return seen

    assert asyncio.run(asyncio.wait_for(steps(), 60)) == [{"added": 3}, {"added": 1}, {"removed": 1}]


def test_watching_survives_a_folder_that_goes_away(library: Library, folder: Path) -> None:
    async def steps() -> None:
        stop = asyncio.Event()
        reports = watch(library.collection(), [folder], every_s=0.02, still_s=0.05, stop=stop)
        assert (await anext(reports)).count("added") == 3
        folder.rename(folder.with_name("away"))
        waiting = asyncio.ensure_future(anext(reports))
        await asyncio.sleep(0.3)
        assert len(library.collection().documents()) == 3
        folder.with_name("away").rename(folder)
        (folder / "new.md").write_text("new text")
        assert (await waiting).count("added") == 1
        await reports.aclose()

    asyncio.run(asyncio.wait_for(steps(), 60))


# --- changing the model -----------------------------------------------------------------------------


def migration(library: Library, to: str = "other:64") -> Migration:
    models = {"scripted:hash": HashedEmbedding("scripted:hash"), "other:64": Other("other:64")}
    return Migration(library, to, models.__getitem__, "scripted:hash")


@pytest.mark.parametrize("vectors", ["exact", "chroma"])
def test_a_migration_from_start_to_roll_back(hashed: Runtime, tmp_path: Path, vectors: Any) -> None:
    models = {"scripted:hash": HashedEmbedding("scripted:hash"), "other:64": Other("other:64")}
    workspace = hashed.workspace
    library = Library(workspace, lambda: models[choice.serving(workspace, "scripted:hash")], vectors=vectors)
    sync(library, documents(tmp_path / "docs", 20))
    sync(library.for_caller(Caller("other", "eve")), documents(tmp_path / "theirs", 3, start=70))
    moving = migration(library)
    assert [(row.tenant, row.pending) for row in moving.standings()] == [("local", 20), ("other", 3)]
    with pytest.raises(InputError) as caught:
        moving.switch()
    assert (caught.value.reason, caught.value.params["count"]) == ("migration_pending", 23)
    assert asyncio.run(moving.prepare()) == 23
    assert asyncio.run(moving.prepare()) == 0
    assert used(library) == "scripted:hash"
    compared = asyncio.run(
        moving.compare([Query("code word of item 7", ("7.md",)), Query("item 3", ("Item 3", "Item 4"))])
    )
    assert (compared.old, compared.new, compared.queries, compared.judged) == ("scripted:hash", "other:64", 2, 2)
    assert 0 < compared.overlap <= 1
    assert compared.ndcg_old is not None
    assert 0.5 < compared.ndcg_old <= 1
    assert asyncio.run(moving.compare()).judged == 0
    made = moving.switch()
    assert (made.model, made.previous) == ("other:64", "scripted:hash")
    assert used(library) == "other:64"
    assert found(library, "code word of item 7")[0] == "Item 7"
    (tmp_path / "docs" / "new.md").write_text("# New\n\nAdded after the switch.\n")
    sync(library, tmp_path / "docs")
    with pytest.raises(InputError):
        migration(library).switch()
    back = migration(library, "scripted:hash")
    asyncio.run(back.rollback())
    assert used(library) == "scripted:hash"
    hits = asyncio.run(library.collection().search("Added after the switch", 30))
    assert hits[0].vector_rank is not None
    assert len([hit for hit in hits if hit.vector_rank]) == 21
    upkeep.vacuum(library, other_models=True)
    with workspace.read() as db:
        assert {row[0] for row in db.execute("SELECT DISTINCT model FROM vectors")} == {"scripted:hash"}
    assert found(library, "code word of item 7")[0] == "Item 7"
    library.close()


def used(library: Library) -> str:
    asked = asyncio.run(library.collection().query_vector("item"))
    assert asked.model is not None
    found = library.collection().find_with("item", asked, "item", SearchOptions(5))
    assert found.notices == ()
    assert all(hit.vector_score is not None for hit in found.hits)
    return asked.model.name


def test_another_setting_is_the_newest_word(hashed: Runtime) -> None:
    workspace = hashed.workspace
    assert choice.serving(workspace, "a:1") == "a:1"
    choice.choose(workspace, "b:1", previous="a:1", setting="a:1")
    assert choice.serving(workspace, "a:1") == "b:1"
    assert choice.serving(workspace, "b:1") == "b:1"
    assert choice.serving(workspace, "c:1") == "c:1"


def test_a_changed_model_works_by_words_says_so_and_never_mixes(
    library: Library, tmp_path: Path, hashed: Runtime
) -> None:
    """TOUCHSTONE_EMBEDDING was changed without a migration, to a model of another dimension."""
    folder = documents(tmp_path / "docs", 10)
    sync(library, folder)
    changed = Library(hashed.workspace, Other("other:64"))
    result = asyncio.run(changed.collection().find("code word of item 4", 10))
    assert result.notices == ("embedding_pending",)
    assert result.hits[0].passage.title == "Item 4"
    assert [hit.vector_score for hit in result.hits] == [None] * len(result.hits)
    assert changed.collection().info().pending == 10
    (folder / "extra.md").write_text("# Extra\n\nAn eleventh text.\n")
    assert sync(changed, folder).embedded == 11
    after = asyncio.run(changed.collection().find("code word of item 4", 10))
    assert after.notices == ()
    assert all(hit.vector_score is not None for hit in after.hits)
    old = asyncio.run(library.collection().find("code word of item 4", 20))
    assert old.notices == ("embedding_pending",)  # the eleventh text has no vector of the old model
    assert sum(hit.vector_score is not None for hit in old.hits) == 10


def test_queries_from_files(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("一个问题\n\nanother\n")
    assert read_queries(tmp_path / "q.txt") == [Query("一个问题"), Query("another")]
    (tmp_path / "q.jsonl").write_text('{"query": "a", "relevant": ["x.md", 7]}\n{"query": "b"}\n')
    assert read_queries(tmp_path / "q.jsonl") == [Query("a", ("x.md", "7")), Query("b")]
    for text, reason in (
        ("{oops\n", "bad_json"),
        ('["a"]\n', "data_row"),
        ('{"query": ""}\n', "data_row"),
        ('{"query": "a", "relevant": "b"}\n', "data_row"),
    ):
        (tmp_path / "q.jsonl").write_text(text)
        with pytest.raises(InputError) as caught:
            read_queries(tmp_path / "q.jsonl")
        assert caught.value.reason == reason
