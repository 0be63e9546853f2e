"""What is typed, found without a run of the page: as that run would find it, for the same person and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apps.search.query import Query
from apps.search.service import Search
from apps.search.views import cards as drawn_cards
from apps.search.views import instant
from apps.search.views.instant import Asker
from apps.ui import direct
from core.providers.sync import run
from core.types import LOCAL, Caller
from tests.apps.conftest import Open
from tests.apps.search.conftest import drawn
from tests.apps.search.test_page import PAGE, typed, whole


def test_a_key_finds_what_its_run_then_takes_over(
    open_page: Open, small_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_served", "/direct")
    monkeypatch.setattr(instant, "WAIT_S", None)
    asked: list[str] = []
    find = Search.find
    monkeypatch.setattr(
        Search, "find", lambda self, query, *a, **k: asked.append(query.text) or find(self, query, *a, **k)
    )
    at = open_page(PAGE, "en", TOUCHSTONE_EMBEDDING="scripted:none")
    at.segmented_control(key="mode").set_value("keyword").run()
    ask = drawn(at)["ask"]
    assert ask["url"] == "/direct"
    line = direct._line(ask["token"])
    assert line is not None
    told = line.answers("annual leave in Leeds ")
    assert told["cards"]
    typed(at, "annual leave in Leeds")
    whole(at)
    assert {name: drawn(at)[name] for name in told} == told, "nothing is drawn anew"
    assert asked == ["annual leave in Leeds"], "nothing is searched again"
    assert drawn(at)["ask"] == ask
    assert line.answers(" ?") == {"typed": "?", "count": "", "cards": []}


def test_filters_language_and_page_are_those_of_the_last_run(desk: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_cards, "PAGE", 1)
    desk.prepare()
    asker = Asker(desk, language="zh", query=Query("leave price", mode="keyword", languages=("en",)), page=2)
    assert [card["rank"] for card in asker.typed("leave price")["cards"]] == [2]
    other = asker.typed("price 年假")
    assert [card["rank"] for card in other["cards"]] == [1], "another query begins at its first page"
    assert all("英文" in card["facts"] for card in other["cards"])


def test_slips_stay_where_somebody_wants_them(desk: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instant, "WAIT_S", None)
    asker = Asker(desk, query=Query("", mode="keyword"))
    (meant, _, _) = asker.found(replace(asker.query, text="anual leave Leeds"))
    assert meant.query.text == "annual leave Leeds"
    asker.as_typed = "anual leave Leeds"
    (meant, _, _) = asker.found(replace(asker.query, text="anual leave Leeds"))
    assert meant.query.text == "anual leave Leeds"


def test_nobody_finds_what_is_another_tenants(desk: Search) -> None:
    others = Caller(tenant="other", user="eve")
    run(desk.folders.index(LOCAL).add_text("# Secret\n\nThe parcel QX-4100 lies on shelf 7.\n", "secret.md"))
    asker, eve = (Asker(desk, caller=who, query=Query("", mode="keyword")) for who in (LOCAL, others))
    assert "QX-4100" in str(asker.typed("parcel QX-4100")["cards"])
    assert "QX-4100" not in str(eve.typed("parcel QX-4100")["cards"])
