"""A head learns labels, knows what it does not know, and is the same after it was saved."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, MissingFile, MissingPackage, code_of
from core.providers.registry import open_model
from core.settings import Settings
from core.training.baseline import fit_tfidf_svm
from core.training.fit import fit, spoken
from core.training.heads import Head, load
from core.training.ngrams import grams, learn
from core.types import Example

KINDS = {
    "return": ("我要退货", "怎么退货", "退货要几天", "return my order", "how do I return this", "send it back please"),
    "delivery": (
        "什么时候到货",
        "快递到哪了",
        "物流太慢",
        "where is my parcel",
        "track my delivery",
        "when will it ship",
    ),
    "invoice": (
        "开发票",
        "发票抬头写错了",
        "要电子发票",
        "I need an invoice",
        "invoice for my company",
        "wrong invoice",
    ),
}
EXAMPLES = [Example(text, label) for label, texts in KINDS.items() for text in texts]
STRANGE = [Example(text, "oos") for text in ("今天天气怎么样", "tell me a joke", "量子力学", "who won the match")]


@pytest.fixture
def embedding(settings: Settings):  # type: ignore[no-untyped-def]
    return open_model("embedding", "scripted:hash", settings)


def trained(embedding, **options) -> Head:  # type: ignore[no-untyped-def]
    return asyncio.run(fit([*EXAMPLES, *STRANGE], embedding, **options))


def test_grams_of_both_languages() -> None:
    found = grams("我要退货 now now")
    assert found["w"]["退货"] == 1
    assert found["w"]["now"] == 2
    assert found["w"]["now now"] == 1
    assert found["c"][" now "] == 2
    assert grams("ＮＯＷ") == grams("now")
    assert grams("") == {"w": {}, "c": {}}


def test_a_vocabulary_weighs_rare_terms_more_and_scales_each_kind_to_one() -> None:
    vocabulary = learn(["red shoe", "red hat", "red coat"], most=2000)
    assert vocabulary.idf[vocabulary.index["w:red"]] == pytest.approx(1.0)
    assert vocabulary.idf[vocabulary.index["w:hat"]] == pytest.approx(1 + np.log(2))
    indptr, indices, values = vocabulary.rows(["red hat", "nothing", ""])
    kinds = np.array([vocabulary.terms[i][0] for i in indices[: indptr[1]]])
    for kind in "wc":
        assert np.linalg.norm(values[: indptr[1]][kinds == kind]) == pytest.approx(1.0)
    assert indptr[-1] == indptr[2]  # an empty text is an empty row
    assert learn(["a b", "a c"], most=2).terms == ("w:a", "c: a")


def test_labels_are_learned_and_probabilities_sum_to_one(embedding) -> None:  # type: ignore[no-untyped-def]
    head = trained(embedding)
    asked = ["想退货", "parcel tracking", "电子发票怎么开"]
    found = asyncio.run(head.predict(asked, embedding))
    assert [p.label for p in found] == ["return", "delivery", "invoice"]
    for prediction in found:
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
        assert prediction.probability == max(prediction.probabilities.values())
    assert head.about["examples"] == len(EXAMPLES)
    assert asyncio.run(head.predict([], embedding)) == []


def test_the_scope_keeps_the_share_that_was_asked_for(embedding) -> None:  # type: ignore[no-untyped-def]
    loose, strict = trained(embedding, kept=0.99), trained(embedding, kept=0.5)
    assert loose.scope is not None
    assert strict.scope is not None
    assert loose.scope.threshold < strict.scope.threshold
    known = asyncio.run(loose.predict([e.text for e in EXAMPLES], embedding))
    strange = asyncio.run(loose.predict(["qwxz", "天上的云"], embedding))
    assert np.mean([p.known for p in known]) > np.mean([p.known for p in strange])


def test_many_texts_of_no_label_teach_what_is_strange(embedding, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    weather = [
        Example(f"{what}{when}", "oos")
        for what in ("会下雨吗", "会下雪吗", "刮风吗", "出太阳吗", "有雾吗")
        for when in ("今天", "明天", "后天", "周末", "下周")
    ]
    asked, known = ["会下冰雹吗今天", "出月亮吗周末"], [e.text for e in EXAMPLES]
    few = asyncio.run(fit([*EXAMPLES, *weather[:19]], embedding, kept=0.9))
    assert few.views.plane.shape == (0,)
    assert max(p.known for p in asyncio.run(few.predict(asked, embedding))) > 0.5
    many = asyncio.run(fit([*EXAMPLES, *weather], embedding, kept=0.9))
    found = asyncio.run(many.predict([*asked, *known], embedding))
    assert max(p.known for p in found[: len(asked)]) < 0.1
    assert np.mean([p.in_scope for p in found[len(asked) :]]) >= 0.8
    many.save(tmp_path)
    assert asyncio.run(load(tmp_path).predict([*asked, *known], embedding)) == found
    validated = asyncio.run(fit(EXAMPLES, embedding, validation=[*EXAMPLES, *weather]))
    assert not any(p.in_scope for p in asyncio.run(validated.predict(asked, embedding)))


def test_validation_is_used_in_place_of_folds(embedding) -> None:  # type: ignore[no-untyped-def]
    one_each = [Example(texts[0], label) for label, texts in KINDS.items()]
    with pytest.raises(InputError) as raised:
        asyncio.run(fit(one_each, embedding))
    assert raised.value.params["name"] == "examples"
    head = asyncio.run(fit(one_each, embedding, validation=EXAMPLES))
    assert asyncio.run(head.predict(["我要退货"], embedding))[0].label == "return"


def test_two_labels_work_like_many(embedding) -> None:  # type: ignore[no-untyped-def]
    two = [e for e in EXAMPLES if e.label != "invoice"]
    head = asyncio.run(fit(two, embedding))
    assert [p.label for p in asyncio.run(head.predict(["怎么退货", "快递到哪了"], embedding))] == ["return", "delivery"]
    with pytest.raises(InputError):
        asyncio.run(fit([e for e in two if e.label == "return"], embedding))


def test_a_saved_head_says_the_same(embedding, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    head = trained(embedding)
    head.save(tmp_path / "head")
    again = load(tmp_path / "head")
    asked = ["想退货", "where is it", "笑话"]
    assert asyncio.run(again.predict(asked, embedding)) == asyncio.run(head.predict(asked, embedding))
    assert {p.name for p in (tmp_path / "head").iterdir()} == {"head.json", "head.safetensors"}


@pytest.mark.parametrize("damage", ["{", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_head_is_refused(embedding, tmp_path: Path, damage: str) -> None:  # type: ignore[no-untyped-def]
    trained(embedding).save(tmp_path)
    (tmp_path / "head.json").write_text(damage, "utf-8")
    with pytest.raises(InputError) as raised:
        load(tmp_path)
    assert code_of(raised.value) == "input.bad_head"


def test_arrays_of_another_head_are_refused(embedding, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    trained(embedding).save(tmp_path)
    told = json.loads((tmp_path / "head.json").read_text("utf-8"))
    told["labels"].append("more")
    (tmp_path / "head.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(InputError):
        load(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError):
        load(tmp_path)
    with pytest.raises(MissingFile):
        load(tmp_path / "nowhere")


def test_another_embedding_model_is_refused(embedding, settings: Settings) -> None:  # type: ignore[no-untyped-def]
    head = trained(embedding)
    other = open_model("embedding", "scripted:hash", settings)
    other.name = "scripted:other"
    with pytest.raises(InputError):
        asyncio.run(head.predict(["x"], other))


def test_training_without_scikit_learn_says_what_to_install(embedding, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("core.training.fit.find_spec", lambda name: None)
    with pytest.raises(MissingPackage) as raised:
        trained(embedding)
    assert "touchstone-llm[train]" in raised.value.text("en")
    with pytest.raises(MissingPackage):
        fit_tfidf_svm(EXAMPLES)


@pytest.mark.parametrize(("within", "expected"), [(3.0, 4.0), (0.0, 64.0)])
def test_the_covariance_counts_as_far_as_it_tells_labels_apart(within: float, expected: float) -> None:
    """Examples that all differ along one direction are told apart without it; where they differ by chance alone, it is left."""
    random = np.random.default_rng(3)
    means, nuisance = random.normal(size=(8, 48)), random.normal(size=48)
    rows = [(f"example {n} of {label}", label) for label in range(8) for n in range(6)]
    vectors = {
        text: means[label] + within * random.normal() * nuisance + random.normal(size=48) for text, label in rows
    }

    class Drawn:
        name, dim = "drawn", 48

        async def embed(self, texts: list[str], *, kind: str) -> np.ndarray:
            found = np.array([vectors[text] for text in texts], np.float32).reshape(-1, 48)
            return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

        async def aclose(self) -> None: ...

    examples = [Example(text, f"label {label}") for text, label in rows]
    assert asyncio.run(fit(examples, Drawn(), names=False)).about["shrinkage"] == expected  # type: ignore[arg-type]


def test_names_of_labels_are_examples() -> None:
    assert [spoken(x) for x in ("card_arrival", "refundStatus", "退货", "A17", "7", "x-y")] == [
        "card arrival", "refund Status", "退货", "", "", "",
    ]  # fmt: skip


def test_the_baseline_learns_and_declines() -> None:
    model = fit_tfidf_svm(EXAMPLES, validation=EXAMPLES, kept=1.0)
    assert [label for label, _ in model.predict(["我要退货", "track my delivery"])] == ["return", "delivery"]
    assert all(inside for _, inside in model.predict([e.text for e in EXAMPLES]))
    assert not fit_tfidf_svm(EXAMPLES, validation=EXAMPLES, kept=0.9).predict(["zzzz"])[0][1]
