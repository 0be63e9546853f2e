"""Cross-encoders, preferences and entities: what is read, what is mined, what is learned, how it is judged."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, code_of
from core.evaluation import results
from core.evaluation.datasets import Dataset, Record
from core.evaluation.judges import retrieval_task
from core.evaluation.tasks import judged
from core.runtime import Runtime
from core.training import entities, judging, preferences, promotion, reranking, work
from core.training.checks import DataReport, examine
from core.training.mining import mined
from core.training.recipes.cross_encoder import groups
from core.training.recipes.entities import marked, read_off, whole_words
from core.training.store import Version
from tests.core.providers.tiny_torch import minilm
from tests.core.providers.tiny_transformers import write_text_model

pytestmark = pytest.mark.usefixtures("one_thread")
needs_torch = pytest.mark.skipif(not (find_spec("torch") and find_spec("peft")), reason="needs torch and peft")
WRONG = [
    "advert",
    "price",
    "poem",
    "song",
    "joke",
    "letter",
    "bill",
    "photo",
    "film",
    "game",
    "cup",
    "list",
    "map",
    "rule",
    "tale",
    "wish",
    "cake",
    "note",
    "coin",
]
THINGS = ("kettle", "lamp", "tent", "clock", "radio", "stove", "chair", "mixer", "shelf", "torch")


def lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def run(runtime: Runtime, recipe: str, path: Path, base: Path, settings: dict[str, str], **more: Any) -> Version:
    ready = work.prepare(runtime, recipe, path, out="made", base=str(base), settings=settings, **more)
    return asyncio.run(work.train(runtime, ready))


def codes(report: DataReport) -> dict[str, int]:
    return {finding.code: finding.count for finding in report.findings}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


# --- cross-encoders ---------------------------------------------------------------------------------


def test_what_a_search_puts_high_and_is_not_right_becomes_a_negative() -> None:
    found = {"q": ["near miss", "Shop\nThe right one, whole.", "right one", "another", "near miss", "third"]}

    async def search(query: str) -> Sequence[str]:
        return found[query]

    records = [Record("1", "q", answers=("the right one",)), Record("2", "q", answers=("third",))]
    made = asyncio.run(mined(records, search, count=5))
    assert [row["negatives"] for row in made] == [["near miss", "another"]] * 2, (
        "a right passage of any row is no negative"
    )
    assert [row["positive"] for row in made] == ["the right one", "third"]
    assert asyncio.run(mined(records, search, count=5, skip=1))[0]["negatives"] == ["another", "near miss"]


def test_groups_never_hold_a_right_passage_as_wrong() -> None:
    records = [
        Record("1", "q", answers=("a",), metadata={"negatives": ["b", "x", "y"]}),
        Record("2", "q", answers=("b",)),
        Record("3", "other", answers=("c",)),
    ]
    made = groups(records, 2, seed=0)
    assert made[0]["passages"][0] == "a"
    assert set(made[0]["passages"][1:]) == {"x", "y"}
    assert made[1]["passages"] == ["b", "c"], "strangers fill up, but for what is right for the query"
    assert groups(records, 2, seed=0) == made


def test_the_order_by_hand() -> None:
    test = Dataset("d", "test", (Record("1", "q", answers=("right",), metadata={"negatives": ["bad"]}),))
    task = reranking.task(test, ["stranger"])

    class ByLength:
        async def rerank(self, query: str, passages: Sequence[str]) -> Any:
            import numpy as np

            return np.array([float(len(text)) for text in passages])

    found = judged(task, asyncio.run(reranking.ordered(task.data, ByLength())), name="by length")  # type: ignore[arg-type]
    assert found.value("mrr@10") == 0.5, "stranger, right, bad"
    assert {document.text for document in task.data.documents} == {"right", "bad", "stranger"}


def test_a_model_that_knows_nothing_gains_nothing_by_the_order_of_the_candidates() -> None:
    test = Dataset("d", "test", tuple(Record(str(n), f"q{n}", answers=(f"right {n}",)) for n in range(200)))
    task = reranking.task(test, [])

    class Blind:
        async def rerank(self, query: str, passages: Sequence[str]) -> Any:
            import numpy as np

            return np.zeros(len(passages))

    found = judged(task, asyncio.run(reranking.ordered(task.data, Blind())), name="blind")  # type: ignore[arg-type]
    assert found.value("success@1") < 0.12, "one in twenty is chance"


@needs_torch
def test_a_cross_encoder_learns_and_orders_what_a_search_found(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    rows = [
        {"anchor": f"how to {verb} the {thing}", "positive": f"{thing} {verb} guide", "negatives": [f"{thing} {verb} {other}" for other in WRONG]}
        for thing in THINGS for verb in ("clean", "open", "fix", "move")
    ]  # fmt: skip
    settings = {"epochs": "5", "learning_rate": "0.01", "batch_size": "8", "patience": "100", "evaluations": "1"}
    path = lines(tmp_path / "x.jsonl", rows)
    made = run(runtime, "cross-encoder", path, encoder, settings)
    mine, plain = results.load(made.report).evaluations
    assert plain.system == "embedded:lexical"
    assert mine.value("mrr@10") > 0.8, "among twenty that share its words"
    assert plain.value("mrr@10") < 0.5
    with pytest.raises(InputError, match="cross-encoder"):
        runtime.embedding("trained:made@1")
    step, _, _ = asyncio.run(promotion.promote(made, runtime.settings, force=True))
    assert step is not None
    model = runtime.reranker("trained:made")
    assert model is not None
    assert model.name == "trained:made@1"
    scores = asyncio.run(model.rerank("how to fix the lamp", ["lamp fix poem", "lamp fix guide", "lamp fix advert"]))
    assert scores.argmax() == 1
    card = (made.folder / "README.md").read_text("utf-8")
    assert "text-ranking" in card
    assert "交叉编码器" in card
    # An embedding model is judged on another task, and the two are never compared.
    task = made.splits().test
    with pytest.raises(InputError) as caught:
        asyncio.run(judging.judge(made, retrieval_task(task), runtime.settings))
    assert code_of(caught.value) == "input.wrong_kind"


# --- preferences ------------------------------------------------------------------------------------


def test_preferences_that_are_none_are_told(tmp_path: Path) -> None:
    good = [{"prompt": f"ask {n}", "chosen": "yes", "rejected": "no"} for n in range(20)]
    bad = [
        {"prompt": "x", "chosen": "same", "rejected": "same"},
        {"prompt": [{"role": "assistant", "content": "hi"}], "chosen": "a", "rejected": "b"},
        {"prompt": "y", "chosen": "", "rejected": ""},
    ]
    thumb = {"prompt": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "z"}], "chosen": "only"}
    report = examine(lines(tmp_path / "x.jsonl", [*good, *bad, thumb]), "preferences")
    assert codes(report) == {"same_answers": 1, "bad_prompt": 1, "missing_text": 1, "too_alike": 1}
    assert report.usable == 21
    (one,) = [r for part in ("train", "validation", "test") for r in getattr(report.splits, part).records if r.answers[0] == "only"]  # fmt: skip
    assert one.answers == ("only", "")
    assert [turn["role"] for turn in one.metadata["messages"]] == ["system", "user"]


def test_single_thumbs_can_be_compared() -> None:
    """By hand: a liked answer counts as it is, another one against the model; pairs are judged by their order."""
    answers = [("a", "b"), ("a", ""), ("", "b")]
    task = preferences.task(Dataset("d", "test", tuple(Record(str(n), "q", answers=a) for n, a in enumerate(answers))))
    said = {"0": {"chosen": (-3.0, 2), "rejected": (-5.0, 2)}, "1": {"chosen": (-4.0, 2)}, "2": {"rejected": (-7.0, 2)}}
    found = judged(task, said, name="x")
    assert (found.value("margin"), found.value("preferred"), found.value("thumbs")) == (2.0, 1.0, 1.5)
    assert [measure.name for measure in task.measures if measure.gated] == ["preferred", "margin", "thumbs"]


def test_thumbs_of_one_sort_alone_can_be_read(tmp_path: Path) -> None:
    ups = lines(tmp_path / "x.jsonl", [{"prompt": f"ask {n}", "chosen": "yes"} for n in range(12)])
    assert examine(ups, "preferences").usable == 12
    for row in ({"chosen": "yes"}, {"prompt": "x"}):
        with pytest.raises(InputError) as caught:
            examine(lines(tmp_path / "y.jsonl", [row]), "preferences")
        assert code_of(caught.value) == "input.columns_missing"


@needs_torch
def test_losses_by_hand() -> None:
    """A model that gives each row's answer the log-probability that the row names."""
    import torch

    from core.training.recipes import preference

    class Told:
        def __init__(self, values: list[float]) -> None:
            self.values = torch.tensor(values)

        def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
            # Two tokens: the second is foreseen with exp(value), the other one with the rest.
            share = self.values.exp()
            scores = torch.stack([torch.log1p(-share), self.values], -1)[:, None].repeat(1, 2, 1)
            return type("Output", (), {"logits": scores})

    def batch(base: list[float], **more: Any) -> dict[str, Any]:
        labels = torch.tensor([[preference.IGNORED, 1]] * len(base))
        ones = torch.ones_like(labels)
        return {"input_ids": ones, "attention_mask": ones, "labels": labels, "base": torch.tensor(base), **more}

    # One pair: rewards 0.5 and -0.25, so the loss is -log sigmoid(0.2 * 0.75).
    found = preference.dpo_loss(0.2)(Told([-1.0, -2.0]), batch([-1.5, -1.75]))  # type: ignore[arg-type]
    assert float(found) == pytest.approx(math.log1p(math.exp(-0.15)), abs=1e-6)
    # Two thumbs, rewards 0.5 (liked) and 1.0 (not); z = mean(0.1, 0.3) = 0.2.
    thumbs = batch([-1.5, -2.0, -1.1, -1.3], liked=torch.tensor([True, False]))
    found = preference.kto_loss(0.5, 1.0, 2.0)(Told([-1.0, -1.0, -1.0, -1.0]), thumbs)  # type: ignore[arg-type]

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    wanted = ((1 - sigmoid(0.5 * 0.3)) + 2 * (1 - sigmoid(-0.5 * 0.8))) / 2
    assert float(found) == pytest.approx(wanted, abs=1e-6)
    assert preference.balanced([{"liked": True}, {"liked": True}, {"liked": False}]) == (1.0, 2.0)


