"""Exact match and F1 of answer texts."""

from __future__ import annotations

import pytest

from core.evaluation import spans


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("Paris", ["Paris"], 1.0, 1.0),
        ("the Paris.", ["paris"], 1.0, 1.0),
        ("in Paris", ["Paris"], 0.0, 2 / 3),
        ("a red, red rose", ["red red red rose"], 0.0, 2 * 3 / (3 + 4)),
        ("London", ["Paris", "london"], 1.0, 1.0),
        ("", ["Paris"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("The", [], 1.0, 1.0),  # nothing is left of it
        ("Paris", [], 0.0, 0.0),
        ("42", ["42.0"], 0.0, 0.0),
    ],
)
def test_squad(prediction: str, answers: list[str], exact: float, f1: float) -> None:
    assert spans.squad_exact_match(prediction, answers) == exact
    assert spans.squad_f1(prediction, answers) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("北京", ["北京"], 1.0, 1.0),
        ("“北京”。", ["北京"], 1.0, 1.0),
        ("北京市", ["北京"], 0.0, 2 * 2 / 5),
        ("北大京城", ["北京"], 0.0, 2 * 1 / 6),  # a run counts, not a bag: only one character in a row is shared
        ("NBA总冠军", ["nba总冠军"], 1.0, 1.0),
        ("1987年5月", ["1987年"], 0.0, 2 * 2 / 6),
        ("上海", ["北京", "上海"], 1.0, 1.0),
        ("", [], 1.0, 1.0),
        ("北京", [], 0.0, 0.0),
        ("……", ["…"], 0.0, 1 * 2 / 3),  # the ellipsis is not among the dropped characters
    ],
)
def test_cmrc(prediction: str, answers: list[str], exact: float, f1: float) -> None:
    assert spans.cmrc_exact_match(prediction, answers) == exact
    assert spans.cmrc_f1(prediction, answers) == pytest.approx(f1)


def test_the_language_chooses_the_definition() -> None:
    assert spans.f1("北京市", ["北京"], "zh") > spans.f1("北京市", ["北京"], "en") == 0.0
    assert spans.exact_match("the cat", ["cat"], "en") == 1.0
    assert spans.exact_match("the cat", ["cat"], "zh") == 0.0


@pytest.mark.parametrize(
    ("text", "answer", "held"),
    [
        ("营业时间为 9:00 至 18:00。", "9:00至18:00", 1.0),
        ("该片于1987 年 5月上映", "1987年5月", 1.0),
        ("Open from 9 to 5.", "from 9  to 5", 1.0),
        ("Article 12 applies.", "2", 0.0),
        ("Model KT-210 only", "kt-210", 1.0),
        ("Model KT-2100 only", "KT-210", 0.0),
        ("价格是299元", "299", 1.0),
        ("a party", "art", 0.0),
        ("anything", "", 0.0),
    ],
)
def test_a_sentence_holds_an_answer_as_whole_words(text: str, answer: str, held: float) -> None:
    assert spans.holds(["nothing here", text], [answer]) == held


def test_no_text_holds_nothing() -> None:
    assert spans.holds([], ["x"]) == 0.0
