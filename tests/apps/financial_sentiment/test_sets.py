"""The frozen Chinese set, and the readers of FiQA, FinNSP and FinESE on files of their form."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from apps.financial_sentiment import companies, evaluate, public, sketches, zh_rows
from core.errors import InputError


def test_the_chinese_test_set_is_frozen_and_apart_from_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = zh_rows.test_rows()
    texts = {row.text for row in rows}
    assert len(texts) >= 200
    assert min(Counter(row.label for row in rows).values()) >= 60
    assert sum(row.conflicting for row in rows) >= 20
    learned = (*zh_rows.rows(), *zh_rows.forum_rows(), *zh_rows.lender_rows(), *zh_rows.later_rows())
    trained = {row.text for row in learned}
    assert max(sketches.likeness(text, other) for text in texts for other in trained) < sketches.LIKE
    known = companies.shipped()
    assert not {row.entity for row in rows} & {name for c in known.companies.values() for name, _ in c.names}
    changed = tmp_path / "zh_test.txt"
    changed.write_text(zh_rows.TEST_FILE.read_text("utf-8").replace("[=", "[+", 1), "utf-8")
    monkeypatch.setattr(zh_rows, "TEST_FILE", changed)
    with pytest.raises(InputError) as caught:
        zh_rows.test_rows()
    assert caught.value.reason == "data_mismatch"


def test_the_chinese_set_beats_lexicon_and_majority() -> None:
    majority, lexicon, _, words = evaluate.measure("zh", Path(), "test", heads=["words"], vectors=None)
    assert words.figures["accuracy"].low > lexicon.figures["accuracy"].high > majority.figures["accuracy"].high
    assert words.figures["conflicting"].value > 0.5
    with pytest.raises(InputError):
        evaluate.measure("zh", Path(), "validation", heads=["words"], vectors=None)


def test_fiqa_takes_the_target_where_one_is_named_and_leaks_nothing(tmp_path: Path) -> None:
    for part, rows in (
        (
            "train",
            [("Alpha shares sink", "Negative"), ("Both Alpha and Beta gain", "Positive"), ("Seen twice", "Neutral")],
        ),
        ("valid", [("Seen twice", "Neutral")]),
        ("test", [("Beta wins", "Positive"), ("Seen twice", "Neutral")]),
    ):
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (tmp_path / f"pixiu_fiqasa_{part}.jsonl").write_text("\n".join(lines), "utf-8")
    told = {"1": {"sentence": "Alpha shares sink", "info": [{"target": "Alpha"}]},
            "2": {"sentence": "Both Alpha and Beta gain", "info": [{"target": "Alpha"}, {"target": "Beta"}]}}  # fmt: skip
    for name in ("headline_ABSA_train", "headline_ABSA_test", "post_ABSA_train", "post_ABSA_test"):
        told_of = told if name == "headline_ABSA_train" else {}
        (tmp_path / f"task1_{name}.json").write_text(json.dumps(told_of), "utf-8")
    split = public.fiqa(tmp_path)
    assert [(r.entity, r.label) for r in split.train] == [("Alpha", "negative"), ("", "positive")]
    assert split.train[0].masked.whole.startswith("xtargetx")
    assert split.validation == ()
    assert [r.text for r in split.test] == ["Beta wins", "Seen twice"]


def test_finnsp_and_finese_are_read(tmp_path: Path) -> None:
    head = ["id", "title", "text", "entity", "negative", "key_entity"]
    (tmp_path / "finnsp_train.json").write_text(
        json.dumps([head, ["a", "标题", "正文", "甲", "1", "甲"], ["b", "同", "同", "乙", "0", ""]]), "utf-8"
    )
    (tmp_path / "finnsp_eval.json").write_text(json.dumps([["c", "", "正文", "甲", "1", "甲"]]), "utf-8")
    split = public.finnsp(tmp_path)
    assert {(r.text, r.label) for r in (*split.train, *split.validation)} == {
        ("标题\n正文", "negative"),
        ("同", "neutral"),
    }
    assert [r.label for r in split.test] == ["negative"]
    for part in ("train", "eval"):
        (tmp_path / f"finese_{part}.json").write_text(json.dumps([["1", f"甲退市{part}", "退市", "甲"]]), "utf-8")
    assert [r.label for r in public.finese(tmp_path).test] == ["退市"]


def test_a_system_of_three_labels_on_a_set_of_two() -> None:
    outputs = [evaluate.Output("positive", 0.9), evaluate.Output("negative", 0.8)]
    assert [o.label for o in evaluate._among(("negative", "neutral"), outputs)] == ["neutral", "negative"]
    assert evaluate._among(public.LABELS, outputs) == outputs


def test_copied_posts_of_finfe_are_no_measure(tmp_path: Path) -> None:
    train = [["涨", 2], ["跌", 0], ["跌", 0], ["横盘", 1], ["横盘", 2], ["看不懂", 1]]
    (tmp_path / "finfe_train.json").write_text(json.dumps(train), "utf-8")
    (tmp_path / "finfe_eval.json").write_text(json.dumps([["跌", 0], ["大涨", 2]]), "utf-8")
    split = public.finfe(tmp_path)
    learned = {row.text: (row.label, row.usual) for row in (*split.train, *split.validation)}
    assert learned == {"涨": ("positive", True), "跌": ("negative", False), "看不懂": ("neutral", True)}
    assert "跌" not in {row.text for row in split.validation}
    assert [row.text for row in split.test] == ["大涨"]
    assert [row.text for row in public.finfe(tmp_path, as_published=True).test] == ["跌", "大涨"]
