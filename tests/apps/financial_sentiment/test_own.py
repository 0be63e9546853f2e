"""A head of one's own: trained from a file, used only when better, and back again."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from apps.financial_sentiment import Desk, NewsItem, own
from apps.financial_sentiment.companies import shipped
from core.errors import InputError, MissingFile
from tests.apps.financial_sentiment.conftest import NOW
from tests.apps.test_cli import data, folder, touchstone

__all__ = ["folder"]  # the fixture: an empty folder and scripted models

# In this house "zorps" is good news and "quibs" is bad, which no head that ships can know.
WORDS = {"positive": "zorps", "negative": "quibs", "neutral": "flims"}


def labels_file(path: Path, count: int = 120, *, noise: bool = False) -> Path:
    draw = random.Random(3)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "entity", "label"))
        for _ in range(count):
            label = draw.choice(sorted(WORDS))
            name, id_ = draw.choice((("Tesla", "tesla"), ("比亚迪", "byd"), ("Boeing", "Boeing")))
            filler = " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(8))
            said = draw.choice(sorted(WORDS.values())) if noise else WORDS[label]
            writer.writerow((f"{name} {said} {filler}", id_, label))
    return path


def test_a_better_head_is_used_and_can_be_taken_back(desk: Desk, tmp_path: Path) -> None:
    assert desk.head().about["version"] == "words-4"
    made = desk.train(labels_file(tmp_path / "mine.csv"))
    assert made.promoted
    assert made.accuracy > 0.9 > made.current_accuracy
    assert made.against.p < 0.05
    assert desk.head().about["version"] == "own-1"
    (opinion,) = desk.analyze("Nvidia zorps in the afternoon")
    assert opinion.label == "positive", "it learned the word, not the names"

    again = desk.train(labels_file(tmp_path / "mine.csv"))
    assert (again.number, again.promoted) == (2, False), "no better than the one in use"
    assert desk.head().about["version"] == "own-1"
    own.use(desk.heads, None)
    assert desk.head().about["version"] == "words-4"
    own.use(desk.heads, 2)
    assert Desk(desk.runtime).head().about["version"] == "own-2", "also after a new start"
    with pytest.raises(MissingFile):
        own.use(desk.heads, 9)


def test_noise_is_not_promoted_unless_forced(desk: Desk, tmp_path: Path) -> None:
    path = labels_file(tmp_path / "noise.csv", noise=True)
    assert not desk.train(path).promoted
    assert desk.train(path, force=True).promoted


def test_the_news_is_judged_again_by_the_head_in_use(desk: Desk, tmp_path: Path) -> None:
    desk.add([NewsItem("Tesla quibs badly", seen_at=NOW, published_at=NOW)])
    desk.train(labels_file(tmp_path / "mine.csv"))
    assert desk.judge() == 1
    assert desk.reported("tesla", at=NOW)[0].mood.label == "negative"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("text,kind\na,b\n", "data_column"),
        ("text,label\nTesla up,great\n", "bad_value"),
        ("text,label\n" + "Tesla up,positive\n" * 50, "bad_value"),
        ("text,label\nTesla up,positive\nTesla down,negative\n", "bad_value"),
    ],
)
def test_files_that_teach_nothing_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError) as caught:
        own.read(path, shipped())
    assert caught.value.reason == reason
    with pytest.raises(MissingFile):
        own.read(tmp_path / "none.csv", shipped())


def test_the_command(folder: Path) -> None:
    path = labels_file(folder / "mine.csv")
    told = data(touchstone("train", "sentiment", str(path), "--json"))
    assert told["promoted"]
    assert told["number"] == 1
    (found,) = data(touchstone("sentiment", "Tesla quibs", "--json"))["texts"]
    assert found["companies"][0]["label"] == "negative"
    assert data(touchstone("train", "sentiment", "--use", "0", "--json"))["in_use"] == "words-4"
    assert touchstone("train", "sentiment").exit_code == 2


def test_with_vectors_a_head_of_ones_own_starts_from_the_shipped_one(desk: Desk, tmp_path: Path) -> None:
    rows = own.read(labels_file(tmp_path / "mine.csv"), shipped())
    vectors = np.random.default_rng(0).standard_normal((len(rows), 8)).astype(np.float32)
    made = own.train(rows, desk.heads, desk.head(), vectors, embedding="e", force=True)
    head = own.in_use(desk.heads)
    assert head is not None
    assert (head.embedding, head.about["version"]) == ("e", f"own-{made.number}")
    assert head.near is not None
    assert head.before is not None
    assert head.before.about["version"] == "words-4", "no shipped head was made with this model"
