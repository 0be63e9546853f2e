"""Chroma beside SQLite: written in step, searched with the tail, seen by other processes, rebuilt when damaged."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import StoreBusy, StoreDamaged
from core.retrieval import applied, lease, search
from core.retrieval.applied import Applied
from core.retrieval.library import Library
from core.retrieval.search import VectorLeg
from core.runtime import Runtime
from tests.core.retrieval.conftest import Counting, found, sync


@pytest.fixture
def chroma(hashed: Runtime, counting: Counting) -> Iterator[Library]:
    opened = Library(hashed.workspace, counting, vectors="chroma")
    yield opened
    opened.close()


def documents(folder: Path, count: int, start: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(start, start + count):
        (folder / f"{n}.md").write_text(f"# Item {n}\n\nThe code word of item {n} is w{n * 7919 % 10007}x.\n")
    return folder


def leg(library: Library) -> VectorLeg:
    return library._legs[library.collection().id(), "scripted:hash"]


def written(library: Library) -> int:
    """How many vectors Chroma itself holds."""
    with library.workspace.read() as db:
        name = db.execute("SELECT name FROM vector_indexes").fetchone()[0]
    return library._store.index(name, leg(library).dim).count()


def vector_ids(library: Library, query: str, top_k: int = 10) -> list[str]:
    hits = asyncio.run(library.collection().search(query, top_k))
    return [h.passage.id for h in sorted((h for h in hits if h.vector_rank), key=lambda h: h.vector_rank or 0)]


def test_written_in_step(chroma: Library, tmp_path: Path) -> None:
    folder = documents(tmp_path / "docs", 12)
    sync(chroma, folder)
    assert written(chroma) == 12
    (folder / "3.md").unlink()
    (folder / "4.md").write_text("# Item 4\n\nSomething else entirely.\n")
    sync(chroma, folder)
    assert written(chroma) == 11
    assert "Item 3" not in found(chroma, "Item 3 code word", top_k=20)
    assert (chroma.workspace.folder / "chroma" / "chroma.sqlite3").is_file()


def test_finds_what_exact_search_finds(chroma: Library, hashed: Runtime, counting: Counting, tmp_path: Path) -> None:
    sync(chroma, documents(tmp_path / "docs", 60))
    exact = Library(hashed.workspace, counting, vectors="exact")
    for query in ("code word of item 17", "w7919x", "something about items"):
        assert vector_ids(chroma, query) == vector_ids(exact, query)


def test_what_is_not_applied_yet_is_searched_exactly(
    chroma: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(chroma, documents(tmp_path / "docs", 10))
    monkeypatch.setattr(VectorLeg, "apply", lambda self, told=None: 0)
    sync(chroma, documents(tmp_path / "docs", 5, start=10))
    assert written(chroma) == 10
    hits = asyncio.run(chroma.collection().search("code word of item 12", 15))
    assert hits[0].passage.title == "Item 12"
    assert hits[0].vector_rank is not None
    (tmp_path / "docs" / "2.md").unlink()
    sync(chroma, tmp_path / "docs")
    assert "Item 2" not in found(chroma, "code word of item 2", top_k=20)  # still in Chroma, no longer in the truth


def test_small_collections_stay_in_memory(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(library, documents(tmp_path / "docs", 10))
    assert not (library.workspace.folder / "chroma").exists()
    monkeypatch.setattr(search, "EXACT_BELOW", 15)
    sync(library, documents(tmp_path / "docs", 10, start=10))
    assert written(library) == 20
    assert found(library, "code word of item 15")[0] == "Item 15"


def test_a_batch_that_was_written_but_not_entered_is_written_again(
    chroma: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill between Chroma's commit and ours leaves."""
    monkeypatch.setattr(applied, "BATCH", 4)
    entered = Applied._enter
    calls = []

    def dies(self: Applied, index_id: int, **changes: list[str]) -> None:
        calls.append(changes)
        if len(calls) == 2:
            raise KeyboardInterrupt
        entered(self, index_id, **changes)

    monkeypatch.setattr(Applied, "_enter", dies)
    folder = documents(tmp_path / "docs", 10)
    with pytest.raises(KeyboardInterrupt):
        sync(chroma, folder)
    monkeypatch.setattr(Applied, "_enter", entered)
    assert found(chroma, "code word of item 7")[0] == "Item 7"
    sync(chroma, folder)
    assert written(chroma) == 10


