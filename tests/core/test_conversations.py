"""The conversation store: ownership, unfinished answers, feedback, export."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.conversations import Conversations
from core.errors import InputError, NotFound, StreamInterrupted
from core.i18n import Phrase
from core.transcripts import StoredMessage, answer_from_json, answer_to_json, error_text, notice_texts
from core.types import LOCAL, Answer, Caller, Citation, Sentence
from core.workspace import Workspace

ANSWER = Answer(
    question="几天内可以退货？",
    mode="extractive",
    text="十五天内可以退货。",
    sentences=(Sentence("十五天内可以退货。", (1,)),),
    citations=(
        Citation(1, "p1", "d1", "退货政策", "returns.md", "十五天内可以退货。", 3, 12, heading="期限", score=0.8),
    ),
    confidence=0.9,
    language="zh",
    notices=("generator_down",),
    model="scripted:a",
    prompt="answer@1a2b",
    trace_id="f" * 32,
)


@pytest.fixture
def store(tmp_path: Path) -> Conversations:
    return Conversations(Workspace.open(tmp_path / "home"), "customer_service")


def answered(store: Conversations, caller: Caller, conversation_id: str, question: str = "q") -> StoredMessage:
    draft = store.ask(caller, conversation_id, question, trace_id="t1")
    draft.write("十五")
    draft.finish("done", ANSWER.text, answer=ANSWER)
    return store.message(caller, draft.message_id)


def test_a_conversation_is_kept_over_a_restart(store: Conversations, tmp_path: Path) -> None:
    made = store.create(LOCAL)
    answered(store, LOCAL, made.id, "KT-210 几天内可以退货？")
    again = Conversations(Workspace.open(tmp_path / "home"), "customer_service")
    (listed,) = again.recent(LOCAL)
    question, answer = again.messages(LOCAL, made.id)
    assert listed.title == "KT-210 几天内可以退货？"
    assert (question.role, question.text, question.state) == ("user", "KT-210 几天内可以退货？", "done")
    assert (answer.state, answer.text, answer.model, answer.prompt) == (
        "done",
        ANSWER.text,
        "scripted:a",
        "answer@1a2b",
    )
    assert answer.notices == {"generator_down": {}}
    assert answer.reply_to == question.id
    kept = answer.answer()
    assert kept is not None
    assert kept.citations == ANSWER.citations
    assert kept.sentences == ANSWER.sentences


def test_an_answer_survives_json() -> None:
    from dataclasses import replace

    assert answer_from_json(answer_to_json(ANSWER)) == replace(ANSWER, question="", text="")


STRANGERS: dict[str, Callable[[Conversations, Caller, str], object]] = {
    "get": lambda store, caller, target: store.get(caller, target),
    "rename": lambda store, caller, target: store.rename(caller, target, "stolen"),
    "delete": lambda store, caller, target: store.delete(caller, target),
    "ask": lambda store, caller, target: store.ask(caller, target, "stolen"),
    "messages": lambda store, caller, target: store.messages(caller, target),
    "export": lambda store, caller, target: store.export(caller, target, "json"),
}


def test_no_caller_ever_sees_or_changes_anothers(store: Conversations) -> None:
    """Three hundred random steps of four callers against a plain dict that says what each may see."""
    chance = random.Random(7)
    callers = [Caller("a", "x"), Caller("a", "y"), Caller("b", "x"), LOCAL]
    mine: dict[Caller, dict[str, str]] = {caller: {} for caller in callers}
    messages: dict[Caller, list[int]] = {caller: [] for caller in callers}
    for step in range(300):
        caller = chance.choice(callers)
        owner = chance.choice(callers)
        target = chance.choice([*mine[owner], "no such id"])
        owns = target in mine[caller]
        match chance.choice(["create", "get", "rename", "delete", "ask", "messages", "rate", "export", "again"]):
            case "create":
                title = f"title {step}"
                mine[caller][store.create(caller, title).id] = title
            case "delete" if owns:
                store.delete(caller, target)
                del mine[caller][target]
            case "rename" if owns:
                store.rename(caller, target, f"renamed {step}")
                mine[caller][target] = f"renamed {step}"
            case "ask" if owns:
                messages[caller].append(answered(store, caller, target, f"from {caller}").id)
            case "messages" if owns:
                assert {m.text for m in store.messages(caller, target)} <= {f"from {caller}", ANSWER.text}
            case "rate":
                others = [m for other in callers if other != caller for m in messages[other]]
                if others:
                    with pytest.raises(NotFound):
                        store.rate(caller, chance.choice(others), True)
            case "again":
                others = [m - 1 for other in callers if other != caller for m in messages[other]]
                if others:
                    with pytest.raises(NotFound):
                        store.again(caller, chance.choice(others))
            case action if not owns and action in STRANGERS:
                with pytest.raises(NotFound):
                    STRANGERS[action](store, caller, target)
        for one in callers:
            assert {c.id: c.title for c in store.recent(one, limit=1000)} == mine[one]
    assert sum(len(owned) for owned in mine.values()) > 5


def test_another_app_sees_nothing(store: Conversations) -> None:
    made = store.create(LOCAL)
    answer = answered(store, LOCAL, made.id)
    other = Conversations(store._workspace, "search")
    assert other.recent(LOCAL) == []
    for attempt in (
        lambda: other.messages(LOCAL, made.id),
        lambda: other.rate(LOCAL, answer.id, True),
        lambda: other.delete(LOCAL, made.id),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_search_takes_words_literally(store: Conversations) -> None:
    percent, chinese = store.create(LOCAL, "100% cotton"), store.create(LOCAL, "other")
    store.create(LOCAL, "1000 threads")
    answered(store, LOCAL, chinese.id, "保温杯能退吗")
    assert [c.id for c in store.recent(LOCAL, "100%")] == [percent.id]
    assert [c.id for c in store.recent(LOCAL, "保温")] == [chinese.id]
    assert [c.id for c in store.recent(LOCAL, "COTTON")] == [percent.id]
    assert store.recent(LOCAL, "_") == []
    assert store.recent(LOCAL, "\\") == []


def test_lists_come_in_pages(store: Conversations) -> None:
    made = [store.create(LOCAL, str(n)).id for n in range(5)]
    assert [c.id for c in store.recent(LOCAL, limit=2)] == [made[4], made[3]]
    assert [c.id for c in store.recent(LOCAL, limit=2, offset=4)] == [made[0]]
    for n in range(4):
        answered(store, LOCAL, made[0], f"q{n}")
    assert store.recent(LOCAL, limit=1)[0].id == made[0], "the last used comes first"
    page = store.messages(LOCAL, made[0], limit=3)
    assert [m.text for m in page] == [ANSWER.text, "q3", ANSWER.text]
    assert [m.text for m in store.messages(LOCAL, made[0], limit=2, before=page[0].id)] == [ANSWER.text, "q2"]


def test_titles_are_one_line_and_never_empty(store: Conversations) -> None:
    made = store.create(LOCAL, "  a\n\tb " + "x" * 500)
    assert made.title.startswith("a b x")
    assert len(made.title) == 120
    with pytest.raises(InputError):
        store.rename(LOCAL, made.id, " \n ")


@pytest.mark.parametrize("text", ["\ud800 lone", "nul\0nul", "‮rtl", "'; DROP TABLE messages; --", "x" * 1_000_000])
def test_any_text_can_be_kept(store: Conversations, text: str) -> None:
    made = store.create(LOCAL, text)
    draft = store.ask(LOCAL, made.id, text)
    draft.write(text)
    draft.finish("done", text)
    assert len(store.messages(LOCAL, made.id)[1].text) == len(text)
    store.recent(LOCAL, text[:100])
    store.export(LOCAL, made.id, "markdown")


def test_partial_text_is_there_at_once_and_stays_when_stopped(store: Conversations) -> None:
    made = store.create(LOCAL)
    draft = store.ask(LOCAL, made.id, "q")
    draft.write("十五天")
    live = store.messages(LOCAL, made.id)[1]
    assert (live.state, live.text) == ("streaming", "十五天")
    draft.finish("stopped", "十五天内")
    draft.write("too late")
    assert [(m.state, m.text) for m in store.messages(LOCAL, made.id)][1] == ("stopped", "十五天内")


def test_an_abandoned_draft_is_shown_as_stopped(store: Conversations) -> None:
    made = store.create(LOCAL)
    draft = store.ask(LOCAL, made.id, "q")
    draft.write("part")
    del draft
    assert store.messages(LOCAL, made.id)[1].state == "stopped"


def test_a_failed_answer_keeps_its_error_in_both_languages(store: Conversations) -> None:
    made = store.create(LOCAL)
    draft = store.ask(LOCAL, made.id, "q")
    draft.finish(
        "failed",
        "half",
        error=StreamInterrupted(provider="openai", model="m", partial="half", detail="key sk-abcdefghijklmnop"),
    )
    failed = store.messages(LOCAL, made.id)[1]
    assert failed.error is not None
    assert "broke off" in error_text(failed.error, "en")
    assert "中断" in error_text(failed.error, "zh")
    assert "abcdefgh" not in json.dumps(failed.error)


def test_words_in_a_stored_error_speak_the_readers_language(store: Conversations) -> None:
    draft = store.ask(LOCAL, store.create(LOCAL).id, "q")
    draft.finish("failed", "", error=NotFound(kind=Phrase("word.conversation"), value="x"))
    error = store.message(LOCAL, draft.message_id).error
    assert error is not None
    assert error_text(error, "zh") == "没有对话“x”。"
    assert error_text(error, "en") == "There is no conversation 'x'."


def test_notices_keep_their_parameters(store: Conversations) -> None:
    made = store.create(LOCAL)
    draft = store.ask(LOCAL, made.id, "q")
    draft.finish("done", "a", answer=ANSWER, notices={"generator_down": {"detail": "sk-abcdefghijklmnop"}})
    kept = store.message(LOCAL, draft.message_id)
    assert "abcdefghijkl" not in notice_texts(kept.notices, "zh")[0]
    assert "模型暂时无法回答" in notice_texts(kept.notices, "zh")[0]
    assert "cannot answer" in store.export(LOCAL, made.id, "markdown", "en")


def test_asking_again_replaces_the_answer(store: Conversations) -> None:
    made = store.create(LOCAL)
    first = answered(store, LOCAL, made.id, "q")
    question, draft = store.again(LOCAL, first.reply_to or 0)
    draft.finish("done", "better")
    assert question == "q"
    assert [m.text for m in store.messages(LOCAL, made.id)] == ["q", "better"]


def test_feedback_carries_trace_model_and_prompt(store: Conversations) -> None:
    made = store.create(LOCAL)
    answer = answered(store, LOCAL, made.id)
    store.rate(LOCAL, answer.id, True)
    store.rate(LOCAL, answer.id, False, " 不对 ")
    (row,) = store.feedback(LOCAL)
    assert (row.up, row.comment, row.trace_id, row.model, row.prompt) == (
        False,
        "不对",
        "t1",
        "scripted:a",
        "answer@1a2b",
    )
    assert store.message(LOCAL, answer.id).up is False
    assert store.feedback(Caller("other", "local")) == []
    with pytest.raises(NotFound):
        store.rate(LOCAL, answer.reply_to or 0, True)
    store.rate(LOCAL, answer.id, None)
    assert store.feedback(LOCAL) == []
    store.rate(LOCAL, answer.id, True)
    store.delete(LOCAL, made.id)
    assert store.feedback(LOCAL) == []


@pytest.mark.parametrize(("language", "word"), [("zh", "你"), ("en", "You")])
def test_export(store: Conversations, language: str, word: str) -> None:
    made = store.create(LOCAL)
    answered(store, LOCAL, made.id, "几天？")
    text = store.export(LOCAL, made.id, "markdown", language)
    assert text.startswith("# 几天？")
    assert f"## {word} · " in text
    assert "> [1] **退货政策** (returns.md)" in text
    data = json.loads(store.export(LOCAL, made.id, "json"))
    assert data["messages"][1]["answer"]["citations"][0]["quote"] == "十五天内可以退货。"
    with pytest.raises(InputError):
        store.export(LOCAL, made.id, "pdf", language)  # type: ignore[arg-type]


WRITER = """
import sys, time
from pathlib import Path
from core.conversations import Conversations
from core.types import LOCAL
from core.workspace import Workspace

