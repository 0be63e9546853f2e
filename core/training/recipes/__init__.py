"""Recipes: each a YAML file with its settings beside a Python file with its steps, read from top to bottom.

    recipe("lora").with_settings({"rank": "16"})

A recipe's module has ``train(plan) -> facts``, which writes ``plan.folder / "model"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import yaml

from core.errors import InputError, UnknownName
from core.i18n import Phrase
from core.settings import Settings
from core.training.bases import Base, Needs
from core.training.data import Kind
from core.training.loop import Session
from core.training.splits import Splits

FOLDER = Path(__file__).parent
LIMITS: Mapping[str, tuple[float, float]] = {
    "epochs": (1, 1000),
    "batch_size": (1, 4096),
    "accumulate": (1, 1024),
    "learning_rate": (1e-8, 1.0),
    "weight_decay": (0.0, 1.0),
    "evaluations": (1, 100),
    "patience": (1, 1000),
    "max_tokens": (8, 131_072),
    "rank": (1, 1024),
    "alpha": (1, 4096),
    "dropout": (0.0, 0.9),
    "kept": (0.5, 1.0),
    "scale": (1.0, 100.0),
    "vocabulary": (256, 200_000),
    "layers": (1, 96),
    "width": (16, 16_384),
    "heads": (1, 128),
    "negatives": (1, 64),
    "beta": (0.001, 10.0),
}  # what a setting of this name may be, in any recipe


@dataclass(frozen=True, slots=True)
class Recipe:
    """``needs`` says what kind of base it begins with, ``settings`` what may be changed."""

    name: str
    kind: Kind
    module: str
    method: str
    needs: Needs | None
    settings: Mapping[str, int | float]

    def with_settings(self, given: Mapping[str, str]) -> Recipe:
        """The recipe with settings changed, each checked.

        Raises:
            UnknownName: the recipe has no such setting; names those it has.
            InputError: (reason ``bad_value``) not a number, or out of its range.
        """
        settings = dict(self.settings)
        for name, text in given.items():
            if name not in settings:
                raise UnknownName(kind="setting", value=name, allowed=", ".join(settings))
            settings[name] = _number(name, text, type(settings[name]))
        return replace(self, settings=settings)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a recipe's ``train`` is given."""

    folder: Path
    recipe: Recipe
    splits: Splits
    base: Base | None
    embedding: str  # the embedding model's name, for a recipe that needs one
    app: Settings
    session: Session

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def start(self) -> Path:
        """The folder of the base model."""
        if self.base is None:
            raise ValueError(f"the recipe {self.recipe.name} begins with no model of torch")
        return self.base.folder


def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    return {name: recipe(name) for name in _names()}


@cache
def recipe(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        UnknownName: there is none.
    """
    if name not in _names():
        raise UnknownName(kind="recipe", value=name, allowed=", ".join(_names()))
    told = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return Recipe(name, cast("Kind", told["kind"]), told["module"], told["method"], told.get("needs"), told["settings"])


def trainer(found: Recipe) -> Callable[[Plan], dict[str, Any]]:
    """The recipe's ``train``."""
    train: Callable[[Plan], dict[str, Any]] = import_module(f"core.training.recipes.{found.module}").train
    return train


def _names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _number(name: str, text: str, kind: type) -> int | float:
    low, high = LIMITS[name]
    wrong = InputError(reason="bad_value", name=name, value=text, allowed=Phrase(f"allowed.{kind.__name__}_range", low=low, high=high))  # fmt: skip
    try:
        value = kind(text)
    except ValueError as error:
        raise wrong from error
    if not low <= value <= high:
        raise wrong
    return cast("int | float", value)
