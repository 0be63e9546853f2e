"""Both vector indexes keep the contract."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, StoreUnreachable
from core.providers.scripted import HashedEmbedding
from core.retrieval.chroma import ChromaStore
from core.retrieval.library import Library
from core.retrieval.upkeep import rebuild, vacuum
from core.retrieval.vectors import ExactIndex, VectorIndex
from core.workspace import Workspace
from tests.contracts.vector_index import DIM, VectorIndexSuite, unit_vectors


class TestExact(VectorIndexSuite):
    @pytest.fixture
    def index(self) -> VectorIndex:
        return ExactIndex(DIM)

    def test_wrong_shape_is_refused(self, index: VectorIndex) -> None:
        with pytest.raises(InputError):
            index.upsert(["a"], np.zeros((1, DIM + 1), dtype=np.float32))


class TestChroma(VectorIndexSuite):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[VectorIndex]:
        store = ChromaStore(tmp_path / "chroma")
        yield store.index("suite", DIM)
        store.close()

    def test_it_is_there_after_reopening(self, index: VectorIndex, tmp_path: Path) -> None:
        vectors = unit_vectors(20)
        index.upsert([f"p{i}" for i in range(20)], vectors)
        index.store.close()  # type: ignore[attr-defined]
        again = ChromaStore(tmp_path / "chroma")
        assert again.index("suite", DIM).search(vectors[7], 1)[0][0] == "p7"
        again.close()

    def test_agrees_with_exact_search(self, index: VectorIndex) -> None:
        vectors, exact = unit_vectors(500, seed=1), ExactIndex(DIM)
        ids = [f"p{i}" for i in range(500)]
        index.upsert(ids, vectors)
        exact.upsert(ids, vectors)
        queries = unit_vectors(20, seed=2)
        shared = [
            len({id_ for id_, _ in index.search(q, 10)} & {id_ for id_, _ in exact.search(q, 10)}) for q in queries
        ]
        assert sum(shared) >= 0.98 * 200


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real ``chroma run`` on loopback."""
    folder = tmp_path_factory.mktemp("chroma-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


class TestChromaServer(VectorIndexSuite):
    @pytest.fixture
    def index(self, chroma_server: str, tmp_path: Path) -> Iterator[VectorIndex]:
        store = ChromaStore(tmp_path / "unused", chroma_server)
        yield store.index(f"suite-{tmp_path.name}-x", DIM)
        store.close()
        assert not (tmp_path / "unused").exists()

    def test_two_workspaces_share_a_server(self, chroma_server: str, tmp_path: Path) -> None:
        libraries = []
        for name in ("one", "two"):
            workspace = Workspace.open(tmp_path / name)
            library = Library(workspace, HashedEmbedding("scripted:hash"), vectors="chroma", chroma_url=chroma_server)
            asyncio.run(library.collection().add_text(f"The word of {name} is {name}word.", f"{name}.md"))
            libraries.append(library)
        one, two = libraries
        hits = asyncio.run(one.collection().search("the word", 5))
        assert [hit.passage.title for hit in hits] == ["one"]
        assert hits[0].vector_rank == 1
        mine = [name for name in one.store.names() if name.startswith("touchstone-")]
        assert len(mine) == 2
        one.drop("default")
        assert vacuum(one).chroma_collections == 1  # its own, and not the other's
        assert asyncio.run(two.collection().find("the word")).notices == ()
        assert asyncio.run(rebuild(two)).vectors == 1
        for library in libraries:
            library.close()
            library.workspace.close()

    def test_a_server_that_is_gone_leaves_search_whole(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        workspace = Workspace.open(tmp_path / "home")
        library = Library(workspace, HashedEmbedding("scripted:hash"), vectors="chroma", chroma_url=url)
        (tmp_path / "a.md").write_text("# A\n\nSome text.\n")
        report = asyncio.run(library.collection().sync([tmp_path / "a.md"]))
        assert (report.count("added"), report.embedded, report.notices) == (1, 1, ("index_unreachable",))
        result = asyncio.run(library.collection().find("some text"))
        assert result.notices == ("index_unreachable",)
        assert result.hits[0].vector_rank == 1
        with pytest.raises(StoreUnreachable) as caught:
            library.store.names()
        assert url in caught.value.text("zh")
        library.close()
        workspace.close()
