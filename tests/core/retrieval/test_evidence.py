"""What makes a unit answer a question: what is asked beyond its title, the kind of value, and standing out."""

from __future__ import annotations

import pytest

from core.retrieval import evidence, kinds
from core.retrieval.quotes import chosen_quotes
from core.retrieval.units import units
from core.types import Hit, Passage


def hits(*documents: tuple[str, str]) -> list[Hit]:
    return [
        Hit(Passage(f"p{n}", f"d{n}", text, title, f"{n}.txt", 0, 0, len(text), None, None, "zh"), 1.0 - n / 10)
        for n, (title, text) in enumerate(documents)
    ]


def ranked(question: str, *documents: tuple[str, str]) -> list[evidence.Scored]:
    from core.retrieval import tokens

    ask = evidence.Ask(question, dict.fromkeys(tokens.content_terms(question), 2.0))
    return evidence.rank(ask, [(hit, unit) for hit in hits(*documents) for unit in units(hit.passage)], passages=100)


def test_what_the_title_says_already_does_not_count_as_an_answer() -> None:
    best = ranked(
        "石门大桥的桥塔有多高？",
        ("石门大桥", "石门大桥是一座跨江大桥，石门大桥连接两岸。桥塔高一百二十米，为全省之最。"),
    )
    assert "一百二十米" in best[0].unit.text
    assert best[0].features["beyond"] > best[1].features["beyond"]


@pytest.mark.parametrize(
    ("question", "asked", "gives", "gives_not"),
    [
        ("谁设计了这座桥？", "person", "由李明设计", "桥长五十米"),
        ("为什么推迟开馆？", "reason", "因为设备故障", "明天开馆"),
        ("这座寺庙位于哪里？", "place", "位于城东的山上", "建得很早"),
        ("Why was it closed?", "reason", "It was closed because of rain", "It was closed"),
        ("哪一年建成？", "duration", "建于 1998 年", "很早就建成了"),
        ("多少钱？", "money", "售价 20 元", "很便宜"),
    ],
)
def test_the_kind_of_value_asked_for(question: str, asked: str, gives: str, gives_not: str) -> None:
    assert kinds.asked(question) == (asked,)
    assert kinds.given((asked,), gives) == {asked}
    assert not kinds.given((asked,), gives_not)


def test_confidence_falls_when_nothing_stands_out() -> None:
    question = "石门大桥的桥塔有多高？"
    answer = ("石门大桥", "桥塔高一百二十米。")
    alone = ranked(question, answer, ("水库", "水库今年清淤。"), ("码头", "码头停航。"), ("公路", "公路封闭。"))
    ask = evidence.Ask(question, dict.fromkeys(("石门", "门大", "大桥", "桥塔", "塔有", "高"), 2.0))
    sure = evidence.judge(ask, alone, 100)
    same = ranked(question, *[("石门大桥", "桥塔很高，塔有多层。")] * 6)
    unsure = evidence.judge(ask, same, 100)
    assert sure.features["clear"] > unsure.features["clear"]
    nothing = evidence.judge(ask, ranked(question, ("水库", "水库今年清淤。"), ("码头", "码头停航。")), 100)
    assert nothing.confidence < sure.confidence
    assert evidence.judge(ask, [], 100).confidence == 0.0


def judged(question: str, *documents: tuple[str, str], unknown: str = "") -> evidence.Evidence:
    from core.retrieval import bm25, tokens

    weights = dict.fromkeys(tokens.content_terms(question), 2.0)
    weights |= dict.fromkeys(tokens.tokens(unknown), bm25.idf(0, 100))
    ask = evidence.Ask(question, weights)
    pairs = [(hit, unit) for hit in hits(*documents) for unit in units(hit.passage)]
    return evidence.judge(ask, evidence.rank(ask, pairs, passages=100), 100)


@pytest.mark.parametrize(
    ("question", "text", "lacking"),
    [
        ("水箱能装多少升水？", "水箱在背面，装水前先取下水箱。", 1.0),
        ("水箱能装多少升水？", "水箱能装五升水。", 0.0),
        ("水箱的价格含税吗？", "水箱的价格不含税。", 0.0),
        ("公园面积有多大？", "公园面积约 12 公顷。", 0.0),
    ],
)
def test_a_figure_asked_for_and_not_given_speaks_against_an_answer(question: str, text: str, lacking: float) -> None:
    assert judged(question, ("水箱", text)).features["lacking"] == lacking


def test_a_name_that_the_documents_never_use_speaks_against_an_answer() -> None:
    documents = [("耳机", "这款耳机支持 AAC。"), ("音箱", "音箱支持蓝牙。")]
    assert judged("耳机支持 LDAC 吗", *documents, unknown="LDAC").features["unheard"] == 1.0
    assert judged("耳机支持 AAC 吗", *documents).features["unheard"] == 0.0
    assert evidence.CONFIDENCE["unheard"] < 0 > evidence.CONFIDENCE["lacking"]


def test_beside_a_price_that_was_asked_for_nothing_without_one_is_quoted() -> None:
    documents = [("运费", "退货运费每件 15 元。"), ("运费", "退货运费由买家承担。")]
    best = ranked("退货运费多少钱？", *documents)
    assert best[0].score - best[1].score < 3, "near enough to be quoted otherwise"
    assert [unit.text for _, unit in chosen_quotes(best, set(), "zh")] == ["退货运费每件 15 元。"]