@needs_torch
def test_an_answer_keeps_its_words_when_the_prompt_is_too_long(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from core.training.recipes.chat import IGNORED
    from core.training.recipes.preference import answered

    tokenizer = AutoTokenizer.from_pretrained(write_text_model(tmp_path / "tiny"))
    record = Record("1", "", metadata={"messages": [{"role": "user", "content": "long " * 50}]})
    row = answered(tokenizer, record, "the answer", 40)
    assert len(row["input_ids"]) == 40
    assert tokenizer.decode([label for label in row["labels"] if label != IGNORED]).startswith("the answer<|im_end|>")


@needs_torch
@pytest.mark.parametrize("recipe", ["dpo", "kto"])
def test_what_people_like_becomes_likelier(runtime: Runtime, tmp_path: Path, recipe: str) -> None:
    base = write_text_model(tmp_path / "tiny")
    pairs = [{"prompt": f"say {word} {'x' * n}", "chosen": f"{word} yes", "rejected": f"{word} no"} for n in range(10) for word in ("aa", "bb", "cc")]  # fmt: skip
    judging = lines(tmp_path / "test.jsonl", [{**row, "prompt": row["prompt"] + " now"} for row in pairs[:9]])
    singles = [{name: row[name] for name in ("prompt", ("chosen", "rejected")[n % 2])} for n, row in enumerate(pairs)]
    if recipe == "dpo":
        with pytest.raises(InputError) as caught:
            work.prepare(runtime, "dpo", lines(tmp_path / "t.jsonl", singles), out="x", base=str(base))
        assert code_of(caught.value) == "input.no_pairs"
    path = lines(tmp_path / "x.jsonl", pairs if recipe == "dpo" else singles)
    settings = {"epochs": "2", "learning_rate": "0.005", "accumulate": "1", "max_tokens": "64", "evaluations": "1"}
    made = run(runtime, recipe, path, base, settings, test=judging)
    mine, plain = results.load(made.report).evaluations
    assert plain.value("preferred") == 0.0, "the longer answer is the less likely one"
    assert mine.value("preferred") == 1.0
    assert mine.value("margin") > plain.value("margin") + 10
    asyncio.run(promotion.promote(made, runtime.settings, force=True))
    assert runtime.chat("trained:made").name == "trained:made@1"


# --- entities ---------------------------------------------------------------------------------------


def entity_rows() -> list[dict[str, Any]]:
    found = []
    for n in range(72):
        thing, number = THINGS[n % 6], f"A{100 + 7 * n}"
        text = f"where is order {number} with my {thing}"
        places = [(text.index(number), number, "order"), (text.index(thing), thing, "product")]
        found.append({"text": text, "entities": [{"start": at, "end": at + len(said), "label": label} for at, said, label in places]})  # fmt: skip
    return found


def test_entities_that_are_none_are_told(tmp_path: Path) -> None:
    good, text = entity_rows(), "order A1 of a lamp"
    bad: list[Any] = [
        [{"start": 6, "end": 60, "label": "order"}],
        [{"start": 6, "end": 8, "label": ""}],
        [{"start": 6, "end": 8, "label": "order"}, {"start": 7, "end": 10, "label": "order"}],
        [{"start": 8, "end": 6, "label": "order"}],
        [[6, 8, "order"]],
        "order",
    ]
    rows = [
        *good,
        *({"text": f"{text} {n}", "entities": told} for n, told in enumerate(bad)),
        {"text": "", "entities": []},
    ]
    report = examine(lines(tmp_path / "x.jsonl", rows), "entities")
    assert codes(report) == {"bad_spans": 6, "missing_text": 1, "too_alike": 2}
    assert report.ok
    assert report.labels == {"order": 72, "product": 72}
    none = examine(lines(tmp_path / "y.jsonl", [{"text": row["text"], "entities": []} for row in good]), "entities")
    assert codes(none) == {"no_entities": 0, "too_alike": 2}
    assert not none.ok


def test_marks_come_to_pieces() -> None:
    places = [(0, 0), (0, 2), (2, 4), (5, 7), (7, 9), (9, 9)]
    marks = ["O", "I-date", "I-date", "B-date", "I-up-date", "O"]
    assert read_off(marks, [1.0, 0.9, 0.8, 0.7, 0.6, 1.0], places) == [
        (0, 4, "date", 0.8), (5, 7, "date", 0.7), (7, 9, "up-date", 0.6),
    ]  # fmt: skip


def test_no_piece_ends_within_a_word() -> None:
    assert whole_words("order PW28-1退AB", [(7, 8, "order", 0.9), (8, 10, "other", 0.8), (11, 12, "n", 0.7), (13, 14, "x", 0.6)]) == [
        (6, 10, "order", 0.9), (11, 12, "n", 0.7), (13, 15, "x", 0.6),
    ]  # fmt: skip


def test_pieces_are_judged_whole() -> None:
    record = Record("1", "A1 and B2", metadata={"entities": [[0, 2, "order"], [7, 9, "order"]]})
    task = entities.task(Dataset("d", "test", (record,)))
    found = judged(task, {"1": [(0, 2, "order"), (7, 8, "order"), (3, 6, "word")]}, name="x")
    assert (found.value("precision"), found.value("recall"), found.value("f1")) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    seen = entities.SeenBefore([record])
    assert [(e.start, e.text, e.label) for e in seen.extract("B2, A1")] == [(0, "B2", "order"), (4, "A1", "order")]
    assert entities.SeenBefore([]).extract("A1") == []


@needs_torch
def test_pieces_are_learned_and_found_in_new_texts(runtime: Runtime, encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(encoder))
    record = Record("1", "Order A1!", metadata={"entities": [[6, 8, "order"]]})
    assert marked(tokenizer, record, ["O", "B-order", "I-order"], 64)["labels"] == [-100, 0, 1, 0, -100]
    settings = {"epochs": "12", "learning_rate": "0.01", "batch_size": "8", "patience": "100"}
    made = run(runtime, "entities", lines(tmp_path / "x.jsonl", entity_rows()), encoder, settings)
    mine, plain = results.load(made.report).evaluations
    assert plain.system == "seen before"
    assert plain.value("recall") == pytest.approx(0.5), "products were seen, numbers are new"
    assert mine.value("f1") > 0.9
    (order, product) = asyncio.run(entities.extracted(made, runtime.settings, "where is order A888 with my lamp"))
    assert (order.label, order.text, product.label, product.text) == ("order", "A888", "product", "lamp")
    assert 0.5 < order.probability <= 1
    with pytest.raises(InputError):
        runtime.decision("trained:made@1")
