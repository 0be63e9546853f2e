"""What people correct becomes data: personal data masked, only of people who agreed, and a classifier learns from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps import training_data
from apps.customer_service.curated import Curated
from core.conversations import Conversations
from core.errors import InputError, UnknownName
from core.runtime import Runtime
from core.safety.personal import mask
from core.training.corrections import Corrections
from core.types import LOCAL, Caller
from tests.core.training.conftest import runtime, settings

__all__ = ["runtime", "settings"]  # the fixtures: a workspace of the test, scripted models

WITH, WITHOUT = Caller(user="with"), Caller(user="without")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("写信给li.na@example.com。", "写信给[email]。"),
        ("电话13800138000，谢谢", "电话[phone]，谢谢"),
        ("+86 138-0013-8000 or +44 20 7946 0958", "[phone] or [phone]"),
        ("身份证11010519491231002X", "身份证[id]"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("座机 010-62345678", "座机 [phone]"),
        # What looks like it and is not: wrong check digits, order numbers, dates, prices, parts of longer runs.
        ("11010519491231002 4111 1111 1111 1112", "11010519491231002 4111 1111 1111 1112"),
        ("order TS-20260214-0042 of 2026-02-14, 1380 yuan", "order TS-20260214-0042 of 2026-02-14, 1380 yuan"),
        ("A13800138000B", "A13800138000B"),
    ],
)
def test_personal_data_with_a_form_are_masked(text: str, told: str) -> None:
    assert mask(text).text == told


def test_the_last_correction_of_a_text_counts_and_tenants_are_apart(runtime: Runtime) -> None:
    kept = Corrections(runtime.workspace)
    kept.add(LOCAL, "tickets", "where is it, 13800138000", "refund")
    kept.add(WITH, "tickets", "where is it, 13800138000", "delivery")
    kept.add(Caller(tenant="other"), "tickets", "theirs", "refund")
    kept.add(LOCAL, "others", "another model's", "x")
    assert [(c.text, c.label, c.user) for c in kept.all(LOCAL, "tickets")] == [
        ("where is it, [phone]", "delivery", "with")
    ]
    found = training_data.gather(runtime.workspace, LOCAL, "corrections", name="tickets")
    assert found.rows == ({"text": "where is it, [phone]", "label": "delivery"},)
    for text, label in (("", "x"), ("x", " ")):
        with pytest.raises(InputError):
            kept.add(LOCAL, "tickets", text, label)
    with pytest.raises(UnknownName, match="talks"):
        training_data.gather(runtime.workspace, LOCAL, "mail")
    with pytest.raises(InputError):
        training_data.gather(runtime.workspace, LOCAL, "corrections")


def test_only_conversations_of_people_who_agreed_and_only_what_was_liked(runtime: Runtime, tmp_path: Path) -> None:
    kept = Conversations(runtime.workspace, "customer_service")
    for who in (WITH, WITHOUT):
        for question, thumb in (("How long is the warranty? I am a@b.cn", True), ("Bad one", False), ("Unrated", None)):
            conversation = kept.create(who)
            draft = kept.ask(who, conversation.id, question)
            draft.finish("done", text=f"Answer to: {question}")
            kept.rate(who, draft.message_id, thumb)
    training_data.agree(runtime.workspace, WITH, True)
    found = training_data.gather(runtime.workspace, LOCAL, "talks")
    masked = "How long is the warranty? I am [email]"
    assert found.rows == ({"prompt": masked, "completion": f"Answer to: {masked}"},)
    assert (found.without_consent, found.masked) == (1, {"email": 2})
    assert training_data.disliked(runtime.workspace, LOCAL) == ["Bad one"]
    training_data.agree(runtime.workspace, WITH, False)
    none = training_data.gather(runtime.workspace, LOCAL, "talks")
    assert (none.rows, none.without_consent) == ((), 2)
    with pytest.raises(InputError, match="holds no row"):
        none.save(tmp_path / "none.jsonl")


def test_judgments_of_searches_and_moods_become_rows(runtime: Runtime) -> None:
    with runtime.workspace.write() as db:
        db.execute("INSERT INTO collections (id, tenant, name, created_at) VALUES (1, 'local', 'docs', 0)")
        db.execute(
            "INSERT INTO documents VALUES ('d', 1, 'local', 'local', 's', 't', 'en', 'text/plain', 'h', 'x', 0, '{}', '{}')"
        )
        for position, text in enumerate(("the first passage", "the second")):
            db.execute(
                'INSERT INTO passages (id, collection_id, document_id, position, start, "end", language, text, text_hash)'
                " VALUES (?, 1, 'd', ?, 0, 1, 'en', ?, 'h')",
                (str(position), position, text),
            )
        for user, query, gain in (("with", "liked", 1.0), ("with", "not liked", 0.0), ("without", "theirs", 1.0)):
            db.execute("INSERT INTO search_judgments VALUES ('local', ?, ?, 'd', ?, 0)", (user, query, gain))
    training_data.agree(runtime.workspace, WITH, True)
    found = training_data.gather(runtime.workspace, LOCAL, "search")
    assert found.rows == ({"anchor": "liked", "positive": "the first passage"},)
    assert found.without_consent == 1
    with runtime.workspace.write() as db:
        db.execute(
            "INSERT INTO news_items (id, tenant, source, external_id, language, title, text, url, published_at, dated, seen_at)"
            " VALUES (1, 'local', 'f', 'e', 'en', 'Acme rises', 'By 3 %.', '', 0, 'source', 0)"
        )
        for label in ("negative", "positive"):
            db.execute(
                "INSERT INTO news_labels (tenant, user, item_id, company, label, at) VALUES ('local', 'u', 1, 'acme', ?, 0)",
                (label,),
            )
    moods = training_data.gather(runtime.workspace, LOCAL, "sentiment").rows
    assert moods == ({"text": "Acme rises\nBy 3 %.", "label": "positive", "entity": "acme"},)


def test_curated_answers_become_conversations(runtime: Runtime) -> None:
    curated = Curated(runtime)
    curated.save(LOCAL, questions=["Engraving?", "Can you engrave?"], text="Yes.", language="en")
    curated.save(LOCAL, questions=["off"], text="off", language="en", on=False)
    curated.save(Caller("elsewhere", roles=frozenset({"admin"})), questions=["theirs"], text="theirs", language="en")
    assert training_data.gather(runtime.workspace, LOCAL, "curated").rows == (
        {"prompt": "Engraving?", "completion": "Yes."},
        {"prompt": "Can you engrave?", "completion": "Yes."},
    )


def test_thumbs_become_preferences_and_an_agents_reply_the_better_answer(runtime: Runtime) -> None:
    kept = Conversations(runtime.workspace, "customer_service")
    for question, thumb, agent in (("liked", True, ""), ("not liked", False, ""), ("mended", False, "What it really is"), ("none", None, "")):  # fmt: skip
        conversation = kept.create(WITH)
        draft = kept.ask(WITH, conversation.id, question)
        draft.finish("done", text=f"Answer to {question}")
        kept.rate(WITH, draft.message_id, thumb)
        if agent:
            kept.say(WITH, conversation.id, "agent", agent)
        kept.say(WITH, conversation.id, "user", "another question")
        kept.say(WITH, conversation.id, "agent", "to the other question")
    assert training_data.gather(runtime.workspace, LOCAL, "preferences").without_consent == 3
    training_data.agree(runtime.workspace, WITH, True)
    assert training_data.gather(runtime.workspace, LOCAL, "preferences").rows == (
        {"prompt": "liked", "chosen": "Answer to liked"},
        {"prompt": "not liked", "rejected": "Answer to not liked"},
        {"prompt": "mended", "rejected": "Answer to mended", "chosen": "What it really is"},
    )
