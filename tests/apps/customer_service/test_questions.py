"""What a message asks: where it is divided, where it is left whole, and how the answers to its parts become one."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from apps.customer_service import CustomerService
from apps.customer_service.evaluate_questions import figures, messages
from apps.customer_service.events import joined as text_of
from apps.customer_service.intents import asked, rows
from apps.customer_service.questions import MOST, divided, joined, pieces, with_subject
from apps.customer_service.together import cited, together
from apps.customer_service.turns import Turns
from apps.ui.chat import answer_markdown
from core.providers.sync import run
from core.retrieval.answer import SentenceReady
from core.types import LOCAL, Answer, Citation, Sentence, Timings


def test_messages_of_the_file_are_divided_as_people_read_them() -> None:
    told = messages()
    assert len(told) >= 120
    assert sum(len(row["parts"]) > 1 for row in told) >= 60
    assert 0.45 <= sum(row["lang"] == "zh" for row in told) / len(told) <= 0.55
    precision, recall = figures(told)
    assert precision >= 0.95
    assert recall >= 0.9


def test_what_asks_one_thing_stays_whole() -> None:
    single = {row.text for row in [*rows("desk_train.csv"), *rows("desk_dev.csv"), *rows("zh_train.csv"), *asked()]}
    cut = [text for text in single if len(divided(text)) > 1]
    assert len(cut) <= 0.005 * len(single), cut


@pytest.mark.parametrize(
    "text",
    [
        "KT-210 和 KT-310 有什么区别？",
        "为什么左边没有声音，是坏了吗？",
        "如果收到坏的，我该怎么办，需要拍照吗？",
        "在吗？怎么开发票？",
        "周末也发货，对吧？可以吗？",
        "保温两小时会断电吗？还是一直加热？",
        "Can I return it and get a refund?",
        "Does it come in black and white?",
        "Could you help me? How do I find my invoice?",
        "Why is it silent? Did I break it?",
        "Is it 14 days, or is it 30?",
        "I bought a kettle last week. Can I return it?",
        "My earbud is quiet. Is it covered, and what should I do first?",
        "那 KT-310 呢？保温吗？",
        "What about the KT-310? Does it keep warm?",
        "",
        "？？？",
    ],
)
def test_left_whole(text: str) -> None:
    assert divided(text) == [text]


def test_a_statement_belongs_to_the_question_before_it_else_to_the_next() -> None:
    said = "I bought a kettle. Can I return it? It is new. And how long is the warranty?"
    assert divided(said) == ["I bought a kettle. Can I return it? It is new.", "how long is the warranty?"]
    found = pieces("Cancel my order. Do you ship to Canada?")
    assert [piece.asks for piece in found] == [False, True]
    assert len(joined(found)) == 1
    assert len(joined([replace(found[0], wish=True), found[1]])) == 2


def test_a_long_list_of_questions_ends_somewhere() -> None:
    parts = divided(" ".join(f"How much is shipping to country {n}?" for n in range(20)))
    assert len(parts) == MOST
    assert "country 19" in parts[-1]


def test_a_long_message_is_left_whole_and_costs_no_time() -> None:
    began = time.perf_counter()
    for text in ("，多少吗" * 1000, "？" * 4000, "能不能" * 1300, "how much is it, and " * 200, "what is " * 500):
        assert divided(text) == [text]
    assert len(divided("，多少钱一个" * 100)) <= MOST
    assert time.perf_counter() - began < 1


def test_a_part_without_a_name_is_about_the_product_named_before() -> None:
    assert with_subject("还有货吗？", ["KT-210 保修多久"]) == "KT-210 还有货吗？"
    assert with_subject("TN-3 呢？", ["KT-210 保修多久"]) == "TN-3 保修多久"
    assert with_subject("多少钱？", ["KT-210 和 KT-310 保修多久"]) == "多少钱？", "of two, neither is meant alone"
    assert with_subject("多少钱？", []) == "多少钱？"


# --- one answer -----------------------------------------------------------------------------------


def quote(asked: str, number: int, confidence: float | None = 0.9) -> Answer:
    citation = Citation(number, f"p{number}", "d", "T", "t.md", "quote", 0, 5)
    sentences = (Sentence(f"Said {number}.", (number,)), Sentence("More."))
    return Answer(
        asked, "extractive", f"T: Said {number}.[{number}]", sentences, (citation,), confidence, notices=("x",),
        timings=Timings(0.1, 0.5), threshold=0.12,
    )  # fmt: skip


def refusal(asked: str) -> Answer:
    near = Citation(1, "p9", "e", "E", "e.md", "near", 0, 4)
    return Answer(asked, "refused", "The documents do not say.", (), (near,), 0.01, timings=Timings(None, 0.5))


def test_answers_become_one_with_their_sources_numbered_on() -> None:
    first = quote("A?", 1)
    second = quote("B?", 1 + cited([first]), 0.4)
    whole = together("A? B?", [first, second], "en")
    assert (whole.mode, whole.confidence, whole.notices) == ("extractive", 0.4, ("x",))
    assert whole.text == "“A?”\nT: Said 1.[1]\n\n“B?”\nT: Said 2.[2]"
    assert [citation.number for citation in whole.citations] == [1, 2]
    assert [sentence.asked for sentence in whole.sentences] == ["A?", "", "B?", ""]
    assert text_of(whole.sentences) == "“A?”\nSaid 1. More.\n\n“B?”\nSaid 2. More."
    assert (whole.timings.first_token_s, whole.timings.total_s, whole.threshold) == (0.1, 1.0, 0.12)
    assert together("A?", [first], "en") == first


def test_a_part_without_an_answer_stands_beside_one_that_has_and_brings_no_source() -> None:
    whole = together("A? B?", [refusal("A?"), quote("B?", 1)], "en")
    assert (whole.mode, whole.confidence) == ("extractive", 0.9)
    assert [(c.number, c.title) for c in whole.citations] == [(1, "T")]
    assert whole.sentences[0] == Sentence("The documents do not say.", (), "A?")
    shown = answer_markdown(whole)
    assert shown.startswith("**A\\?**  \nThe documents do not say.")
    assert "\n\n**B\\?**  \nSaid 1\\." in shown
    none = together("A? B?", [refusal("A?"), refusal("B?")], "en")
    assert (none.mode, none.confidence, [c.number for c in none.citations]) == ("refused", 0.01, [1, 2])


# --- the service ----------------------------------------------------------------------------------


def test_each_part_counts_and_a_part_without_an_answer_is_a_gap(shop: CustomerService) -> None:
    began = time.time() - 1
    talk = shop.conversations.create(LOCAL)
    answer = shop.ask("KT-210 保修多久？世界杯冠军是谁？", conversation_id=talk.id)
    assert answer.mode == "extractive"
    turns = Turns(shop.runtime.workspace).between("local", began, time.time() + 1, texts=True)
    assert [(t.part, t.text, t.outcome) for t in turns] == [
        (0, "KT-210 保修多久？", "answered"),
        (1, "世界杯冠军是谁？", "refused"),
    ]
    seen = shop.manager.overview(LOCAL, since=began, until=time.time() + 1)
    assert (seen.turns, seen.conversations, seen.missed, seen.left) == (1, 1, 0.5, 1.0)
    assert [gap.question for gap in shop.manager.gaps(LOCAL, since=began, until=time.time() + 1)] == [
        "世界杯冠军是谁？"
    ]
    kept = shop.conversations.messages(LOCAL, talk.id)[-1].answer()
    assert kept is not None
    assert kept.sentences == answer.sentences
    shop.forget(LOCAL)
    with shop.runtime.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM support_turn_parts").fetchone()[0] == 0


def test_asked_again_the_parts_take_the_place_of_the_first(shop: CustomerService) -> None:
    talk = shop.conversations.create(LOCAL)
    shop.ask("KT-210 保修多久？世界杯冠军是谁？", conversation_id=talk.id)
    question = shop.conversations.messages(LOCAL, talk.id)[0]
    for _ in shop.iterate(shop.again(question.id)):
        pass
    turns = Turns(shop.runtime.workspace).between("local", 0, time.time() + 1)
    assert [turn.part for turn in turns] == [0, 1]


def test_without_a_conversation_the_documents_answer_each_question(shop: CustomerService) -> None:
    async def events() -> list[SentenceReady]:
        return [e async for e in shop.stream("KT-210 保修多久？世界杯冠军是谁？") if isinstance(e, SentenceReady)]

    said = run(events())
    assert [event.sentence.asked for event in said if event.sentence.asked] == ["KT-210 保修多久？", "世界杯冠军是谁？"]
    answer = shop.ask("KT-210 保修多久？世界杯冠军是谁？")
    assert tuple(event.sentence for event in said) == answer.sentences


def test_a_curated_answer_is_given_to_its_part(shop: CustomerService) -> None:
    shop.curated.save(LOCAL, questions=["能开发票吗？"], text="能，电子的。", language="zh")
    answer = shop.ask("KT-210 保修多久？能开发票吗？")
    assert "“能开发票吗？”\n能，电子的。" in answer.text
    assert answer.mode == "extractive"
    assert answer.citations
