"""Sixty and more scripted conversations against the real service, the embedded models and the sample shop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.customer_service import CustomerService
from core.settings import Settings, load_settings, override
from tests.apps.customer_service.conftest import NO_VECTORS
from tests.apps.customer_service.scenario import Play, opened, scenarios

ALL = scenarios()


@dataclass
class Stage:
    service: CustomerService
    settings: Settings


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("scenarios")
    plain = load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LANG": "en"})
    settings = override(plain, models__chat="embedded:smollm2", models__embedding=NO_VECTORS)
    with opened(settings) as service:
        stage = Stage(service, settings)
        yield stage
        if stage.service is not service:
            stage.service.close()


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario["id"])
def test_scenario(stage: Stage, scenario: dict[str, Any]) -> None:
    play = Play(stage.service, stage.settings, scenario["id"])
    try:
        for number, step in enumerate(scenario["steps"], 1):
            try:
                play.step(step)
            except AssertionError as error:
                raise AssertionError(f"step {number}, {step}: {error}") from error
    finally:
        play.mend()
        stage.service = play.service


def test_there_are_enough_of_both_languages() -> None:
    names = [scenario["id"] for scenario in ALL]
    assert len(names) == len(set(names)) >= 60
    count = {language: sum(name.startswith(language) for name in names) for language in ("zh", "en", "mixed")}
    assert count["zh"] >= len(names) // 2
    assert count["mixed"] >= 2
    causes = {step.get("cause") for scenario in ALL for step in scenario["steps"]} - {None}
    assert causes == {"asked", "rule", "frustration", "misses", "tool_failure"}
    assert any(step.get("hours") == "closed" for scenario in ALL for step in scenario["steps"])
    assert all(re.fullmatch(r"(zh|en|mixed)-[a-z-]+", name) for name in names)
