"""Tenants are kept apart below the app: random calls with other tenants' names and ids find nothing of theirs."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from core.errors import NotFound
from core.retrieval.library import Library
from core.retrieval.tool import search_tool
from core.types import Caller

TENANTS = ("ant", "bee", "cat")
COLLECTIONS = ("default", "second")
WORDS = ["退货", "运费", "kettle", "refund", "battery", "tent", "warranty", "保修", "invoice", "发票"]


class World:
    """Every text, title and metadata of a tenant bears its secret; sources and collections have the same names."""

    def __init__(self, library: Library) -> None:
        self.views = {name: library.for_caller(Caller(name, "user")) for name in TENANTS}
        self.ids: dict[str, list[str]] = {name: [] for name in TENANTS}
        self.groups: dict[str, list[int]] = {name: [] for name in TENANTS}

    async def fill(self, seeded: random.Random) -> None:
        for name, view in self.views.items():
            for collection in COLLECTIONS:
                index = view.collection(collection)
                for n in range(8):
                    text = f"{' '.join(seeded.choices(WORDS, k=12))} owner{name} secret{name}"
                    metadata = {"tenant": name, "n": n, "tags": [name], "note": f"secret{name}"}
                    await index.add_text(
                        text, f"shared{n}.txt", title=f"Shared {n} secret{name}", metadata=metadata, embed=False
                    )
                await index.embed_pending()
                for document in index.documents():
                    self.ids[name] += [document.id, *(p.id for p in index.passages(document.id))]
            self.groups[name].append(view.words().add([f"owner{name}", "warranty"]).id or 0)


@pytest.fixture
def world(library: Library) -> World:
    made = World(library)
    asyncio.run(made.fill(random.Random(1)))
    return made


def foreign(world: World, name: str, answer: Any) -> list[str]:
    """Whose passages are in an answer. No call says ``secret``, so it comes from a document."""
    shown = repr(answer)
    return [other for other in TENANTS if other != name and f"secret{other}" in shown]


async def call(world: World, name: str, seeded: random.Random) -> Any:
    """One random call of tenant ``name`` that passes something of another tenant's."""
    view = world.views[name]
    other = seeded.choice([t for t in TENANTS if t != name])
    stolen = seeded.choice(world.ids[other])
    index = view.collection(seeded.choice(COLLECTIONS))
    query = seeded.choice([f"owner{other}", stolen, f"Shared {other}", " ".join(seeded.choices(WORDS, k=3))])
    where = seeded.choice([
        None, {"tenant": other}, {"document_id": stolen}, {"document_id": {"$in": world.ids[other]}},
        {"tags": {"$contains": other}}, {"$not": {"tenant": name}}, {"$or": [{"tenant": other}, {"n": {"$gte": 0}}]},
        {"title": {"$gt": ""}}, {"$not": {"document_id": stolen}}, {"tenant": f"{other}' OR '1'='1"},
    ])  # fmt: skip
    options: dict[str, Any] = {
        "mode": seeded.choice(["hybrid", "keyword", "vector"]),
        "top_k": seeded.choice([1, 5, 100]),
        "where": where,
        "collapse": seeded.choice([None, 0.3]),
        "diversity": seeded.choice([0.0, 0.5]),
        "collections": seeded.choice([("default",), COLLECTIONS, (other,), (f"default' OR tenant='{other}",)]),
    }
    kind = seeded.randrange(13)
    try:
        if kind < 4:
            return (await view.search(query, **options)).hits
        if kind == 4:
            return await view.explain(query, stolen, **options)
        if kind == 5:
            return await view.explain(query, f"shared{seeded.randrange(8)}.txt", **options)
        if kind == 6:
            return index.document_text(stolen)
        if kind == 7:
            return index.passage(stolen)
        if kind == 8:
            return index.passages(stolen)
        if kind == 9:
            await index.remove(stolen)
            raise AssertionError("another tenant's document could be removed")
        if kind == 10:
            return await search_tool(view).call({"query": query, "filter": where or {}})
        if kind == 11:
            return index.section(stolen)
        view.words().remove(seeded.choice(world.groups[other]))
    except NotFound:
        return None
    raise AssertionError("another tenant's synonyms could be removed")


@pytest.mark.parametrize("calls", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_nothing_of_another_tenant_is_ever_found(world: World, calls: int) -> None:
    seeded = random.Random(20261125)

    async def all_calls() -> tuple[int, list[Any]]:
        answered, leaks = 0, []
        for _ in range(calls):
            name = seeded.choice(TENANTS)
            answer = await call(world, name, seeded)
            answered += bool(answer)
            leaks += foreign(world, name, answer)
        return answered, leaks

    answered, leaks = asyncio.run(all_calls())
    assert leaks == []
    assert answered > calls / 4  # the calls do find what is their own
    for name, view in world.views.items():  # and nothing was removed
        kept = [d.id for c in COLLECTIONS for d in view.collection(c).documents()]
        assert set(kept) <= set(world.ids[name])
        assert len(kept) == 16
        assert len(view.words().synonyms()) == 1
