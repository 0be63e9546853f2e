"""``touchstone evaluate sentiment``: figures on a file of one's own, in each of its three ways."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app
from apps.financial_sentiment import analysis, companies, evaluate_file
from apps.financial_sentiment.evaluate_file import read
from core.errors import InputError
from core.evaluation import results

GOOD = ("利润大增", "中标大单", "股价涨停", "上调指引", "获批上市", "扭亏为盈", "回购股份", "评级上调")
BAD = ("利润大降", "丢掉大单", "股价跌停", "下调指引", "被罚停产", "由盈转亏", "债券违约", "评级下调")
NAMES = ("甲公司", "乙公司", "丙公司", "丁公司", "戊公司", "己公司", "庚公司")


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    monkeypatch.setenv("TOUCHSTONE_CHAT", "scripted:demo")
    monkeypatch.setattr(results, "figures", partial(results.figures, resamples=100))  # wide intervals, at once


def table(path: Path, rows: Iterable[tuple[str, ...]], columns: tuple[str, ...] = ("text", "label", "entity")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def rows(names: Iterable[str] = NAMES) -> list[tuple[str, str, str]]:
    found = []
    for name in names:
        found += [(f"{name}今日公告{said}，引起关注", "正面", name) for said in GOOD]
        found += [(f"{name}今日公告{said}，引起关注", "bearish", name) for said in BAD]
    return found


def evaluated(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", "sentiment", *map(str, arguments)])


def test_the_head_as_it_is_and_one_trained_and_folds(tmp_path: Path) -> None:
    test, train = (
        table(tmp_path / "test.csv", rows()),
        table(tmp_path / "train.csv", rows(["辛公司", "壬公司", "癸公司"])),
    )
    done = evaluated("--data", test, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    head = told[str(analysis.shipped("words").about["version"])]
    assert set(head) == {"accuracy", "weighted_f1", "macro_f1", "ece", "accuracy_at_80"}
    assert told["majority"]["accuracy"] == 0.5
    assert head["accuracy"] > 0.8

    for given in (("--train", train), ("--folds", 2)):
        done = evaluated("--data", test, *given, "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert set(told) == {"majority", "lexicon", "tfidf+svm", "words", "intervals"}
        assert told["words"]["accuracy"] > told["majority"]["accuracy"] + 0.15, given


def test_folds_with_times_learn_nothing_that_came_later(tmp_path: Path) -> None:
    listed = [(*row, f"2026-03-{1 + n % 16:02}") for n, row in enumerate(rows())]
    data = read(table(tmp_path / "a.csv", listed, ("text", "label", "entity", "published")), companies.shipped())
    made = evaluate_file._splits(data, 4)
    assert len(made) == 4
    for inside, outside in made:
        assert max(data.times[i] for i in inside) < min(data.times[i] for i in outside)
    judged = [i for _, outside in made for i in outside]
    assert len(judged) == len(set(judged)) == len(listed) - len(listed) // 5


def test_folds_keep_what_is_alike_together_and_judge_every_row_once(tmp_path: Path) -> None:
    listed = rows()
    copied = [*listed, *((f"{text}。", label, name) for text, label, name in listed)]
    data = read(table(tmp_path / "a.csv", copied), companies.shipped())
    made = evaluate_file._splits(data, 3)
    assert sorted(i for _, outside in made for i in outside) == list(range(len(copied)))
    for inside, outside in made:
        assert not {data.rows[i].group for i in inside} & {data.rows[i].group for i in outside}


def test_a_text_to_be_tested_is_not_learned_from(tmp_path: Path) -> None:
    data = read(table(tmp_path / "a.csv", rows()), companies.shipped())
    with pytest.raises(InputError) as caught:
        evaluate_file.trained("words", data, data, lambda rows: rows)  # type: ignore[arg-type, return-value]
    assert caught.value.reason == "bad_value", "nothing is left"


@pytest.mark.parametrize(
    ("listed", "columns", "words"),
    [
        ([("涨", "great")], ("text", "label"), "great"),
        ([("涨", "1"), ("大涨", "1")], ("text", "label"), "positive"),
        ([("涨", "1")], ("title", "label"), "text"),
        ([("涨", "1", "someday"), ("跌", "-1", "")], ("text", "label", "published"), "someday"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, listed: list[tuple[str, ...]], columns: tuple[str, ...], words: str
) -> None:
    done = evaluated("--data", table(tmp_path / "a.csv", listed, columns))
    assert done.exit_code == 6
    assert words in " ".join(done.output.split())


def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", rows())
    assert evaluated("--data", path, "--train", path, "--folds", 3).exit_code == 6
    assert evaluated("--data", path, "--head", "big").exit_code == 6
