"""The load of the customer service in short: everybody is answered, nobody is told what is another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import conversations
from benchmarks.conversations import WORDS, measure


def test_a_few_customers_at_once() -> None:
    found = measure(WORDS, 6, 10, 0.5)
    assert found["turns"] == 60
    assert found["wrong"] == []
    assert found["returns"] == 3, "each who agreed has returned once, and nobody else"
    assert found["p50_ms"] < 1000


def test_an_answer_with_anothers_code_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conversations.CODE, "zh", "{name}的储物柜密码是 7399919。")
    wrong = measure(WORDS, 1, 3, 0.1)["wrong"]
    assert any("does not say" in text for text in wrong)
    assert "Locker000 was told 7399919" in wrong


def test_memory_is_read_where_the_system_says() -> None:
    if Path("/proc/self/status").exists():
        assert 10 < conversations.resident_mb() < 10_000
