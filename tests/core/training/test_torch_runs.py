"""The recipes of torch on models of a few thousand weights: they learn, survive kill -9, and providers load the result."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.errors import InputError, InvalidSetting, MissingPackage, OutOfMemory, code_of
from core.evaluation import results
from core.evaluation.datasets import Record
from core.jobs import Jobs
from core.providers.complete import complete
from core.providers.openmp import be_polite
from core.runtime import Runtime
from core.settings import override
from core.training import promotion, work
from core.training.classifiers import open_classifier
from core.training.explain import explain
from core.training.export import export_gguf, export_merged, export_to
from core.training.loop import Log, newest
from core.training.recipes.embedding import distinct
from core.training.store import Trained, Version
from core.types import LOCAL, Options, Question, user
from tests.core.providers.tiny_torch import minilm
from tests.core.providers.tiny_transformers import write_text_model
from tests.core.training.conftest import rows, table

# Looked for and not imported: torch's threads are polite only when it comes after the runtime.
pytestmark = [
    pytest.mark.skipif(not (find_spec("torch") and find_spec("peft")), reason="needs torch and peft"),
    pytest.mark.usefixtures("one_thread"),
]

SHORT = {"epochs": "12", "batch_size": "8", "learning_rate": "0.005", "patience": "100"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights, small enough to learn ninety headlines in seconds."""
    be_polite()  # before torch is there
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, initializer_range=0.1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(folder)
    return folder


def prepared(runtime: Runtime, recipe: str, path: Path, base: Path, **options: object) -> work.Prepared:
    given: dict[str, object] = {"out": "stock", "base": str(base), "settings": SHORT, **options}
    return work.prepare(runtime, recipe, path, **given)  # type: ignore[arg-type]


def run(runtime: Runtime, ready: work.Prepared) -> Version:
    return asyncio.run(work.train(runtime, ready))


def whole_state(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):  # being written, or just cleared away
        return False


