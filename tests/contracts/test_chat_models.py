"""Every chat model passes the contract. A new provider is one line in ``SUBJECTS``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from core.contracts import ChatModel
from tests.contracts.chat_model import RULES, Rule, Subject
from tests.contracts.subjects import SUBJECTS

CALL_S = 240.0  # a rule that takes longer hangs


class Opened(NamedTuple):
    """A subject's model and the event loop of all its rules: a model is loaded once, not once a rule."""

    model: ChatModel
    subject: Subject
    loop: asyncio.Runner


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda s: s.name)
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    subject: Subject = request.param
    model = subject.open(request.getfixturevalue(subject.given) if subject.given else None)
    with asyncio.Runner() as loop:
        yield Opened(model, subject, loop)
        loop.run(model.aclose())


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_contract(opened: Opened, rule: Rule) -> None:
    model, subject, loop = opened
    if not rule.applies_to(model, subject):
        pytest.skip(f"{subject.name} does not claim {rule.needs or 'this'}")
    loop.run(asyncio.wait_for(rule.check(model, subject), CALL_S))


@pytest.fixture(scope="module")
def unused() -> list[tuple[ChatModel, Subject]]:
    """Every subject, opened and never asked."""
    return [(subject.open("http://127.0.0.1:9/v1"), subject) for subject in SUBJECTS]


def test_every_capability_has_a_rule() -> None:
    """A flag that no rule looks at could claim anything."""
    checked = {rule.needs for rule in RULES}
    assert {"tools", "schema", "images", "logprobs", "usage", "cancel", "reasoning"} <= checked


def test_some_subject_proves_each_rule(unused: list[tuple[ChatModel, Subject]]) -> None:
    for rule in RULES:
        assert any(rule.applies_to(model, subject) for model, subject in unused), rule.name


def test_every_engine_is_a_subject(unused: list[tuple[ChatModel, Subject]]) -> None:
    from core.providers.registry import ENGINES

    opened = {model.name.partition(":")[0] for model, _ in unused}
    # what was trained is opened by the transformers engine: tests/core/training
    assert {name for name, row in ENGINES.items() if row.chat} - {"trained"} <= opened
    assert Path(__file__).with_name("echo.yaml").is_file()
