"""What was learnt from the same data is not learnt again; of anything else it is of no use."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from apps.recommendation import fusion, lesson
from apps.recommendation.diversity import fame
from apps.recommendation.exposure import exposure
from apps.recommendation.log import Log
from apps.recommendation.service import Recommender
from core.runtime import Runtime


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that weights are learnt."""
    times: list[int] = []
    learnt = fusion._learnt

    def counted(*args: object, **named: object) -> object:
        times.append(1)
        return learnt(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(fusion, "_learnt", counted)
    return times


def files(folder: Path, log: Log) -> tuple[Path, Path]:
    items, events = folder / "items.csv", folder / "events.csv"
    items.write_text("id,title\n" + "".join(f"{id_},Thing {id_}\n" for id_ in log.items), "utf-8")
    rows = zip(log.user.tolist(), log.item.tolist(), log.at.tolist(), strict=True)
    events.write_text("user,item,timestamp\n" + "".join(f"p{u},i{i},{at:.0f}\n" for u, i, at in rows), "utf-8")
    return items, events


def shown(service: Recommender) -> list[str]:
    return [pick.item.id for pick in service.recommend("p1", n=8).picks]


def kept_in(runtime: Runtime) -> Path:
    (file,) = (runtime.workspace.folder / "recommendation").iterdir()
    return file


def test_the_next_process_reads_what_was_learnt(
    own: Recommender, log: Log, tmp_path: Path, learning: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    own.import_files(*files(tmp_path, log))
    first = shown(own)
    assert len(learning) == 1
    again = Recommender(own.runtime, catalogue="own")
    assert shown(again) == first
    assert again.catalogue().fused.weights == own.catalogue().fused.weights
    assert again.catalogue().standing.seldom.tolist() == own.catalogue().standing.seldom.tolist()
    assert len(learning) == 1

    kept_in(own.runtime).write_bytes(b"PK damaged")
    with caplog.at_level(logging.WARNING):
        Recommender(own.runtime, catalogue="own").catalogue()
    assert "learning anew" in caplog.text
    assert len(learning) == 2

    again.tell("p1", "i19", "like")
    again.fit()
    assert len(learning) == 3, "of other events"


def test_a_folder_that_cannot_be_written_costs_time_only(
    own: Recommender, log: Log, tmp_path: Path, learning: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    own.import_files(*files(tmp_path, log))
    (own.runtime.workspace.folder / "recommendation").write_text("a file where the folder should be", "utf-8")
    with caplog.at_level(logging.WARNING):
        assert shown(own)
    assert "cannot be written" in caplog.text
    assert len(learning) == 1


def test_a_lesson_is_of_its_data_alone(log: Log) -> None:
    vectors, numbers = np.ones((20, 2), np.float32), np.zeros(20)
    same = lesson.digest(log, vectors, numbers)
    assert same == lesson.digest(log.kept(np.ones(len(log), bool)), vectors.copy(), numbers.copy())
    others = [
        lesson.digest(log.kept(log.user > 0), vectors, numbers),
        lesson.digest(log, None, numbers),
        lesson.digest(log, 2 * vectors, numbers),
        lesson.digest(log, vectors, numbers + 1),
    ]
    assert len({same, *others}) == 5


def test_the_lesson_that_comes_with_the_sample_is_what_it_teaches(sample: Recommender, learning: list[int]) -> None:
    found = sample.catalogue()
    anew = "write it anew: python -m apps.recommendation.sample --lesson"
    assert not learning, anew
    numbers = np.array([np.nan if item.year is None else item.year for item in found.items], dtype=float)
    fused = fusion.fit(found.fused.log, vectors=found.vectors, numbers=numbers)
    assert len(learning) == 1
    changed = f"raise lesson.VERSION, or what workspaces kept stays in use, and {anew}"
    assert dict(fused.weights) == pytest.approx(dict(found.fused.weights), abs=0.01), changed
    assert 1 / (1 + exposure(fused, fame(found.counts))) == pytest.approx(found.standing.seldom, abs=0.05), changed
