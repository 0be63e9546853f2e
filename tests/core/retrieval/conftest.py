"""A library with real SQLite and, where wanted, real Chroma; vectors by hashing, so that no model is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.providers.registry import open_model
from core.retrieval.library import Library
from core.retrieval.records import SyncReport
from core.runtime import Runtime
from core.settings import Settings, load_settings, override


class Counting:
    """An embedding model that counts the texts it embeds, and fails when told to."""

    def __init__(self, model: Any) -> None:
        self.model, self.name, self.dim = model, model.name, model.dim
        self.documents = 0
        self.error: Exception | None = None

    async def embed(self, texts: Sequence[str], *, kind: Any) -> Any:
        if self.error is not None:
            raise self.error
        if kind == "document":
            self.documents += len(texts)
        return await self.model.embed(texts, kind=kind)

    async def aclose(self) -> None:
        await self.model.aclose()


@pytest.fixture
def hashed(settings: Settings) -> Iterator[Runtime]:
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        yield runtime


@pytest.fixture
def counting(hashed: Runtime) -> Counting:
    return Counting(hashed.embedding())


@pytest.fixture
def library(hashed: Runtime, counting: Counting) -> Iterator[Library]:
    opened = Library(hashed.workspace, counting)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def e5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The embedding model that comes with the install, opened once."""
    home = tmp_path_factory.mktemp("e5")
    opened = open_model("embedding", "embedded:e5", load_settings(home, {"TOUCHSTONE_HOME": str(home)}))
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents: a policy, a manual, an FAQ."""
    there = tmp_path / "docs"
    there.mkdir()
    (there / "returns.md").write_text(
        "# 退货政策\n\n## 期限\n\n自签收之日起 15 天内可以无理由退货，运费由买家承担。\n\n## 不能退的\n\n- 已拆封的耳塞套不能退货。\n- 礼品卡不能退货。\n",
        "utf-8",
    )
    (there / "kettle.md").write_text(
        "# KT-210 kettle\n\nThe KT-210 holds 1.5 L.\n\n| Code | Meaning |\n| --- | --- |\n| E1 | Boil-dry protection |\n| E2 | Sensor fault |\n",
        "utf-8",
    )
    (there / "faq.csv").write_text(
        "question,answer\nDo you engrave orders?,Engraving is not available.\nHow heavy is the tent?,The tent weighs 3.2 kg.\n",
        "utf-8",
    )
    return there


def sync(library: Library, *paths: Path, collection: str = "default", **options: Any) -> SyncReport:
    return asyncio.run(library.collection(collection).sync(list(paths), **options))


def found(library: Library, query: str, collection: str = "default", top_k: int = 5) -> list[str]:
    """Titles of the passages found."""
    return [hit.passage.title for hit in asyncio.run(library.collection(collection).search(query, top_k))]
