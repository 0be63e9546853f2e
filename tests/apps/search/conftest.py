"""The search app over a small sample, so that its tests cost little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest

from apps.search import service as search_service
from apps.search.service import Search
from apps.search.views import answer, card_list, state
from core.providers.sync import run
from core.settings import Settings

DOCUMENTS = {
    "zh/leave.md": "# 年假制度\n\n入职满一年的员工每年有 10 天年假。年假须提前两周申请。\n",
    "zh/travel.md": "# 差旅标准\n\n出差住宿每晚不超过 450 元。超出部分自付。\n",
    "en/leave.md": "# Annual leave (Leeds)\n\nStaff in Leeds have 25 days of annual leave. Ask your manager two weeks before.\n",
    "en/leave-mail.txt": "Annual leave (Leeds)\n\nStaff in Leeds have 25 days of annual leave. Ask your manager two weeks before.\n",
    "en/prices.csv": "code,price\nRO-400,399\nAP-30,129\n",
}
QUESTIONS = """
questions:
- {id: a, lang: zh, query: 年假几天, case: plain, split: tune, relevant: {zh/leave.md: 2, en/leave.md: 1}}
- {id: b, lang: en, query: price of the AP-30, case: plain, split: tune, relevant: {en/prices.csv: 2}}
- {id: c, lang: en, query: pets at work, case: nothing, split: tune, relevant: {}}
- {id: d, lang: en, query: leave in Leeds, case: plain, split: test, relevant: {en/leave.md: 2}}
"""


@pytest.fixture
def small_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Five documents in place of the sample company's."""
    sample = tmp_path / "sample"
    for name, text in DOCUMENTS.items():
        path = sample / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (sample / "questions.yaml").write_text(QUESTIONS, "utf-8")
    monkeypatch.setattr(search_service, "SAMPLE", sample)
    monkeypatch.setattr(answer, "STILL_S", 0.0)
    yield sample
    state.service.forget()


@pytest.fixture
def desk(settings: Settings, small_sample: Path) -> Iterator[Search]:
    opened = Search.open(settings.with_values(TOUCHSTONE_CHAT="scripted:demo", TOUCHSTONE_EMBEDDING="scripted:hash"))
    yield opened
    opened.close()


def embedded(desk: Search) -> None:
    """Wait for the vectors of the sample: what follows is about meaning."""
    desk.prepare()
    run(desk.places()[0].index.embed_pending())


# --- the cards of the page, which AppTest has no name for ------------------------------------------------------------


def drawn(at: AppTest) -> dict[str, Any]:
    """What the browser is told to draw as results; without any where the page has none."""
    told = [element.proto for element in at.get("bidi_component") if element.proto.id.endswith(card_list.KEY)]
    return json.loads(told[0].json) if told else {"cards": []}


def click(at: AppTest, action: str, place: int = 0, *, passage_id: str | None = None) -> AppTest:
    """Click on the card at a place, as the browser says it; ``passage_id`` is of another card than it stands for."""
    (proto,) = (element.proto for element in at.get("bidi_component") if element.proto.id.endswith(card_list.KEY))
    states = at._tree.get_widget_states()
    event = {"event": "act", "value": {"action": action, "id": passage_id or drawn(at)["cards"][place]["id"]}}
    states.widgets.add(id=_make_trigger_id(proto.id, "events"), json_trigger_value=json.dumps(event))
    return at._run(states)


def card_text(card: dict[str, Any]) -> str:
    """All that a card says, letter by letter."""
    return " ".join(
        map(
            str,
            (
                card["rank"],
                card["title"],
                card["before"],
                card["marked"],
                card["after"],
                *card["facts"],
                card["folded"],
            ),
        )
    )
