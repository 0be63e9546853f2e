"""Scripted conversations against the real service and the sample shop: with the embedded models, and with one that writes.

What the documents answer is quoted by the first and written by the second, which obeys whatever a document tells it.
The second plays those conversations in which a model is asked at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.customer_service import CustomerService
from core.settings import Settings, load_settings, override
from tests.apps.customer_service.scenario import Play, opened, scenarios

ALL = scenarios()
MODELS = {"embedded": "embedded:smollm2", "scripted": f"scripted:{Path(__file__).with_name('model.yaml')}"}


def played(scenario: dict[str, Any], model: str) -> bool:
    """Whether to play a conversation with a model: the steps that quote, refuse or bring a document ask it."""
    if "model" in scenario:
        return bool(scenario["model"] == model)
    return model == "embedded" or any(step.keys() & {"mode", "upload"} for step in scenario["steps"])


PLAYED = [(model, scenario) for model in MODELS for scenario in ALL if played(scenario, model)]


@dataclass
class Stage:
    service: CustomerService
    settings: Settings
    model: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="module")
def stage(folder: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    plain = load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LANG": "en"})
    settings = override(plain, models__chat=MODELS[request.param], models__embedding="embedded:e5")
    with opened(settings) as service:
        stage = Stage(service, settings, request.param)
        yield stage
        if stage.service is not service:
            stage.service.close()


@pytest.mark.parametrize(
    ("stage", "scenario"), PLAYED, indirect=["stage"], ids=[f"{scenario['id']}-{model}" for model, scenario in PLAYED]
)
def test_scenario(stage: Stage, scenario: dict[str, Any]) -> None:
    answered = {"embedded": "extractive", "scripted": "generated"}[stage.model]
    play = Play(stage.service, stage.settings, f"{scenario['id']}-{stage.model}", answered)
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
    assert count["mixed"] >= 6
    causes = {step.get("cause") for scenario in ALL for step in scenario["steps"]} - {None}
    assert causes == {"asked", "rule", "frustration", "misses", "tool_failure"}
    assert any(step.get("hours") == "closed" for scenario in ALL for step in scenario["steps"])
    assert all(re.fullmatch(r"(zh|en|mixed)-[a-z-]+", name) for name in names)