@pytest.mark.parametrize("damage", ["collection dropped", "database gone", "database zeroed"])
def test_damage_is_noticed_and_rebuilt(
    chroma: Library, hashed: Runtime, counting: Counting, tmp_path: Path, damage: str
) -> None:
    folder = documents(tmp_path / "docs", 30)
    sync(chroma, folder)
    embedded = counting.documents
    store = chroma._store
    if damage == "collection dropped":
        store.drop(store.names()[0])
    chroma.close()
    database = chroma.workspace.folder / "chroma" / "chroma.sqlite3"
    if damage == "database gone":
        database.unlink()
    elif damage == "database zeroed":
        database.write_bytes(b"\0" * database.stat().st_size)
    (folder / "new.md").write_text("# New\n\nThe code word is fresh.\n")
    sync(chroma, folder)
    assert written(chroma) == 31
    assert counting.documents == embedded + 1  # rebuilt from SQLite
    assert found(chroma, "code word of item 21")[0] == "Item 21"


def test_rebuild(chroma: Library, counting: Counting, tmp_path: Path) -> None:
    sync(chroma, documents(tmp_path / "docs", 8))
    embedded = counting.documents
    assert leg(chroma).rebuild() == 8
    assert written(chroma) == 8
    assert counting.documents == embedded


def test_a_reader_sees_what_another_process_wrote(chroma: Library, tmp_path: Path) -> None:
    sync(chroma, documents(tmp_path / "docs", 20))
    assert found(chroma, "code word of item 5")[0] == "Item 5"
    documents(tmp_path / "docs", 20, start=20)
    code = (
        "import asyncio, sys; from pathlib import Path; from core.workspace import Workspace; from core.retrieval.library import Library\n"
        "from core.providers.scripted import open_embedding; from core.settings import load_settings\n"
        "home, docs = map(Path, sys.argv[1:]); w = Workspace.open(home)\n"
        "l = Library(w, open_embedding('hash', engine='scripted', settings=load_settings(home, {})), vectors='chroma')\n"
        "r = asyncio.run(l.collection().sync([docs])); print(r.count('added'), r.embedded)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(chroma.workspace.folder), str(tmp_path / "docs")],
        capture_output=True, text=True, check=True, timeout=120, cwd=Path.cwd(), env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.stdout.split() == ["20", "20"]
    hits = asyncio.run(chroma.collection().search("code word of item 33", 5))
    assert hits[0].passage.title == "Item 33"
    assert {hits[0].vector_rank, hits[1].vector_rank} & {1, 2}
    assert written(chroma) == 40


def test_the_writer_waits_for_another_and_names_it(chroma: Library, tmp_path: Path) -> None:
    folder = documents(tmp_path / "docs", 3)
    sync(chroma, folder, embed=False)
    model = chroma.collection().meaning().model  # type: ignore[union-attr]
    chroma._leg(chroma.collection().id(), model).wait_s = 0.3
    with lease.hold(chroma.workspace, applied.LEASE), pytest.raises(StoreBusy) as caught:
        asyncio.run(chroma.collection().embed_pending())
    assert str(os.getpid()) in str(caught.value)
    assert found(chroma, "code word of item 1")[0] == "Item 1"  # vectors are in SQLite and searched exactly
    asyncio.run(chroma.collection().embed_pending())
    assert written(chroma) == 3


@pytest.mark.parametrize("writing", [True, False])
def test_what_another_process_is_writing_is_no_damage(
    chroma: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: bool
) -> None:
    """A search finds the index out of step; whether its generation moved meanwhile decides what is made of it."""
    sync(chroma, documents(tmp_path / "docs", 12))
    vector_ids(chroma, "code word of item 3")
    nearest, failed = VectorLeg._nearest, []

    def fails_once(self: VectorLeg, *given: Any) -> Any:
        if failed:
            return nearest(self, *given)
        failed.append(True)
        if writing:
            other = sqlite3.connect(chroma.workspace.path)
            other.execute("UPDATE vector_indexes SET generation = generation + 1")
            other.commit()
            other.close()
        raise StoreDamaged(path="chroma", detail="fewer vectors than the manifest lists")

    monkeypatch.setattr(VectorLeg, "_nearest", fails_once)
    assert len(vector_ids(chroma, "code word of item 3")) == 10  # exactly, without the index
    with chroma.workspace.read() as db:
        marked = db.execute("SELECT damage FROM vector_indexes").fetchone()[0]
    assert (marked is None) == writing
    assert leg(chroma).notices == (() if writing else ("index_damaged",))
