"""Language models from plain text: tokenizer, rows, hidden tokens, losses in a common unit, and runs from nothing."""

from __future__ import annotations

import asyncio
import json
import math
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, OutOfMemory
from core.evaluation import results
from core.evaluation.datasets import Record
from core.runtime import Runtime
from core.training import promotion, texts, work
from core.training.byte_ngrams import SYMBOLS, ByteNgrams
from core.training.store import Version
from tests.core.training.conftest import rows as headlines
from tests.core.training.conftest import table

pytestmark = pytest.mark.usefixtures("one_thread")
needs_torch = pytest.mark.skipif(not (find_spec("torch") and find_spec("peft")), reason="needs torch and peft")
TINY = {
    "epochs": "5",
    "batch_size": "8",
    "vocabulary": "300",
    "layers": "1",
    "width": "32",
    "max_tokens": "32",
    "learning_rate": "0.01",
}
PEOPLE, VERBS = ("Ada", "Bo", "小明", "Eve"), ("buys", "sells", "买了")


def story(path: Path, sentences: int = 160) -> Path:
    """Paragraphs in which the amount always follows from the thing."""
    draw = random.Random(3)
    price = {"lamp": "three coins", "tent": "nine coins", "kettle": "五个硬币"}
    lines = []
    for number in range(sentences):
        thing = draw.choice(list(price))
        lines.append(f"{draw.choice(PEOPLE)} {draw.choice(VERBS)} a {thing} on day {chr(97 + number % 26)}{chr(97 + number // 26)} for {price[thing]}.")  # fmt: skip
    path.write_text("\n\n".join(lines), "utf-8")
    return path


def circle(path: Path) -> Path:
    """Paragraphs in which each word follows from the one before."""
    said = ["red", "lamp", "on", "the", "blue", "tent", "by", "a", "green", "kettle"]
    made = [" ".join(said[(at + n) % len(said)] for n in range(length)) for at in range(10) for length in range(4, 24)]
    random.Random(5).shuffle(made)
    path.write_text("\n\n".join(made), "utf-8")
    return path


def run(runtime: Runtime, recipe: str, path: Path, out: str, **options: Any) -> Version:
    given = {"settings": TINY, **options}
    if recipe != "lstm":
        given["settings"] = {**given["settings"], "heads": "2"}
    return asyncio.run(work.train(runtime, work.prepare(runtime, recipe, path, out=out, **given)))


def test_chances_of_all_symbols_sum_to_one_in_every_context() -> None:
    model = ByteNgrams(["abab", "abc", "试金石"], order=3)
    for context in (b"", b"a", b"ab", b"zz", "金".encode()):
        assert sum(model.probability(context, s) for s in range(SYMBOLS)) == pytest.approx(1.0)
    assert model.probability(b"a", ord("b")) > 0.5
    assert model.loss("abc") < model.loss("cba")


def test_the_chance_by_hand() -> None:
    """One text "a" of order 1: two symbols, one each; Witten-Bell gives half its weight to the rest."""
    model = ByteNgrams(["a"], order=1)
    assert model.probability(b"", ord("a")) == pytest.approx((1 + 2 / SYMBOLS) / 4)
    assert model.loss("") == pytest.approx(-math.log((1 + 2 / SYMBOLS) / 4))


@needs_torch
def test_a_tokenizer_of_ones_own_gives_any_text_back() -> None:
    from core.training.recipes.language import END, START, learn_tokenizer, rows

    made = learn_tokenizer(["the lamp and the tent", "灯和帐篷"], 280, "masked")
    for text in ("the tent", "帐篷 ½ 🜁 \n tab\t"):
        assert made.decode(made(text, add_special_tokens=False)["input_ids"]) == text
    assert made.convert_ids_to_tokens(made("the")["input_ids"])[::2][0] == START
    cut = rows(made, [Record("1", "the lamp and"), Record("2", "帐篷")], 6)
    whole = [*cut[0]["input_ids"], *(i for row in cut[1:] for i in row["input_ids"][1:])]
    assert made.decode(whole) == f"{START}the lamp and{END}{START}帐篷{END}", "every token is foreseen once"
    assert [row["input_ids"][-1] for row in cut[:-1]] == [row["input_ids"][0] for row in cut[1:]]