def test_a_run_that_was_killed_ends_where_it_would_have_ended(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    whole = run(runtime, prepared(runtime, "full", path, encoder))
    ready = prepared(runtime, "full", path, encoder, fresh=True)
    pid = Jobs(runtime.workspace).spawn(LOCAL, ready.job.id, concurrency=1)
    log, deadline = Log(ready.version.folder / "progress.jsonl"), time.monotonic() + 90
    while not any(map(whole_state, (ready.version.folder / "checkpoints").glob("*/trainer_state.json"))):
        assert time.monotonic() < deadline, (runtime.workspace.folder / "jobs" / f"{ready.job.id}.log").read_text()
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    while Jobs(runtime.workspace).get(LOCAL, ready.job.id).state == "running":
        time.sleep(0.05)
    before = log.last()
    assert before is not None
    assert before.step < before.steps
    again = prepared(runtime, "full", path, encoder)
    assert again.resumed
    made = run(runtime, again)
    facts, wanted = made.facts(), whole.facts()
    assert facts["resumed_from"] > 0
    assert facts["steps"] == wanted["steps"]
    assert facts["validation_loss"] == pytest.approx(wanted["validation_loss"], abs=1e-4)
    one, other = (results.load(v.report).evaluations[0] for v in (made, whole))
    assert one.columns["predicted"] == other.columns["predicted"]
    assert facts["seconds"] > before.seconds, "the time before the kill counts"
    assert not (made.folder / "checkpoints").exists()


def test_lora_learns_and_is_served_from_an_adapter(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    """On a base that had learned other labels, and a top of another size."""
    two = [(text, label) for text, label in rows() if label != "flat"]
    once = {**SHORT, "epochs": "1"}  # what it learned does not matter, only that its labels are others
    base = run(runtime, prepared(runtime, "full", table(tmp_path / "x.csv", two), encoder, out="base", settings=once))
    path = table(tmp_path / "y.csv", [(text.replace("report", "call"), label) for text, label in rows()])
    ready = prepared(runtime, "lora", path, base.model, settings={**SHORT, "epochs": "8", "learning_rate": "0.01"})
    made = run(runtime, ready)
    facts = made.facts()
    assert facts["trained_weights"] == pytest.approx(ready.trained_weights, rel=0.1)
    assert facts["trained_weights"] < facts["weights"] / 5
    found = results.load(made.report).evaluations[0]
    assert found.value("accuracy") > 0.8, "chance is 0.33"
    asyncio.run(promotion.promote(made, runtime.settings, force=True))
    model = runtime.decision("trained:stock")
    answer = asyncio.run(model.decide("Acme stock soars after the report", [Question("m", "choice", "", ("good", "bad", "flat"))]))  # fmt: skip
    assert answer["m"].answer == "good"
    why = asyncio.run(
        explain(open_classifier(made, runtime.settings), "Acme stock soars after the report", version=made)
    )
    assert why.method == "occlusion"
    assert max(why.parts, key=lambda part: part.weight).text == "soars"
    export_to(made, tmp_path / "out")
    assert {"adapter_config.json", "adapter_model.safetensors", "labels.json", "README.md"} <= {p.name for p in (tmp_path / "out").iterdir()}  # fmt: skip


def test_adalora_moves_ranks_and_is_whole_at_the_end(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    ready = prepared(
        runtime,
        "adalora",
        table(tmp_path / "x.csv", rows()),
        encoder,
        settings={**SHORT, "epochs": "20", "learning_rate": "0.05"},
    )
    made = run(runtime, ready)
    facts = made.facts()
    assert facts["trained_weights"] < ready.trained_weights, "ranks were taken away"
    assert results.load(made.report).evaluations[0].value("accuracy") > 0.8, "chance is 0.33"
    assert (made.model / "config.json").is_file(), "a whole model"
    assert not (made.model / "adapter_config.json").exists()


def test_two_processes_come_to_what_one_does(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    path, settings = table(tmp_path / "x.csv", rows()), {**SHORT, "epochs": "1"}
    alone = run(runtime, prepared(runtime, "full", path, encoder, settings=settings))
    doubled = Runtime(override(runtime.settings, training__processes=2))
    both = run(doubled, prepared(doubled, "full", path, encoder, settings=settings, fresh=True))
    doubled.close()
    one, two = alone.facts(), both.facts()
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["steps"] == one["steps"]
    assert two["validation_loss"] == pytest.approx(one["validation_loss"], rel=0.1), "a mean over the whole batch"
    uneven = Runtime(override(runtime.settings, training__processes=3))
    with pytest.raises(InputError, match="Allowed: 3, 6, 9 …"):
        prepared(uneven, "full", path, encoder, fresh=True)
    uneven.close()


def test_the_curve_is_there_for_tensorboard(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    made = run(
        runtime, prepared(runtime, "frozen", table(tmp_path / "x.csv", rows()), encoder, settings={"epochs": "1"})
    )
    written = b"".join(path.read_bytes() for path in (made.folder / "tensorboard").glob("events.out.tfevents.*"))
    assert b"eval/loss" in written
    assert b"train/learning_rate" in written


def test_who_else_watches_must_be_installed(
    runtime: Runtime, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.tracking.find_spec", lambda _: None)
    told = Runtime(override(runtime.settings, training__track="swanlab"))
    with pytest.raises(MissingPackage, match="pip install swanlab"):
        prepared(told, "full", table(tmp_path / "x.csv", rows()), encoder)
    told.close()


def test_fewer_bits_need_a_card(runtime: Runtime, tmp_path: Path) -> None:
    base = write_text_model(tmp_path / "tiny")
    told = Runtime(override(runtime.settings, local__quantization="int4", local__device="cpu"))
    talks = [{"prompt": f"say {word} {'x' * n}", "completion": word} for n in range(14) for word in ("aa", "bb", "cc")]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, talks)))
    with pytest.raises(InvalidSetting, match=r"local\.quantization"):
        prepared(told, "chat", tmp_path / "x.jsonl", base, settings={})
    told.close()


def test_frozen_moves_the_top_alone(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    settings = {"epochs": "2"}
    told = Runtime(override(runtime.settings, local__device="cpu"))
    made = run(told, prepared(told, "frozen", table(tmp_path / "x.csv", rows()), encoder, settings=settings))
    before, after = load_file(encoder / "model.safetensors"), load_file(made.model / "model.safetensors")
    same = {name for name in before if name in after and before[name].shape == after[name].shape and (before[name] == after[name]).all()}  # fmt: skip
    assert {name for name in before if name.startswith("bert.") and "pooler" not in name} <= same
    assert "classifier.weight" not in same
    assert made.facts()["device"] == "cpu", "what a program set, and neither the environment nor a file"
    told.close()


def test_a_run_that_does_not_fit_is_refused_before_it_begins(
    runtime: Runtime, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.providers.torch_device.free_bytes", lambda _: 100 << 20)
    with pytest.raises(OutOfMemory) as caught:
        prepared(runtime, "full", table(tmp_path / "x.csv", rows()), encoder)
    assert code_of(caught.value) == "out_of_memory.training"
    assert " 100 MiB" in str(caught.value)
    assert Trained(runtime.settings.home).names() == []


def test_stopping_leaves_a_checkpoint(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    ready = prepared(runtime, "full", table(tmp_path / "x.csv", rows()), encoder)

    async def stopped() -> None:
        task = asyncio.create_task(work.train(runtime, ready))
        log = Log(ready.version.folder / "progress.jsonl")
        while (last := log.last()) is None or last.step < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert Jobs(runtime.workspace).get(LOCAL, ready.job.id).state == "waiting"
    assert newest(ready.version.folder / "checkpoints") is not None
    assert ready.version.facts() == {}


def test_a_checkpoint_that_is_half_written_is_taken_away(tmp_path: Path) -> None:
    for step, state in ((3, "{}"), (12, '{"global'), (9, "{}"), (15, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert newest(tmp_path) == tmp_path / "checkpoint-9"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-3", "checkpoint-9"]


def test_a_chat_model_learns_what_the_assistant_says(runtime: Runtime, tmp_path: Path) -> None:
    base = write_text_model(tmp_path / "tiny")
    talks = [
        {
            "messages": [
                {"role": "user", "content": f"say {word} {'x' * n}"},
                {"role": "assistant", "content": word},
            ],
            "expected": [word],
        }
        for n in range(18)
        for word in ("aa", "bb", "cc")
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, talks[:42])))
    (tmp_path / "x-test.jsonl").write_text("\n".join(map(json.dumps, talks[42:])))
    settings = {"epochs": "5", "learning_rate": "0.01", "accumulate": "1"}
    ready = prepared(runtime, "chat", tmp_path / "x.jsonl", base, out="talk", settings=settings, test=tmp_path / "x-test.jsonl")  # fmt: skip
    made = run(runtime, ready)
    mine, plain = results.load(made.report).evaluations
    assert mine.value("perplexity") < plain.value("perplexity") / 100
    assert {"overlap", "expected_words"} <= mine.figures.keys()
    config = json.loads((made.model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    asyncio.run(promotion.promote(made, runtime.settings))
    model = runtime.chat("trained:talk")
    assert model.name == "trained:talk@1"
    asked, options = (user("say aa x"),), Options(max_tokens=6, temperature=0.0)
    assert asyncio.run(complete(model, asked, options)).finish_reason == "stop", "it has learned to end its turn"
    before = runtime.chat(f"transformers:{base}")
    assert asyncio.run(complete(before, asked, options)).finish_reason == "length"

    # Merged, it is a model of its own that says the same.
    export_merged(made, tmp_path / "whole", runtime.settings)
    whole = runtime.chat(f"transformers:{tmp_path / 'whole'}")
    assert asyncio.run(complete(whole, asked, options)).text == asyncio.run(complete(model, asked, options)).text
    with pytest.raises(MissingPackage, match="convert_hf_to_gguf"):
        export_gguf(made, tmp_path / "packed", runtime.settings)

    # It goes on learning from preferences with its adapter, and what it is compared with is what it was.
    thumbs = [
        {"prompt": f"say {w} {'x' * n}", "chosen": f"{w} {w}", "rejected": w}
        for n in range(18)
        for w in ("aa", "bb", "cc")
    ]
    (tmp_path / "y.jsonl").write_text("\n".join(map(json.dumps, thumbs[:42])))
    (tmp_path / "y-test.jsonl").write_text("\n".join(map(json.dumps, thumbs[42:])))
    more = {"epochs": "2", "learning_rate": "0.005", "accumulate": "1", "max_tokens": "64", "evaluations": "1"}
    ready = work.prepare(
        runtime, "dpo", tmp_path / "y.jsonl", out="talk", base="trained:talk", settings=more, test=tmp_path / "y-test.jsonl"
    )  # fmt: skip
    assert ready.version.run.base == "trained:talk@1"
    liked = run(runtime, ready)
    config = json.loads((liked.model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base), "it stands on the first model, not on the adapter"
    mine, plain = results.load(liked.report).evaluations
    assert plain.value("preferred") == 0.0, "before, it says one word"
    assert mine.value("margin") > plain.value("margin") + 5
    # Both are chat models, so it may follow; but it has learned to say what the conversations did not teach.
    step, gate, against = asyncio.run(promotion.promote(liked, runtime.settings))
    verdicts = {(row.task, row.measure): row.verdict for row in gate.rows}
    assert (step, against) == (None, "trained:talk@1")
    assert verdicts["preferences", "margin"] == "better"
    assert verdicts["conversations", "perplexity"] == "worse"
    asyncio.run(promotion.promote(liked, runtime.settings, force=True))
    assert runtime.chat("trained:talk").name == "trained:talk@2"
    with pytest.raises(InputError) as caught:
        prepared(runtime, "full", table(tmp_path / "z.csv", rows()), Path("trained:talk"))
    assert code_of(caught.value) == "input.wrong_kind"


def test_only_the_assistants_words_are_learned(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from core.training.recipes.chat import IGNORED, encoded, padded

    tokenizer = AutoTokenizer.from_pretrained(write_text_model(tmp_path / "tiny"))
    turns = [("user", "one"), ("assistant", "TWO"), ("user", "three"), ("assistant", "FOUR")]
    record = Record("1", "", answers=("FOUR",), metadata={"messages": [{"role": r, "content": c} for r, c in turns]})
    row = encoded(tokenizer, record, 500)
    assert row is not None
    said = tokenizer.decode([label for label in row["labels"] if label != IGNORED])
    assert said == "TWO<|im_end|>\nFOUR<|im_end|>\n"
    assert encoded(tokenizer, record, 8) is None
    batch = padded(tokenizer)([row, {"input_ids": [1], "labels": [1]}])
    assert batch["attention_mask"].sum().item() == len(row["input_ids"]) + 1
    assert (batch["labels"][1, 1:] == IGNORED).all()


def test_an_embedding_model_brings_partners_together(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    names = [
        "kettle",
        "lamp",
        "chair",
        "mixer",
        "radio",
        "tent",
        "stove",
        "clock",
        "scale",
        "torch",
        "bottle",
        "shelf",
        "pillow",
        "carpet",
        "mirror",
        "ladder",
    ]
    pairs = [
        (f"how do I {verb} my {name}", f"{name} {verb} guide") for name in names for verb in ("clean", "open", "fix")
    ]
    path = table(tmp_path / "x.csv", pairs, head="anchor,positive")
    settings = {"epochs": "8", "learning_rate": "0.003", "batch_size": "16"}
    made = run(runtime, prepared(runtime, "embedding", path, encoder, out="faq", settings=settings))
    mine, plain = results.load(made.report).evaluations
    assert mine.value("ndcg@10") > plain.value("ndcg@10") + 0.1
    asyncio.run(promotion.promote(made, runtime.settings))
    model = runtime.embedding("trained:faq")
    vectors = asyncio.run(model.embed(["kettle", ""], kind="query"))
    assert vectors.shape == (2, 32)
    assert model.name == "trained:faq@1", "vectors are kept under the name, so it says which version made them"
    with pytest.raises(InputError):
        runtime.decision("trained:faq")


def test_a_batch_never_holds_one_text_twice() -> None:
    records = [
        Record(str(n), a, answers=(b,)) for n, (a, b) in enumerate([("a", "b"), ("a", "c"), ("d", "b"), ("e", "f")])
    ]
    assert [row["anchor"] for row in distinct(records)] == ["a", "e"]
