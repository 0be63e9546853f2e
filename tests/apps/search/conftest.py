"""The search app over a small sample, so that its tests cost little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.search import service as search_service
from apps.search.service import Search
from apps.search.views import answer, results, state
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
    monkeypatch.setattr(results, "READ_S", 0.0)
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