store = Conversations(Workspace.open(Path(sys.argv[1])), "customer_service")
draft = store.ask(LOCAL, store.create(LOCAL).id, "q")
text = ""
for n in range(10_000):
    text += f"word{n} "
    draft.write(text)
    print(text, flush=True)  # shown
    time.sleep(0.005)
"""


def test_kill_9_in_the_middle_of_an_answer_loses_nothing_shown(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "home")], cwd=root, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        shown = [writer.stdout.readline() for _ in range(20)]
        store = Conversations(Workspace.open(tmp_path / "home"), "customer_service")
        (conversation,) = store.recent(LOCAL)
        assert store.messages(LOCAL, conversation.id)[1].state == "streaming", "its writer is alive"
        os.kill(writer.pid, signal.SIGKILL)
        shown += writer.stdout.readlines()
    kept = store.messages(LOCAL, conversation.id)[1]
    assert kept.state == "stopped"
    assert kept.text.startswith(max(shown, key=len).rstrip("\n"))


def test_a_writer_elsewhere_is_gone_after_a_minute_of_silence(store: Conversations) -> None:
    made = store.create(LOCAL)
    draft = store.ask(LOCAL, made.id, "q")
    with store._workspace.write() as db:
        db.execute("UPDATE messages SET writer='other-host/1/x' WHERE id=?", (draft.message_id,))
    assert store.messages(LOCAL, made.id)[1].state == "streaming"
    with store._workspace.write() as db:
        db.execute("UPDATE messages SET beat_at=?", (time.time() - 61,))
    assert store.messages(LOCAL, made.id)[1].state == "stopped"


def test_a_write_of_partial_text_is_cheap(store: Conversations) -> None:
    draft = store.ask(LOCAL, store.create(LOCAL).id, "q")
    began = time.process_time()
    for n in range(200):
        draft.write("字" * (n * 10))
    assert (time.process_time() - began) / 200 < 0.002


def test_a_thread_hands_its_connection_on(store: Conversations) -> None:
    for _ in range(30):  # as many page runs
        thread = threading.Thread(target=store.recent, args=(LOCAL,))
        thread.start()
        thread.join()
    assert len(store._workspace._connections) <= 2


def test_closing_waits_for_a_read_in_another_thread(store: Conversations) -> None:
    workspace, reading, ended = store._workspace, threading.Event(), []

    def read() -> None:
        with workspace.read() as db:
            reading.set()
            time.sleep(0.2)
            ended.append(db.execute("SELECT 1").fetchone()[0])

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    workspace.close()
    assert ended == [1]
    thread.join()
