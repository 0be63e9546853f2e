"""Several collections answer as one collection with all their documents would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from core.retrieval.library import Library
from core.retrieval.several import Several
from core.runtime import Runtime
from core.settings import Settings, override
from core.types import Caller

POLICIES = {
    f"policy-{n}.md": f"# {name}\n\n{name}在签收次日起 {n} 天内可以无理由退货。{name}的保修期是 {n} 个月。\n"
    for n, name in enumerate(["电热水壶", "空气炸锅", "除湿机", "扫地机器人", "耳机", "音箱", "帐篷", "睡袋"], 5)
}
OWN = {"bike.md": "# Bicycle\n\nThe bicycle locker code is 4711. 自行车在车库，密码是 4711。\n"}


@pytest.fixture(params=["scripted:hash", None], ids=["both legs", "words alone"])
def library(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Library]:
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        yield Library(runtime.workspace, runtime.embedding if request.param else None)


def filled(library: Library, name: str, documents: dict[str, str]) -> None:
    async def add() -> None:
        for source, text in documents.items():
            await library.collection(name).add_text(text, source)

    asyncio.run(add())


def titles(library: Library, query: str, *names: str) -> list[str]:
    found = asyncio.run(Several([library.collection(name) for name in names]).find(query, 4))
    return [hit.passage.title for hit in found.hits]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("自行车的密码是多少", "Bicycle"),
        ("bicycle locker code", "Bicycle"),
        ("除湿机的保修期", "除湿机"),
        ("4711", "Bicycle"),
    ],
)
def test_the_right_document_wins_wherever_it_is(library: Library, query: str, title: str) -> None:
    filled(library, "shop", POLICIES)
    filled(library, "mine", OWN)
    assert titles(library, query, "shop", "mine")[0] == title
    assert titles(library, query, "mine", "shop")[0] == title


def test_it_ranks_like_one_collection(library: Library) -> None:
    filled(library, "all", POLICIES | OWN)
    filled(library, "shop", POLICIES)
    filled(library, "mine", OWN)
    for query in ("耳机 退货 几天", "bicycle", "保修期 帐篷"):
        together = asyncio.run(Several([library.collection("shop"), library.collection("mine")]).find(query, 3))
        one = asyncio.run(library.collection("all").find(query, 3))
        assert together.hits[0].passage.title == one.hits[0].passage.title
        assert together.weights == pytest.approx(one.weights)
        assert together.passages == one.passages
        assert together.hits[0].keyword_rank == 1


def test_empty_collections_do_no_harm(library: Library) -> None:
    filled(library, "shop", POLICIES)
    assert titles(library, "帐篷", "empty", "shop", "void") == titles(library, "帐篷", "shop")
    assert titles(library, "帐篷", "empty", "void") == []
    with pytest.raises(ValueError, match="no collection"):
        Several([])


def test_other_callers_collections_stay_out(library: Library) -> None:
    filled(library.for_caller(Caller("other", "x")), "mine", OWN)
    filled(library, "shop", POLICIES)
    assert "Bicycle" not in titles(library, "bicycle locker code", "shop", "mine")