@needs_torch
def test_what_is_hidden() -> None:
    import torch

    from core.training.recipes.chat import IGNORED
    from core.training.recipes.language import hidden, learn_tokenizer

    tokenizer = learn_tokenizer(["a b c d e f"], 270, "masked")
    ids = [1, *range(10, 210), 2]
    row = hidden(ids, tokenizer, torch.Generator().manual_seed(0))
    places = [n for n, label in enumerate(row["labels"]) if label != IGNORED]
    assert 15 <= len(places) <= 50
    assert all(row["labels"][n] == ids[n] for n in places)
    assert all(row["input_ids"][n] == ids[n] for n in range(len(ids)) if n not in places)
    shown = [row["input_ids"][n] for n in places]
    assert shown.count(tokenizer.mask_token_id) > len(places) / 2
    assert row["labels"][0] == row["labels"][-1] == IGNORED
    assert sum(label != IGNORED for label in hidden([1, 50, 2], tokenizer)["labels"]) == 1


@needs_torch
def test_a_transformer_from_nothing_beats_counting_and_goes_on_writing(runtime: Runtime, tmp_path: Path) -> None:
    path = story(tmp_path / "story.txt")
    made = run(runtime, "causal", path, "story")
    mine, plain = results.load(made.report).evaluations
    assert plain.system == "6-gram of bytes"
    assert mine.value("bits_per_byte") < 1.5, "equal chances are 8"
    assert made.facts()["weights"] == made.facts()["trained_weights"]
    config = json.loads((made.model / "config.json").read_text())
    assert config["model_type"] == "llama"
    said = asyncio.run(texts.written(made, runtime.settings, "Ada buys a tent on day", tokens=20))
    assert "nine coins" in said
    # The LSTM is judged in the same unit on the same rows, so the gate compares the two.
    other = run(runtime, "lstm", path, "story")
    assert other.splits().checksum == made.splits().checksum
    lstm = results.load(other.report).evaluations[0]
    assert lstm.value("bits_per_byte") < 2.5
    assert lstm.columns["bytes"] == mine.columns["bytes"]
    assert asyncio.run(texts.written(other, runtime.settings, "Bo", tokens=3, seed=1)).startswith("Bo")
    asyncio.run(promotion.promote(made, runtime.settings, force=True))
    gate, against = asyncio.run(promotion.compared(other, runtime.settings))
    assert against == "trained:story@1"
    assert [row.measure for row in gate.rows] == ["bits_per_byte"]
    with pytest.raises(InputError, match="kind"):
        runtime.chat("trained:story")
    # It goes on from its own weights.
    more = run(runtime, "causal", path, "more", base="trained:story", settings={**TINY, "epochs": "1"})
    first = results.load(more.report).evaluations[0]
    assert first.value("bits_per_byte") < mine.value("bits_per_byte") + 0.3


@needs_torch
def test_an_encoder_from_nothing_is_a_base_for_a_classifier(runtime: Runtime, tmp_path: Path) -> None:
    settings = {**TINY, "epochs": "25", "dropout": "0", "patience": "100", "learning_rate": "0.005"}
    made = run(runtime, "masked", circle(tmp_path / "circle.txt"), "guesser", settings=settings)
    mine, plain = results.load(made.report).evaluations
    assert plain.system == "frequency"
    assert mine.columns["tokens"] == plain.columns["tokens"], "the same tokens are hidden"
    assert mine.value("masked_perplexity") < plain.value("masked_perplexity") * 0.9
    with pytest.raises(InputError):
        asyncio.run(texts.written(made, runtime.settings, "Ada"))
    path = table(tmp_path / "x.csv", headlines())
    settings = {"epochs": "8", "learning_rate": "0.01", "batch_size": "8"}
    ready = work.prepare(runtime, "full", path, out="stock", base="trained:guesser", settings=settings)
    classifier = asyncio.run(work.train(runtime, ready))
    assert results.load(classifier.report).evaluations[0].value("accuracy") > 0.45, "chance is 0.33"


@needs_torch
def test_sizes_that_cannot_be_are_refused_before_anything_is_made(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story(tmp_path / "story.txt")
    with pytest.raises(InputError, match="multiple of 6"):
        work.prepare(runtime, "causal", path, out="x", settings={**TINY, "heads": "3"})
    monkeypatch.setattr("core.providers.torch_device.free_bytes", lambda _: 2 << 30)
    for recipe in ("causal", "lstm"):
        with pytest.raises(OutOfMemory):
            work.prepare(runtime, recipe, path, out="x", settings={"width": "8192", "layers": "8"})
