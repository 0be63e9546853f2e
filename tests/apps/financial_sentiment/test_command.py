"""``touchstone sentiment`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.apps.test_cli import data, folder, touchstone

__all__ = ["folder"]  # the fixture: an empty folder and scripted models


@pytest.mark.usefixtures("folder")
def test_a_text_as_data_and_for_people() -> None:
    text = "比亚迪销量大增，股价创新高；Boeing shares plunge after recall"
    (found,) = data(touchstone("sentiment", text, "--json"))["texts"]
    assert [(c["id"], c["label"]) for c in found["companies"]] == [("byd", "positive"), ("boeing", "negative")]
    assert found["companies"][1]["events"] == ["product_safety"]
    shown = touchstone("sentiment", text, TOUCHSTONE_LANG="zh").stdout
    assert "比亚迪" in shown
    assert "波音" in shown
    assert "产品安全" in shown


def test_a_file_with_a_bad_row(folder: Path) -> None:
    (folder / "news.csv").write_text("title,published\nTesla shares sink,2026-03-01\nx,soon\n", "utf-8")
    result = touchstone("sentiment", "--file", str(folder / "news.csv"), "--json")
    assert result.exit_code == 0
    told = data(result)
    assert [c["id"] for text in told["texts"] for c in text["companies"]] == ["tesla"]
    assert [row["where"] for row in told["refused"]] == ["news.csv:2"]
    assert "news.csv:2" in touchstone("sentiment", "--file", str(folder / "news.csv")).stderr


@pytest.mark.parametrize("arguments", [["  "], ["--file", "none.csv"], ["--file", "bad.exe"]])
def test_what_is_refused(folder: Path, arguments: list[str]) -> None:
    (folder / "bad.exe").write_bytes(b"MZ")
    assert touchstone("sentiment", *arguments).exit_code in (3, 6)


@pytest.mark.usefixtures("folder")
def test_a_text_without_a_company_says_so() -> None:
    assert "company" in touchstone("sentiment", "Nothing happened today").stdout


def test_a_folder_is_watched_and_alerts_are_told_once(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a.csv").write_text("title\nTesla recalls cars, shares plunge\n", "utf-8")
    (folder / "in" / "b.csv").write_text("name\nx\n", "utf-8")
    first = touchstone("sentiment", "--watch", str(folder / "in"), "--once")
    assert first.exit_code == 0, first.stderr
    assert "! Tesla: risk event: product safety" in first.stdout
    assert "a.csv: 1 new" in first.stdout
    assert "b.csv" in first.stderr
    assert touchstone("sentiment", "--watch", str(folder / "in"), "--once").stdout == ""
    (folder / "in" / "c.txt").write_text("Nvidia faces fraud probe", "utf-8")
    lines = [
        json.loads(line)
        for line in _documents(touchstone("sentiment", "-w", str(folder / "in"), "--once", "--json").stdout)
    ]
    assert [next(iter(line)) for line in lines] == ["file", "notice"]


@pytest.mark.usefixtures("folder")
def test_a_feed_is_followed_and_one_that_is_refused_says_so() -> None:
    made = touchstone("sentiment", "--watch", "http://127.0.0.1:9/feed", "--once")
    assert made.exit_code == 1
    assert "127.0.0.1" in made.stderr
    assert "http://127.0.0.1:9/feed: 0 items so far" in made.stdout


def _documents(text: str) -> list[str]:
    return [f"{{{part}" if number else part for number, part in enumerate(text.strip().split("\n{"))]


@pytest.mark.usefixtures("folder")
def test_watching_what_is_not_there_or_a_text_too() -> None:
    assert touchstone("sentiment", "--watch", "nowhere", "--once").exit_code == 3
    assert touchstone("sentiment", "Tesla", "--watch", ".", "--once").exit_code == 2
