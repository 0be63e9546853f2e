"""The service without a page: answers, conversations, uploads, and what happens when something breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.customer_service import CustomerService
from apps.customer_service.events import Begun
from apps.customer_service.service import QUESTION_LIMIT, last_answer
from core.errors import InputError, NotFound
from core.i18n import message
from core.providers.sync import run
from core.retrieval.answer import AnswerDone, SentenceReady
from core.retrieval.library import Library
from core.transcripts import notice_texts
from core.types import LOCAL, Caller
from tests.apps.customer_service.conftest import OpenShop

ROOT = Path(__file__).parents[3]
OTHER = Caller("local", "other")
BIKE = "# 员工自行车\n\n员工自行车的车锁密码是 4711。自行车停放在地下二层 B 区。\n".encode()
CITED = """
rules:
  - match: '(?s)<source n="1"[^>]*>\\s*(?:#[^\\n]*\\n\\s*)*(?P<first>[^\\n]+?[。.])'
    reply: "{first} [1]"
    delay_s: DELAY
  - reply: "no sources"
"""


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "said", "document"),
    [
        ("KT-210 几天内可以退货？", "15 天", "退货政策"),
        ("What is the wattage of the American KT-310?", "1500 W", "KT-310"),
    ],
)
def test_three_lines_give_a_cited_answer(shop: CustomerService, question: str, said: str, document: str) -> None:
    answer = shop.ask(question)
    assert answer.mode == "extractive"
    assert said in answer.text
    assert any(document in citation.title for citation in answer.citations)
    numbers = {number for sentence in answer.sentences for number in sentence.citations}
    assert numbers <= {citation.number for citation in answer.citations}
    assert all(sentence.citations for sentence in answer.sentences)


def test_the_examples_of_the_page_are_answered_with_the_models_that_come_with_the_install(open_shop: OpenShop) -> None:
    shop = open_shop(embedding="embedded:e5")
    shop.prepare()
    expected = {
        "zh": ["15 天", "18 个月", "22:30", "水量超过最高水位"],
        "en": ["21 days", "24 months", "lithium", "Sunday"],
    }
    for language, answers in expected.items():
        for number, said in enumerate(answers, 1):
            question = message(f"customer_service.starter.{number}", language)
            answer = shop.ask(question)
            assert said in answer.text, (question, answer.text)
            assert answer.language == language
            assert answer.notices == ()
    assert shop.ask("推荐几部好看的科幻片").mode == "refused"


def test_many_first_questions_at_once_are_all_answered(open_shop: OpenShop) -> None:
    """More than there are threads in the event loop's pool, on a workspace without the sample."""
    shop = open_shop()

    async def together() -> list[str]:
        streams = [shop.stream("KT-210 几天内可以退货？") for _ in range(40)]
        return [answer.text for answer in await asyncio.gather(*map(last_answer, streams))]

    assert all("15 天" in text for text in run(together(), timeout_s=60))


@pytest.mark.parametrize("question", ["推荐几部好看的科幻片", "best pizza near Covent Garden?"])
def test_what_the_documents_do_not_say_is_not_answered(shop: CustomerService, question: str) -> None:
    answer = shop.ask(question)
    assert answer.mode == "refused"
    assert answer.text


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [("你好！", None, "你好"), ("Thanks a lot", None, "welcome"), ("ok", "zh", "不客气"), ("你是谁", None, "试金石")],
)
def test_small_talk_gets_a_friendly_word_and_no_source(
    open_shop: OpenShop, question: str, language: str | None, words: str
) -> None:
    answer = open_shop().ask(question, language=language)  # type: ignore[arg-type]
    assert answer.mode == "frame"
    assert words in answer.text
    assert not answer.citations


