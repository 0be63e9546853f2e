"""``touchstone train``: a file becomes a model that serves, step by step, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.apps.test_cli import folder, touchstone
from tests.core.training.conftest import rows, table

__all__ = ["folder"]  # the fixture: an empty folder and scripted models


def data(*arguments: str) -> dict[str, Any]:
    done = touchstone(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def headlines(folder: Path) -> Path:
    return table(folder / "headlines.csv", rows())


def test_from_a_file_to_a_model_that_serves_and_back(
    folder: Path, headlines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = data("train", "head", str(headlines), "--out", "stock")
    assert made["version"] == 1
    assert made["figures"]["trained:stock@1"]["accuracy"] == 1.0
    assert "tfidf+svm" in made["figures"]
    promoted = data("train", "promote", "stock")
    assert (promoted["promoted"], promoted["against"]) == (True, "tfidf+svm")
    data("train", "head", str(headlines), "--out", "stock", "--seed", "4", "--set", "kept=0.9")
    listed = data("train", "list")["models"]
    assert [(row["version"], row["state"]) for row in listed] == [(1, "serving"), (2, "finished")]
    monkeypatch.setattr("core.training.promotion.LEAST", 1000)  # more rows than there are to compare on
    assert touchstone("train", "promote", "stock").exit_code == 6
    forced = touchstone("train", "promote", "stock", "--force").output
    assert "version 2 now, without a comparison" in forced
    assert "±" not in forced
    assert data("train", "rollback", "stock") == {"name": "stock", "version": 1}
    assert data("train", "export", "stock", "out")["version"] == 1
    assert (folder / "out" / "head.json").is_file()


def test_what_people_read(headlines: Path) -> None:
    done = touchstone("train", "head", str(headlines), "-o", "stock")
    assert done.exit_code == 0, done.output
    for said in ("120 rows, 120 can be used", "Nothing to complain about", "accuracy", "tfidf+svm", "touchstone train promote stock"):  # fmt: skip
        assert said in done.output
    assert "trained:stock is version 1 now" in touchstone("train", "promote", "stock").output
    assert "serves" in touchstone("train", "list").output
    why = touchstone("train", "explain", "stock", "Acme stock soars")
    assert "good (" in why.output
    assert "soars" in why.output
    chinese = touchstone("train", "list", TOUCHSTONE_LANG="zh")
    assert "在用" in chinese.output
    assert "分类器" in touchstone("train", "--help", TOUCHSTONE_LANG="zh").output


def test_a_check_tells_what_is_wrong_with_an_exit_code(folder: Path, headlines: Path) -> None:
    assert data("train", "check", str(headlines))["ok"] is True
    broken = table(folder / "broken.csv", [(text, "same") for text, _ in rows()] + [("no label", "")])
    done = touchstone("train", "check", str(broken), "--json")
    assert done.exit_code == 1
    assert {f["code"] for f in json.loads(done.stdout)["findings"]} == {"one_class", "missing_label"}
    assert "There is only one label (same)" in touchstone("train", "check", str(broken)).output
    refused = touchstone("train", "head", str(broken), "--out", "stock", "--json")
    assert refused.exit_code == 6
    assert json.loads(refused.stdout)["error"]["code"] == "input.training_data"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("head", "nowhere.csv", "--out", "stock"), 3, "nowhere.csv"),
        (("head", "headlines.csv", "--out", "stock", "--set", "rank=3"), 3, "kept"),
        (("head", "headlines.csv", "--out", "stock", "--set", "kept"), 6, "NAME=VALUE"),
        (("head", "headlines.csv", "--out", "a/b"), 6, "letters"),
        (("lora", "headlines.csv", "--out", "stock"), 6, "--base"),
        (("check", "headlines.csv", "--kind", "poems"), 6, "pairs"),
        (("head", "headlines.csv", "--out", "stock", "--column", "text=headline"), 6, "text, label"),
        (("promote", "stock"), 6, "stock"),
        (("rollback", "stock"), 6, "stock"),
        (("explain", "stock", "text"), 6, "stock"),
        (("export", "stock", "out"), 6, "stock"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_say_what_to_do(headlines: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = touchstone("train", *arguments)
    assert (done.exit_code, "Traceback" in done.output) == (code, False), done.output
    assert said in done.output


def test_aids_tell_what_they_leave_out_and_write_no_empty_file(folder: Path, headlines: Path) -> None:
    table(folder / "gaps.csv", [*rows(), ("no label", "")])
    done = touchstone("train", "few", "gaps.csv", "--per-label", "2", "--out", "new/few.csv")
    assert done.exit_code == 0, done.output
    assert "gaps.csv:122" in done.output
    assert len((folder / "new" / "few.csv").read_text("utf-8").splitlines()) == 7
    table(folder / "bare.csv", [("no label", "")])
    (folder / "mixed.csv").write_bytes("text,label\n退货,a\n".encode() + "退款,b\n".encode("gb18030"))
    for file, code in (("bare.csv", "input.no_rows"), ("mixed.csv", "input.training_data")):
        done = touchstone("train", "augment", file, "--out", "more.csv", "--json")
        assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (6, code)
    assert not (folder / "more.csv").exists()


def test_rows_that_look_mislabeled_are_told_and_written(folder: Path) -> None:
    text, label = rows()[5]
    given = [*rows(), ("=alone", "once")]
    given[5] = (text, wrong := next(other for _, other in rows() if other != label))
    table(folder / "some.csv", given)
    found = data("train", "suspects", "some.csv", "--out", "new/doubtful.csv")
    assert (found["rows"], found["lone"]) == (len(given), 1)
    row = found["suspects"][0]
    assert (row["where"], row["text"], row["label"], row["other"]) == ("some.csv:7", text, wrong, label)
    assert "some.csv:7" in (folder / "new" / "doubtful.csv").read_text("utf-8").splitlines()[1]
    done = touchstone("train", "suspects", "some.csv", "--top", "1", TOUCHSTONE_LANG="zh")
    assert "行看起来标错" in done.output
    assert text in done.output


def test_a_gate_that_closes_is_an_exit_code(folder: Path, headlines: Path) -> None:
    data("train", "head", str(headlines), "--out", "stock")
    data("train", "promote", "stock")
    labels = {"good": "bad", "bad": "flat", "flat": "good"}
    table(folder / "wrong.csv", [(f"{text} again", labels[label]) for text, label in rows()])
    table(folder / "right.csv", [(text.replace("report", "call"), label) for text, label in rows()])
    data("train", "head", "wrong.csv", "--out", "stock", "--test", "right.csv")
    done = touchstone("train", "promote", "stock")
    assert done.exit_code == 1
    assert "significantly worse than trained:stock@1" in done.output
    assert [row["state"] for row in data("train", "list")["models"]] == ["serving", "finished"]


def test_negatives_come_from_ones_own_documents(folder: Path) -> None:
    (folder / "docs").mkdir()
    for name, text in {
        "returns": "A kettle can be returned within 30 days.",
        "care": "A kettle is cleaned with vinegar every month.",
        "price": "A kettle costs 39 pounds in the shop.",
    }.items():
        (folder / "docs" / f"{name}.md").write_text(text, "utf-8")
    assert touchstone("index", "docs").exit_code == 0
    pairs = table(folder / "pairs.csv", [("how long can a kettle be returned", "A kettle can be returned within 30 days.")], "anchor,positive")  # fmt: skip
    made = data("train", "negatives", str(pairs), "--out", "triples.jsonl", "--count", "2")
    assert (made["rows"], made["negatives"]) == (1, 2)
    (row,) = map(json.loads, (folder / "triples.jsonl").read_text("utf-8").splitlines())
    assert all("30 days" not in text for text in row["negatives"])
    assert {"vinegar", "39"} == {word for word in ("vinegar", "39") for text in row["negatives"] if word in text}
    none = touchstone("train", "negatives", str(pairs), "--out", "more.jsonl", "--collection", "nowhere")
    assert none.exit_code != 0
    assert "nowhere" in none.output


def test_pieces_are_asked_of_models_that_find_them(headlines: Path) -> None:
    data("train", "head", str(headlines), "--out", "stock")
    refused = touchstone("train", "extract", "stock", "Acme stock soars")
    assert refused.exit_code != 0
    assert "entities is needed here" in refused.output
