"""What no longer holds: told by title or metadata, not quoted beside what holds, and said when it alone speaks."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from core.retrieval.in_force import asks_of_the_past, is_over
from core.retrieval.library import Library
from core.types import Passage
from tests.core.retrieval.conftest import Counting, sync
from tests.core.retrieval.test_answerer import answered, check_citations, events

TODAY = date(2026, 11, 27)
NEW = "# 差旅报销标准（2025 版）\n\n餐补每天 100 元，出发和返回当天各按半天算。\n"
OLD = "# 差旅报销标准（2024 版，已废止）\n\n餐补每天 80 元，市内交通每天 40 元包干。\n"


@pytest.fixture
def counting(e5: Any) -> Counting:
    """Real vectors: what answers a question is a matter of meaning."""
    return Counting(e5)


@pytest.mark.parametrize(
    ("title", "metadata", "over"),
    [
        ("退货政策（2025 版，已废止）", {}, True),
        ("Returns 2024 (superseded)", {}, True),
        ("[DEPRECATED] Setup", {}, True),
        ("Expenses 2023 - obsolete", {}, True),
        ("发票作废说明", {}, False),
        ("How to replace a deprecated call", {}, False),
        ("Returns 2026 (supersedes 2025)", {}, False),
        ("Returns (not superseded)", {}, False),
        ("Returns", {"status": "Superseded"}, True),
        ("Returns", {"状态": "已失效"}, True),
        ("Returns", {"status": "in force"}, False),
        ("Returns", {"valid_until": "2026-11-26"}, True),
        ("Returns", {"valid_until": "2026-11-27"}, False),
        ("Returns", {"valid_until": "further notice"}, False),
    ],
)
def test_a_document_says_that_it_is_over(title: str, metadata: dict[str, Any], over: bool) -> None:
    assert is_over(Passage("p", "d", "text", title, "s", 0, 0, 4, metadata=metadata), TODAY) is over


def test_who_may_ask_of_the_past() -> None:
    assert asks_of_the_past("I ordered in Feb 2026, what applied then?")
    assert asks_of_the_past("旧版餐补是多少")
    assert not asks_of_the_past("bought a kettle last week, may I return it")


def test_what_holds_is_quoted_without_what_held_before(library: Library, tmp_path: Path) -> None:
    (tmp_path / "new.md").write_text(NEW, "utf-8")
    (tmp_path / "old.md").write_text(OLD, "utf-8")
    sync(library, tmp_path)
    now = answered(events(library, "出差餐补标准是多少"))
    assert "100 元" in now.text
    assert "80 元" not in now.text
    assert "no_longer_in_force" not in now.notices
    then = answered(events(library, "2024 版的市内交通和餐补每天多少"))
    assert "80 元" in then.text
    assert "no_longer_in_force" in then.notices
    check_citations(library, then)


def test_when_only_what_is_over_speaks_the_answer_says_so(library: Library, tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text(f"---\nstatus: 已废止\n---\n{OLD.replace('，已废止', '')}", "utf-8")
    sync(library, tmp_path)
    answer = answered(events(library, "出差餐补标准是多少"))
    assert "80 元" in answer.text
    assert answer.text.endswith("[1] 所引资料已不再有效。")
    assert "no_longer_in_force" in answer.notices