def test_a_customer_is_answered_in_the_language_they_ask_for(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    said = [
        shop.ask(text, conversation_id=conversation.id)
        for text in ("请用英文回答", "怎么买宇宙飞船？", "换成中文吧", "Do you sell spaceships?")
    ]
    assert [answer.language for answer in said] == ["en", "en", "zh", "zh"]
    assert (said[0].mode, said[2].mode) == ("frame", "frame")
    assert ("English" in said[0].text, "中文" in said[2].text) == (True, True)
    assert said[1].text.startswith("The documents do not say")


def test_what_a_wish_waits_for_stands_below_the_answer(open_shop: OpenShop) -> None:
    shop = open_shop(embedding="embedded:e5")
    talk = shop.conversations.create(LOCAL, "x").id
    answer = shop.ask("PW26110001 到哪了？另外发票怎么开？", conversation_id=talk)
    assert "发票" in answer.text
    assert answer.text.endswith("邮箱。"), "the proof that the order's state waits for"
    assert "2026" in shop.ask("2468", conversation_id=talk).text


def test_a_follow_up_uses_the_question_before_it(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    shop.ask("PS-600 几天内可以退货？", conversation_id=conversation.id)
    answer = shop.ask("那 TW-5 Pro 呢？", conversation_id=conversation.id)
    assert "30 天" in answer.text
    assert answer.question == "那 TW-5 Pro 呢？"


def test_an_able_model_writes_and_is_checked(open_shop: OpenShop) -> None:
    shop = open_shop(CITED.replace("DELAY", "0"))
    shop.prepare()
    answer = shop.ask("KT-210 几天内可以退货？")
    assert answer.mode == "generated"
    assert answer.model
    assert answer.prompt
    assert "@" in answer.prompt
    assert answer.citations


def test_a_model_that_is_down_is_said_to_be_and_sources_are_quoted(open_shop: OpenShop) -> None:
    shop = open_shop("rules:\n  - fault: connect_failed\n")
    shop.prepare()
    conversation = shop.conversations.create(LOCAL)
    answer = shop.ask("KT-210 几天内可以退货？", conversation_id=conversation.id)
    assert answer.mode == "extractive"
    assert "generator_down" in answer.notices
    assert "15 天" in answer.text
    kept = shop.conversations.messages(LOCAL, conversation.id)[1]
    (said,) = notice_texts({"generator_down": kept.notices["generator_down"]}, "zh")
    assert "连不上" in said


def test_a_model_that_cannot_be_opened_is_as_one_that_is_down(open_shop: OpenShop) -> None:
    shop = open_shop("rules: nonsense")
    shop.prepare()
    answer = shop.ask("KT-210 几天内可以退货？")
    assert answer.mode == "extractive"
    assert answer.notices[0] == "generator_down"


@pytest.mark.parametrize(
    ("question", "reason"), [("", "empty_question"), (" \n ", "empty_question"), ("x" * 1_000_000, "question_too_long")]
)
def test_bad_questions_are_refused_before_anything_is_kept(open_shop: OpenShop, question: str, reason: str) -> None:
    shop = open_shop()
    conversation = shop.conversations.create(LOCAL)
    with pytest.raises(InputError) as caught:
        shop.ask(question, conversation_id=conversation.id)
    assert caught.value.reason == reason
    assert shop.conversations.messages(LOCAL, conversation.id) == []
    assert len("x" * QUESTION_LIMIT) == QUESTION_LIMIT


# --- conversations --------------------------------------------------------------------------------


def test_question_and_answer_are_kept_with_trace_and_sources(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    answer = shop.ask("KT-210 几天内可以退货？", conversation_id=conversation.id)
    question, kept = shop.conversations.messages(LOCAL, conversation.id)
    assert (question.text, kept.text, kept.state) == ("KT-210 几天内可以退货？", answer.text, "done")
    assert kept.trace_id == answer.trace_id == question.trace_id
    stored = kept.answer()
    assert stored is not None
    assert stored.citations == answer.citations
    shop.conversations.rate(LOCAL, kept.id, True)
    assert shop.conversations.feedback(LOCAL)[0].trace_id == answer.trace_id


def test_model_calls_of_an_answer_carry_its_trace(open_shop: OpenShop) -> None:
    shop = open_shop(CITED.replace("DELAY", "0"))
    shop.prepare()
    answer = shop.ask("KT-210 几天内可以退货？", caller=OTHER)
    calls = [call for call in shop.runtime.ledger.recent() if call["trace_id"] == answer.trace_id]
    assert "chat" in {call["operation"] for call in calls}
    assert {call["user"] for call in calls} == {"other"}


def test_asking_again_replaces_the_answer(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    shop.ask("推荐几部好看的科幻片", conversation_id=conversation.id)
    before = shop.conversations.messages(LOCAL, conversation.id)
    assert [m.role for m in before] == ["user", "assistant", "assistant"]
    assert "转人工" in before[-1].text  # what one may do where the documents do not say
    events = list(shop.iterate(shop.again(before[0].id)))
    assert isinstance(events[0], Begun)
    assert isinstance(events[-1], AnswerDone)
    assert len(shop.conversations.messages(LOCAL, conversation.id)) == 3


def test_another_callers_conversation_cannot_be_continued(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    shop.ask("你好", conversation_id=conversation.id)
    question = shop.conversations.messages(LOCAL, conversation.id)[0]
    with pytest.raises(NotFound):
        shop.ask("你好", conversation_id=conversation.id, caller=OTHER)
    with pytest.raises(NotFound):
        list(shop.iterate(shop.again(question.id, caller=OTHER)))


def test_closing_the_stream_keeps_what_has_come_as_stopped(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL)
    events = shop.iterate(shop.stream("KT-210 几天内可以退货？保修多久？", conversation_id=conversation.id))
    shown = ""
    for event in events:
        if isinstance(event, SentenceReady):
            shown = event.sentence.text
            break
    events.close()
    kept = shop.conversations.messages(LOCAL, conversation.id)[1]
    assert kept.state in ("stopped", "done")  # all of it may have been there
    assert shown
    assert shown in kept.text
    assert kept.answer_json


def test_stopping_a_thinking_model_is_quick(open_shop: OpenShop) -> None:
    shop = open_shop("rules:\n  - reply: x\n    first_delay_s: 60\n")
    shop.prepare()
    conversation = shop.conversations.create(LOCAL)
    events = shop.iterate(shop.stream("KT-210 几天内可以退货？", conversation_id=conversation.id), tick_s=0.1)
    while next(events) is not None:
        pass
    began = time.perf_counter()
    events.close()
    assert time.perf_counter() - began < 1.5
    assert shop.conversations.messages(LOCAL, conversation.id)[1].state == "stopped"


WRITER = """
import sys
from pathlib import Path
from apps.customer_service import CustomerService
from core.runtime import Runtime
from core.i18n import message
from core.providers.sync import run
from core.retrieval.answer import SentenceReady
from core.settings import load_settings
from core.types import LOCAL

folder = Path(sys.argv[1])
shop = CustomerService(Runtime(load_settings(folder)))
shop.prepare()
conversation = shop.conversations.create(LOCAL)
for event in shop.iterate(shop.stream("KT-210 几天内可以退货？", conversation_id=conversation.id)):
    if isinstance(event, SentenceReady):
        print(event.sentence.text, flush=True)
print("END", flush=True)
"""


def test_kill_9_in_the_middle_of_an_answer_loses_nothing_shown(open_shop: OpenShop, tmp_path: Path) -> None:
    shop = open_shop()
    (tmp_path / "slow.yaml").write_text(
        "rules:\n"
        '  - reply: "电热水壶 KT-210 和 KT-310 在签收次日起 15 天内可以无理由退货，壶内通过水也不影响退货。[1] '
        + "电热水壶 KT-210 和 KT-310 在签收次日起 15 天内可以无理由退货。[1] " * 20
        + '"\n    delay_s: 0.02\n',
        "utf-8",
    )
    environment = {
        **os.environ,
        "TOUCHSTONE_CHAT": "scripted:slow.yaml",
        "TOUCHSTONE_EMBEDDING": "scripted:none",
        "PYTHONPATH": str(ROOT),
    }
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as writer:
        assert writer.stdout is not None
        shown = [writer.stdout.readline().strip()]
        os.kill(writer.pid, signal.SIGKILL)
        shown += [line.strip() for line in writer.stdout]
    assert shown[0].startswith("电热水壶")
    assert "END" not in shown
    (conversation,) = shop.conversations.recent(LOCAL)
    question, kept = shop.conversations.messages(LOCAL, conversation.id)
    assert question.text == "KT-210 几天内可以退货？"
    assert kept.state == "stopped"
    assert "".join(shown).replace(" ", "") in kept.text.replace(" ", "")


# --- documents ------------------------------------------------------------------------------------


def test_prepare_is_quick_and_done_once(shop: CustomerService) -> None:
    sample = shop.knowledge.collections(LOCAL)[0]
    loaded = sample.documents()
    began = time.process_time()
    shop.prepare()
    assert time.process_time() - began < 2.0
    assert len(loaded) == 55
    assert sample.documents() == loaded


def test_an_upload_is_found_by_its_owner_alone(shop: CustomerService) -> None:
    result = shop.upload("自行车.md", BIKE)
    assert result.status == "added"
    assert "4711" in shop.ask("员工自行车的车锁密码是多少？").text
    assert "4711" not in shop.ask("员工自行车的车锁密码是多少？", caller=OTHER).text
    assert [document.title for document in shop.documents()] == ["员工自行车"]
    assert shop.documents(OTHER) == []
    with pytest.raises(NotFound):
        shop.remove(shop.documents()[0].id, OTHER)
    shop.remove(shop.documents()[0].id)
    assert shop.documents() == []
    assert "4711" not in shop.ask("员工自行车的车锁密码是多少？").text


def test_a_file_of_the_same_name_replaces_the_older(shop: CustomerService) -> None:
    shop.upload("bike.md", BIKE)
    assert shop.upload("bike.md", BIKE.replace(b"4711", b"8812")).status == "updated"
    answer = shop.ask("员工自行车的车锁密码是多少？")
    assert "8812" in answer.text
    assert len(shop.documents()) == 1


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.md", b"", "empty_file"),
        ("program.txt", b"\x7fELF\x00\x01\x02" * 50, "binary_file"),
        ("broken.pdf", b"%PDF-1.7 nothing", "unreadable_file"),
        ("big.txt", b"x" * (21 * 2**20), "file_too_large"),
    ],
)
def test_bad_files_are_refused_with_a_reason(open_shop: OpenShop, name: str, data: bytes, reason: str) -> None:
    shop = open_shop()
    with pytest.raises(InputError) as caught:
        shop.upload(name, data)
    assert caught.value.reason == reason
    assert name in caught.value.text("zh")
    assert shop.documents() == []


def test_the_sample_can_be_left_out(shop: CustomerService) -> None:
    shop.upload("bike.md", BIKE)
    assert shop.ask("KT-210 几天内可以退货？", sample=False).mode == "refused"
    assert "4711" in shop.ask("员工自行车的车锁密码是多少？", sample=False).text


def test_what_another_process_indexes_the_next_question_finds(shop: CustomerService, tmp_path: Path) -> None:
    question = "员工自行车的车锁密码是多少？"
    assert "4711" not in shop.ask(question).text
    (tmp_path / "bike.md").write_bytes(BIKE)
    program = (
        "import asyncio, sys; from core.runtime import open_runtime; from core.retrieval.library import Library\n"
        "with open_runtime() as runtime:\n"
        "    report = asyncio.run(Library.of(runtime).collection().sync([sys.argv[1]]))\n"
        "    assert report.count('added') == 1, report\n"
    )
    environment = {**os.environ, "TOUCHSTONE_EMBEDDING": "scripted:none", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bike.md")],
        cwd=tmp_path,
        env=environment,
        check=True,
        timeout=60,
    )
    assert "4711" in shop.ask(question).text
    assert "4711" in shop.ask(question, caller=OTHER).text, "the default collection is the tenant's"


def test_a_quote_is_shown_in_its_surroundings_until_the_document_changes(shop: CustomerService) -> None:
    shop.upload("bike.md", BIKE)
    (citation, *_) = shop.ask("员工自行车的车锁密码是多少？").citations
    before, after = shop.surroundings(citation)
    assert BIKE.decode().startswith(before)
    assert after in BIKE.decode()
    assert before + citation.quote + after in BIKE.decode()
    assert shop.surroundings(citation, OTHER) == ("", "")
    shop.upload("bike.md", "# 新\n\n完全不同的内容在这里。".encode())
    assert shop.surroundings(citation) == ("", "")


def test_asking_inside_an_event_loop(shop: CustomerService) -> None:
    async def notebook() -> str:
        return [e async for e in shop.stream("你好")][-1].answer.text  # type: ignore[union-attr]

    assert "你好" in asyncio.run(notebook())


def test_a_library_of_the_default_collection_is_the_same_as_the_command_lines(shop: CustomerService) -> None:
    asyncio.run(Library.of(shop.runtime).collection().add_bytes(BIKE, "bike.md"))
    assert "4711" in shop.ask("员工自行车的车锁密码是多少？").text
