"""Several processes on one workspace, and processes that die: nothing lost, nothing twice, indexing goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.retrieval import keyword
from core.retrieval.library import Library
from core.runtime import Runtime
from core.settings import Settings, override
from tests.core.retrieval.conftest import found

WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from core.workspace import Workspace
from core.retrieval import keyword
from core.retrieval.library import Library
from core.providers.scripted import open_embedding
from core.settings import load_settings

home, docs, point, nth = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
library = Library(Workspace.open(home), open_embedding("hash", engine="scripted", settings=load_settings(home, {})), vectors=sys.argv[5])
seen = 0

def die(stage):
    global seen
    if stage == point:
        seen += 1
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)

def told(step):
    print(step.stage, step.name, flush=True)
    die(step.stage)

from core.retrieval import index, keyword, search, vectors
def before(module, name, stage):
    original = getattr(module, name)
    def wrapped(*a, **k):
        die(stage)
        return original(*a, **k)
    setattr(module, name, wrapped)
before(keyword, "add", "inside a document")
before(vectors, "put", "inside vectors")
before(search.VectorLeg, "_enter", "between chroma and manifest")
index.EMBED_BATCH, search.BATCH = 3, 4
report = asyncio.run(library.collection().sync([docs], progress=told))
print("done", report.count("added"), report.count("unchanged"), report.count("failed"))
"""


def start(home: Path, docs: Path, point: str = "never", nth: int = 1, vectors: str = "auto") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WORKER, str(home), str(docs), point, str(nth), vectors],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd(), env=dict(os.environ),
    )  # fmt: skip


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    there = tmp_path / "docs"
    there.mkdir()
    for n in range(8):
        (there / f"{n}.md").write_text(f"# Item {n}\n\nWord w{n}x here.\n\n## More\n\nSecond part of item {n}.\n")
    return there


def whole(library: Library) -> dict[str, int]:
    """Passages by document title, after checking that the keyword index holds exactly the passages there are."""
    index = library.collection()
    with library.workspace.read() as db:
        passages = db.execute("SELECT number FROM passages ORDER BY number").fetchall()
        assert [p[0] for p in passages] == keyword.numbers(db, index.id())
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    return {d.title: d.passages for d in index.documents()}


@pytest.mark.parametrize(
    ("point", "nth", "vectors"),
    [
        ("inside a document", 1, "auto"),
        ("inside a document", 6, "auto"),
        ("files", 3, "auto"),
        ("files", 8, "auto"),
        ("inside vectors", 1, "auto"),
        ("vectors", 2, "auto"),
        ("between chroma and manifest", 2, "chroma"),
        ("index", 1, "chroma"),
    ],
)
def test_kill_and_go_on(settings: Settings, docs: Path, point: str, nth: int, vectors: str) -> None:
    home = settings.home
    worker = start(home, docs, point, nth, vectors)
    said, _ = worker.communicate(timeout=120)
    assert worker.returncode == -signal.SIGKILL
    acknowledged = [line.split()[1] for line in said.splitlines() if line.startswith("files")]
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        library = Library(runtime.workspace, runtime.embedding(), vectors=vectors)  # type: ignore[arg-type]
        there = whole(library)
        assert {f"Item {name.removesuffix('.md')}" for name in acknowledged} <= set(there)
        assert set(there.values()) <= {2}  # whole documents or none
        for title in there:
            assert title in found(library, f"w{title.split()[1]}x")
        report = asyncio.run(library.collection().sync([docs]))
        assert report.count("unchanged") == len(there)
        assert report.count("added") == 8 - len(there)
        assert whole(library) == {f"Item {n}": 2 for n in range(8)}
        assert library.collection().info().pending == 0
        for n in range(8):
            hits = asyncio.run(library.collection().search(f"w{n}x second part", 16))
            assert len({h.passage.id for h in hits}) == len(hits)
            assert sum(h.vector_rank is not None for h in hits) == 16
        library.close()


def test_two_processes_index_at_once(settings: Settings, docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for n in range(8, 14):
        (other / f"{n}.md").write_text(f"# Item {n}\n\nWord w{n}x here.\n")
    workers = [start(settings.home, docs), start(settings.home, docs), start(settings.home, other)]
    said = [worker.communicate(timeout=180) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    counts = [[int(n) for n in out.split("done")[1].split()] for out, _ in said]
    assert counts[0][0] + counts[1][0] == 8  # each document added by one of the two, unchanged for the other
    assert counts[0][1] + counts[1][1] == 8
    assert counts[2][0] == 6
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        library = Library(runtime.workspace, runtime.embedding())
        assert whole(library) == {f"Item {n}": 2 if n < 8 else 1 for n in range(14)}
        assert library.collection().info().pending == 0


def test_an_open_process_finds_what_another_indexes(settings: Settings, docs: Path, tmp_path: Path) -> None:
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        library = Library(runtime.workspace, runtime.embedding())
        assert asyncio.run(library.answer("几天内可以退货？")).notices == ("nothing_indexed",)
        policy = tmp_path / "policy"
        policy.mkdir()
        (policy / "a.md").write_text("退货政策: 自签收之日起 15 天内可以无理由退货，运费由买家承担。", "utf-8")
        worker = start(settings.home, policy)
        worker.communicate(timeout=60)
        assert worker.returncode == 0
        started = time.perf_counter()
        answer = asyncio.run(library.answer("几天内可以退货？"))
        assert "15" in answer.text
        assert answer.mode == "extractive"
        assert time.perf_counter() - started < 20
        (policy / "a.md").unlink()
        start(settings.home, policy).communicate(timeout=60)
        assert asyncio.run(library.answer("几天内可以退货？")).notices == ("nothing_indexed",)
