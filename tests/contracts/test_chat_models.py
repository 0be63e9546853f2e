"""Every chat model passes the contract. A new provider is one line in ``SUBJECTS``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.contracts import ChatModel
from tests.contracts.chat_model import RULES, Rule, Subject
from tests.contracts.subjects import SUBJECTS

CALL_S = 240.0  # a rule that takes longer hangs


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda s: s.name)
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[ChatModel, Subject]]:
    subject: Subject = request.param
    model = subject.open(request.getfixturevalue(subject.given) if subject.given else None)
    yield model, subject
    asyncio.run(model.aclose())


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_contract(opened: tuple[ChatModel, Subject], rule: Rule) -> None:
    model, subject = opened
    if not rule.applies_to(model, subject):
        pytest.skip(f"{subject.name} does not claim {rule.needs or 'this'}")

    async def check() -> None:
        try:
            await asyncio.wait_for(rule.check(model, subject), CALL_S)
        finally:
            await model.aclose()

    asyncio.run(check())


def test_every_capability_has_a_rule() -> None:
    """A flag that no rule looks at could claim anything."""
    checked = {rule.needs for rule in RULES}
    assert {"tools", "schema", "images", "logprobs", "usage", "cancel", "reasoning"} <= checked


def test_some_subject_proves_each_rule() -> None:
    for rule in RULES:
        assert any(rule.applies_to(s.open("http://127.0.0.1:9/v1"), s) for s in SUBJECTS), rule.name


def test_every_engine_is_a_subject() -> None:
    from core.providers.registry import ENGINES

    opened = {s.open("http://127.0.0.1:9/v1").name.partition(":")[0] for s in SUBJECTS}
    # what was trained is opened by the transformers engine: tests/core/training
    assert {name for name, row in ENGINES.items() if row.chat} - {"trained"} <= opened
    assert Path(__file__).with_name("echo.yaml").is_file()
