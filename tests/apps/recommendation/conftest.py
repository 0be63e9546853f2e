"""A small world with a clear taste: readers of sea stories and readers of star stories, a few of both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from apps.recommendation.log import Log
from apps.recommendation.service import Recommender
from core.runtime import Runtime
from core.settings import Settings, override

SEAS, STARS = range(10), range(10, 20)


@pytest.fixture(scope="session")
def log() -> Log:
    """60 people, each with eight of the ten things of one world, in any order."""
    rng = np.random.default_rng(1)
    rows = []
    for person in range(60):
        world = SEAS if person % 2 else STARS
        for step, item in enumerate(rng.choice(list(world), 8, replace=False).tolist()):
            rows.append((person, item, 1e9 + person * 1e5 + step * 60.0))
    user, item, at = zip(*rows, strict=True)
    return Log.of([f"p{i}" for i in range(60)], [f"i{i}" for i in range(20)], user, item, at)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """The sample with the vectors that come with it; tests use people of their own in it."""
    from core.settings import load_settings

    home = tmp_path_factory.mktemp("sample")
    with Runtime(load_settings(home, {"TOUCHSTONE_HOME": str(home / "home"), "TOUCHSTONE_LANG": "en"})) as runtime:
        service = Recommender(runtime)
        service.prepare()
        yield service


@pytest.fixture
def own(settings: Settings) -> Iterator[Recommender]:
    """An empty catalogue called ``own``, over a workspace of the test, without an embedding model."""
    with Runtime(override(settings, models__embedding="scripted:none")) as runtime:
        yield Recommender(runtime, catalogue="own")
