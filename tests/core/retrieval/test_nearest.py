"""Which documents a refusal names."""

from __future__ import annotations

import pytest

from core.retrieval import tokens
from core.retrieval.evidence import Ask, Scored
from core.retrieval.nearest import nearest
from core.retrieval.units import Unit
from core.types import Hit, Passage

PASSAGES = 100
QUESTION = "苏东坡是哪个朝代的人？"
ASK = Ask(QUESTION, dict.fromkeys(tokens.content_terms(QUESTION), 4.0))


def weighed(document: str, text: str, score: float = 5.0, language: str = "zh", **features: float) -> Scored:
    passage = Passage(document, document, text, document, f"{document}.md", 0, 0, len(text), None, None, language)  # type: ignore[arg-type]
    unit = Unit(passage, 0, 0, len(text), text, text, "sentence")
    return Scored(unit, Hit(passage, 1.0), score, {"code": 0.0, "words": 0.0, **features})


def named(ask: Ask, *ranked: Scored) -> list[str]:
    return [scored.unit.shown for scored in nearest(ask, ranked, PASSAGES)]


def test_a_document_is_named_by_its_best_unit() -> None:
    """And not by the first that repeats the question's words: one often leaves out what its document is about."""
    best = weighed("文人", "北宋人，一生多次遭贬。", meaning=0.3)
    repeats = weighed("文人", "苏东坡疏浚西湖。", 4.0, meaning=0.9)
    other = weighed("水壶", "首次使用前请煮沸清水。", 4.5, meaning=0.2)
    assert named(ASK, best, other, repeats) == ["北宋人，一生多次遭贬。"]


@pytest.mark.parametrize(
    ("text", "meaning", "near"),
    [
        ("苏东坡疏浚西湖。", 0.9, True),
        ("苏东坡疏浚西湖。", 0.1, False),  # a word by chance
        ("首次使用前请煮沸清水。", 0.9, False),  # meaning alone: something is always the nearest
    ],
)
def test_meaning_and_words_together_tell(text: str, meaning: float, near: bool) -> None:
    assert bool(named(ASK, weighed("甲", text, meaning=meaning))) is near


@pytest.mark.parametrize(
    ("title", "near"),
    [("苏东坡传", True), ("西湖", False), ("杭州西湖十景及苏堤、白堤的来历与朝代", False)],
)
def test_a_title_that_names_what_is_asked_about_asks_less_of_the_rest(title: str, near: bool) -> None:
    """Not one that shares a word with the question by chance."""
    assert bool(named(ASK, weighed(title, "北宋人，一生多次遭贬。", meaning=0.5))) is near


def test_a_product_that_is_asked_about_is_near_whatever_is_said_of_it() -> None:
    assert named(ASK, weighed("甲", "KT-210 有四个温度档。", meaning=0.0, code=1.0))
    assert not named(ASK, weighed("甲", "KT-310 有四个温度档。", meaning=0.0, code=-1.0))


def test_what_lies_far_behind_the_first_is_not_named_beside_it() -> None:
    first = weighed("甲", "苏东坡疏浚西湖。", 9.0, meaning=1.0)
    close = weighed("乙", "苏东坡酿酒煮茶。", 6.5, meaning=1.0)
    behind = weighed("丙", "苏东坡的字不传。", 5.9, meaning=1.0)
    assert named(ASK, first, close, behind) == ["苏东坡疏浚西湖。", "苏东坡酿酒煮茶。"]


def test_across_languages_meaning_alone_must_do() -> None:
    assert named(ASK, weighed("a", "A poet of the Northern Song.", language="en", meaning=1.3))
    assert not named(ASK, weighed("a", "A poet of the Northern Song.", language="en", meaning=1.1))


def test_without_an_embedding_model_half_of_the_words_are_asked_for() -> None:
    assert named(ASK, weighed("甲", "苏东坡所处的朝代重文。", words=0.67))
    assert not named(ASK, weighed("甲", "历经几个朝代。", words=0.33))
