"""Small talk is told from questions, and follow-ups are completed, in both languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.customer_service.dialog import language_in, small_talk, standalone, without_courtesy

SAMPLE = Path(__file__).parents[3] / "apps" / "customer_service" / "sample"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("你好", "greeting"),
        ("您好！", "greeting"),
        ("你好呀~", "greeting"),
        ("在吗？", "greeting"),
        ("早上好，你好", "greeting"),
        ("Hi", "greeting"),
        ("hello there!", "greeting"),
        ("Good morning", "greeting"),
        ("谢谢", "thanks"),
        ("好的，谢谢你", "thanks"),
        ("非常感谢您的帮助！", "thanks"),
        ("Thanks a lot!", "thanks"),
        ("ok thank you so much for your help", "thanks"),
        ("明白了", "thanks"),
        ("谢谢，没事了", "thanks"),
        ("👍👍", "thanks"),
        ("？？？", "wordless"),
        ("😡", "wordless"),
        ("没有别的问题了", "thanks"),
        ("That's all for now, thanks", "thanks"),
        ("再见", "farewell"),
        ("谢谢，再见！", "farewell"),
        ("Bye bye", "farewell"),
        ("你是谁？", "identity"),
        ("你好，你是机器人吗", "identity"),
        ("Are you a bot?", "identity"),
        ("What's your name?", "identity"),
        ("你能做什么", "abilities"),
        ("Hi, what can you do?", "abilities"),
        ("help", "abilities"),
        ("请用英文回答", "language"),
        ("你好，能说中文吗？", "language"),
        ("please reply in Chinese, thanks", "language"),
        ("English please", "language"),
        ("I’d like you to answer in Chinese", "language"),
    ],
)
def test_small_talk(text: str, kind: str) -> None:
    assert small_talk(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "你好，KT-210 能退吗？",
        "谢谢，那保修多久",
        "hi can I return my kettle",
        "礼品卡",
        "help me return a kettle",
        "发票",
        "",
        "好的帐篷多少钱",
        "What are your opening hours",
        "感谢卡怎么买",
    ],
)
def test_not_small_talk(text: str) -> None:
    assert small_talk(text) is None


def test_no_question_of_the_sample_is_small_talk_or_changed() -> None:
    for line in (SAMPLE / "questions.jsonl").read_text("utf-8").splitlines():
        question = json.loads(line)["question"]
        assert small_talk(question) is None, question
        assert standalone(question, []) == without_courtesy(question)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("你好，KT-210 能退吗？谢谢！", "KT-210 能退吗？"),
        ("Hello! Where is the shop? Thanks.", "Where is the shop?"),
        ("KT-210 能退吗", "KT-210 能退吗"),
        ("你好", "你好"),
        ("  It weighs 2.5 kg, right?  ", "It weighs 2.5 kg, right?"),
        ("请用英文回答：KT-210 保修多久？", "KT-210 保修多久？"),
        ("用英语告诉我KT-210保修多久", "KT-210保修多久"),
        ("How long is the warranty? In Chinese please.", "How long is the warranty?"),
        ("Tell me in Chinese how long the warranty is", "how long the warranty is"),
        ("Is the manual in English?", "Is the manual in English?"),
        ("可以用英文填写地址吗？", "可以用英文填写地址吗？"),
    ],
)
def test_courtesy_is_no_search_word(text: str, rest: str) -> None:
    assert without_courtesy(text) == rest


@pytest.mark.parametrize(
    ("earlier", "question", "expected"),
    [
        (["KT-210 几天内可以退货？"], "那 KT-310 呢？", "KT-310 几天内可以退货？"),
        (["KT-210 几天内可以退货？", "KT-310呢"], "TW-5 Pro 呢", "TW-5 Pro 几天内可以退货？"),
        (["KT-210 几天内可以退货？"], "它的保修期多长？", "KT-210 几天内可以退货？ 它的保修期多长？"),
        (["KT-210 几天内可以退货？", "谢谢"], "那运费谁出呢？", "KT-210 几天内可以退货？ 那运费谁出呢？"),
        (["Can I return the KT-210?"], "What about the KT-310?", "Can I return the KT-310?"),
        (
            ["Can I return the KT-210?"],
            "How long is its warranty?",
            "Can I return the KT-210? How long is its warranty?",
        ),
        (["Can I return the KT-210?"], "Where is your London store?", "Where is your London store?"),
        (["KT-210 几天内可以退货？"], "怎么开发票？", "怎么开发票？"),
        (["KT-210 几天内可以退货？"], "KT-310 显示 E3 是什么意思？", "KT-310 显示 E3 是什么意思？"),
        ([], "那 KT-310 呢？", "那 KT-310 呢？"),
    ],
)
def test_follow_ups(earlier: list[str], question: str, expected: str) -> None:
    assert standalone(question, earlier) == expected


@pytest.mark.parametrize(
    ("text", "earlier", "language"),
    [
        ("请用英文回答：KT-210 保修多久？", [], "en"),
        ("KT-210 保修多久？请说英语", [], "en"),
        ("Could you answer in Chinese? How long is the warranty?", [], "zh"),
        ("保修多久？", ["please speak English"], "en"),
        ("How long?", ["请说英文", "换成中文吧"], "zh"),
        ("说明书有英文的吗？", [], "zh"),
        ("Do you sell Chinese tea?", [], "en"),
        ("Send the invoice in Chinese", [], "en"),
        ("发票能开英文的吗", [], "zh"),
    ],
)
def test_the_language_that_a_customer_asks_for_stays(text: str, earlier: list[str], language: str) -> None:
    assert language_in(text, earlier, "en") == language
