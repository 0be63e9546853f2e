"""The closed loop: thumbs and corrections of people, a data set, a run, the gate, a swap, a better assistant, and back.

``python -m benchmarks.training_feedback`` measures the same with the embedded models on requests of its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from apps import training_data
from apps.customer_service.intents import INTENTS, Intents
from apps.ui import session
from core.conversations import Conversations
from core.runtime import Runtime
from core.training import promotion, work
from core.training.corrections import Corrections
from core.training.store import Trained
from core.types import LOCAL
from tests.apps.conftest import Open

THINGS = ("kettle", "tent", "lamp", "radio", "stove", "clock", "chair", "mixer", "shelf", "scale")
SAID = {
    "cancel_order": "please bin the {} before it goes",
    "track_order": "which lorry has my {} now",
    "start_return": "the {} goes straight back to you",
    "stock": "any {} left on your shelves",
    "complaint": "what a shambles with this {}",
}  # in words that the sample's sentences do not have
CORRECTED = [(said.format(thing), label) for label, said in SAID.items() for thing in THINGS]
HELD_OUT = [(said.format(thing), label) for label, said in SAID.items() for thing in ("pillow", "blanket", "torch")]


def head(runtime: Runtime, folder: Path, name: str) -> promotion.GateResult:
    """A head of what the product knows now, through the gate."""
    path = folder / name
    training_data.gather(runtime.workspace, LOCAL, "intents").save(path)
    version = asyncio.run(work.train(runtime, work.prepare(runtime, "head", path, out=INTENTS)))
    step, gate, _ = asyncio.run(promotion.promote(version, runtime.settings))
    assert step is not None, gate
    return gate


def test_fifty_corrections_make_the_assistant_better_and_a_rollback_takes_it_back(
    open_page: Open, tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    runtime = session.runtime()
    intents = Intents(runtime)

    def right() -> int:
        return sum(asyncio.run(intents.predict(text))[0].label == label for text, label in HELD_OUT)

    head(runtime, tmp_path, "sample.jsonl")
    before = right()
    kept = Conversations(runtime.workspace, "customer_service")
    for text, _ in CORRECTED:
        conversation = kept.create(LOCAL)
        draft = kept.ask(LOCAL, conversation.id, text)
        draft.finish("done", text="The documents do not say.")
        kept.rate(LOCAL, draft.message_id, False)
    training_data.agree(runtime.workspace, LOCAL, True)
    disliked = training_data.disliked(runtime.workspace, LOCAL)
    assert sorted(disliked) == sorted(text for text, _ in CORRECTED)
    # Two are corrected as a person does it on the page, the others by what the page calls.
    label_of = dict(CORRECTED)
    at = open_page("views/training.py")
    for text in disliked[:2]:
        at.selectbox(key="training_disliked").set_value(text).run()
        at.selectbox(key="training_right").set_value(label_of[text])
        at.button(key="training_correct_save").click().run()
        assert not at.exception
    corrections = Corrections(runtime.workspace)
    assert {c.text: c.label for c in corrections.all(LOCAL, INTENTS)} == {text: label_of[text] for text in disliked[:2]}
    for text in disliked[2:]:
        corrections.add(LOCAL, INTENTS, text, label_of[text])
    sentences = training_data.gather(runtime.workspace, LOCAL, "intents").rows
    assert {"text": "我的订单到哪了", "label": "track_order"} in sentences, "the sample's own stay"
    gate = head(runtime, tmp_path, "corrected.jsonl")
    assert not any(row.verdict == "worse" for row in gate.rows)
    after = right()
    assert after >= before + 8, (before, after, len(HELD_OUT))
    store = Trained(runtime.settings.home)
    assert store.rollback(INTENTS, by="local", shipped=True).version == 1
    assert right() == before
    assert store.rollback(INTENTS, by="local", shipped=True).version == 0
    assert intents.head.embedding == "embedded:e5", "the head that came with the program"
