"""The head: it learns, it is calibrated on unseen texts, it survives its file, and what ships still knows its trade."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.financial_sentiment import analysis, bias, public, training
from apps.financial_sentiment.analysis import Analyzer, shipped
from apps.financial_sentiment.companies import shipped as dictionary
from apps.financial_sentiment.head import load
from apps.financial_sentiment.masking import mask
from apps.financial_sentiment.sketches import bands, groups, likeness
from apps.financial_sentiment.train import STACKED, WORDS, labeled
from core.errors import InputError, MissingFile

UP = ["Acme profit rises", "Acme shares jump on strong sales", "Acme wins order", "公司甲利润大增", "公司甲股价大涨"]
DOWN = ["Acme profit falls", "Acme shares sink on weak sales", "Acme loses order", "公司甲利润大降", "公司甲股价大跌"]
JUDGED = [  # written apart from the training rows
    ("Tesla shares plunge as deliveries miss estimates", {"tesla": "negative"}),
    ("Nvidia surges to record high on strong data-center demand", {"nvidia": "positive"}),
    ("Boeing to hold annual meeting on Friday", {"boeing": "neutral"}),
    ("Nike slumps after weak forecast; Walmart gains on strong sales", {"nike": "negative", "walmart": "positive"}),
    ("贵州茅台净利润同比增长两成，超出市场预期", {"moutai": "positive"}),
    ("碧桂园未能按期兑付美元债利息，股价重挫", {"countrygarden": "negative"}),
    ("比亚迪销量大增，蔚来却因召回大跌", {"byd": "positive", "nio": "negative"}),
    ("招商银行将于下周召开股东大会", {"cmb": "neutral"}),
]


def rows(count: int = 6) -> list[public.Row]:
    made = []
    for number in range(count):
        for label, texts in (("positive", UP), ("negative", DOWN)):
            for text in texts:
                name = "Acme" if "Acme" in text else "公司甲"
                said = f"{text} {number}"
                made.append(
                    public.Row(said, said, name, label, len(made), mask(said, public.spans(said, name) or [(0, 3)]))
                )
    return made


def test_a_head_learns_and_survives_its_file(tmp_path: Path) -> None:
    data = rows()
    vectors = np.random.default_rng(0).standard_normal((len(data), 8)).astype(np.float32)
    head = training.fit(labeled(data, vectors), embedding="e", about={"version": "t"})
    texts = [mask("Bolt profit rises again", [(0, 4)]), mask("Bolt shares sink", [(0, 4)])]
    judged = head.judge(texts, vectors[:2])
    assert [j.label for j in judged] == ["positive", "negative"]
    assert all(abs(sum(j.probabilities.values()) - 1) < 1e-5 and j.probability >= 0.5 for j in judged)
    assert judged[0].mood > 0 > judged[1].mood
    head.save(tmp_path / "head")
    assert sorted(p.name for p in (tmp_path / "head").iterdir()) == ["head.json", "head.safetensors"]
    again = load(tmp_path / "head")
    assert again.about == {"version": "t"}
    assert again.embedding == "e"
    for a, b in zip(judged, again.judge(texts, vectors[:2]), strict=True):
        assert a.label == b.label
        assert a.probability == pytest.approx(b.probability, abs=1e-4)
    assert head.judge([], vectors[:0]) == []


def test_a_stacked_head_asks_what_is_near_and_the_head_before_it(tmp_path: Path) -> None:
    """The words of each text are its own, so that only nearness and the head before can know it."""
    draw = np.random.default_rng(1)
    labels = [public.LABELS[i] for i in draw.integers(0, 3, 150)]
    texts = [mask(f"text{number}", ()) for number in range(len(labels))]
    places = np.eye(3, 16, dtype=np.float32)[[public.LABELS.index(label) for label in labels]]
    vectors = places + draw.normal(0, 0.15, places.shape).astype(np.float32)
    known = training.Labeled(texts, labels, range(len(labels)), vectors)
    before = training.fit(labeled(rows()), embedding="")
    head = training.fit(known.at(np.arange(120)), embedding="e", recipe=STACKED, before=before)
    judged = head.judge(texts[120:], vectors[120:])
    assert sum(j.label == label for j, label in zip(judged, labels[120:], strict=True)) >= 28
    bare = training.fit(known.at(np.arange(120)), embedding="", recipe=WORDS).judge(texts[120:], vectors[120:, :0])
    assert sum(j.label == label for j, label in zip(bare, labels[120:], strict=True)) <= 20
    head.save(tmp_path / "head")
    again = load(tmp_path / "head")
    assert again.before is not None
    for a, b in zip(judged, again.judge(texts[120:], vectors[120:]), strict=True):
        assert a.probability == pytest.approx(b.probability, abs=2e-3)
    training.fit(labeled(rows()), embedding="").save(tmp_path / "head")
    assert load(tmp_path / "head").before is None, "nothing is left of the head that was there"


def test_few_chinese_texts_keep_their_words_among_many_english_ones() -> None:
    english = [f"profit {one}{other}" for one in "abcdefgh" for other in "abcdefgh"] * 2
    texts = [mask(text, ()) for text in (*english, "公司甲利润大增", "公司甲利润大降 profit")]
    known = training.Labeled(texts, ["positive", "negative"] * 65, range(130), np.empty((130, 0), np.float32))
    few = replace(WORDS, terms=(100, 100, 100, 100))
    crowded = training.fit(known, embedding="", recipe=few).vocabularies[0].index
    apart = training.fit(known, embedding="", recipe=replace(few, han_terms=few.terms)).vocabularies[0]
    assert not {"w:大增", "w:大降"} & crowded.keys()
    assert {"w:大增", "w:大降", "w:profit"} <= apart.index.keys()
    assert len(set(apart.terms)) == len(apart.terms) == len(apart.idf)


def test_each_script_has_the_middle_of_its_own_embeddings(tmp_path: Path) -> None:
    data = rows()
    random, d = np.random.default_rng(0), 8
    mood = np.array([[1.0 if row.label == "positive" else -1.0] + [0.0] * (d - 1) for row in data])
    tongue = np.array([[0.0] * (d - 1) + [30.0 if row.entity == "公司甲" else 0.0] for row in data])
    vectors = (mood + tongue + random.normal(0, 0.1, (len(data), d))).astype(np.float32)
    recipe = training.Recipe(han_terms=(9, 9, 9, 9))
    head = training.fit(labeled(data, vectors), embedding="e", recipe=recipe)
    assert head.center[:, -1] == pytest.approx([0, 30], abs=1)
    head.save(tmp_path / "head")
    again = load(tmp_path / "head")
    unsaid = [mask("公司甲公告", [(0, 3)])] * 2
    told = np.array([[sign] + [0.0] * (d - 2) + [30.0] for sign in (1, -1)], np.float32)
    assert [j.label for j in again.judge(unsaid, told)] == ["positive", "negative"], (
        "the mood shows beside the language"
    )
    one = training.fit(labeled(data, vectors), embedding="e")
    assert one.center.shape == (1, d)


def test_the_calibration_learns_from_the_usual_texts() -> None:
    texts = [mask(f"same words {number}", ()) for number in range(200)]
    labels = ["positive"] * 50 + ["negative"] * 50 + ["positive"] * 90 + ["negative"] * 10
    empty = np.empty((200, 0), np.float32)
    known = training.Labeled(texts, labels, range(200), empty, [False] * 100 + [True] * 100)
    (judged,) = training.fit(known, embedding="").judge([mask("same words", ())], empty[:1])
    assert judged.probabilities["positive"] == pytest.approx(0.9, abs=0.06)


def test_a_damaged_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        load(tmp_path)
    training.fit(labeled(rows()), embedding="").save(tmp_path)
    told = json.loads((tmp_path / "head.json").read_text("utf-8"))
    for broken in ({**told, "version": 99}, {**told, "labels": ["a", "b", "c"]}, {**told, "terms": told["terms"][:2]}):
        (tmp_path / "head.json").write_text(json.dumps(broken), "utf-8")
        with pytest.raises(InputError) as caught:
            load(tmp_path)
        assert caught.value.reason == "bad_head"


def test_one_label_is_nothing_to_learn() -> None:
    with pytest.raises(InputError):
        training.fit(labeled([r for r in rows() if r.label == "positive"]), embedding="")


@pytest.mark.parametrize(("text", "wanted"), JUDGED)
def test_the_shipped_head_knows_plain_news(text: str, wanted: dict[str, str]) -> None:
    (found,) = asyncio.run(Analyzer(dictionary(), shipped()).analyze([text]))
    assert {o.company.id: o.label for o in found} == wanted
    assert all(text[slice(*o.evidence)].strip() == text[slice(*o.evidence)] for o in found)


def test_what_a_text_says_does_not_depend_on_what_is_judged_with_it() -> None:
    """To the last bit: figures of a time are compared with those of an archive that goes on."""
    texts = [row.masked for row in rows(5)]
    none = np.empty((len(texts), 0), np.float32)
    alone = [shipped().judge([text], none[:1])[0] for text in texts]
    for size in range(2, len(texts)):
        assert shipped().judge(texts[:size], none[:size]) == alone[:size]


def test_a_name_makes_no_difference_and_countries_and_genders_little() -> None:
    """Names are hidden, so only what is said of them can count; countries and persons are not."""
    found = {swap.kind: swap for swap in bias.swaps("words")}
    assert found["company"].most < 1e-6
    assert found["country"].mean < 0.2
    assert found["gender"].mean < 0.1


def test_of_a_long_text_the_sentences_about_the_company_count() -> None:
    filler = "The weather was mild. " * 200
    text = f"Markets this week\n{filler}Tesla shares plunged on weak sales. Its margin fell. {filler}Nvidia rose."
    (found,) = asyncio.run(Analyzer(dictionary(), shipped()).analyze([text]))
    tesla = next(o for o in found if o.company.id == "tesla")
    assert tesla.label == "negative"
    assert tesla.sentences == 2
    assert text[slice(*tesla.evidence)] == "Tesla shares plunged on weak sales."
    assert {text[m.start : m.end] for m in tesla.marks} >= {"plunged", "weak"}


def test_a_name_across_the_end_of_a_sentence_is_judged_all_the_same() -> None:
    company = replace(dictionary().companies["tesla"], aliases=("Ltd. Motors",))
    (found,) = asyncio.run(Analyzer(dictionary().with_rows([company]), shipped()).analyze(["Big! Ltd. Motors falls."]))
    assert all(o.sentences for o in found)


def test_what_ships_is_small_and_says_what_it_is() -> None:
    folders = [p for p in analysis.MODEL.iterdir() if p.is_dir()]
    assert {p.name for p in folders} >= {"words"}
    for folder in folders:
        assert sum(f.stat().st_size for f in folder.iterdir()) <= 2_000_000
        head = load(folder)
        assert head.about["version"]
        assert head.about["data"]
        assert head.about["test_checksum"]


def test_near_duplicates_share_a_group_and_others_do_not() -> None:
    a = "Gold prices rise on weak dollar, strong demand from jewellers"
    b = "Gold prices rise on weak dollar, strong demand from jewelers today"
    c = "Silver prices fall on strong dollar and muted demand"
    assert groups([a, c, b]) == [0, 1, 0]
    assert likeness(a, a) == 1.0
    assert likeness(a, c) < 0.4
    assert likeness("", a) == 0.0
    assert set(bands(a)) & set(bands(b))
    assert bands("") == ()


def test_public_sets_are_read_as_published(tmp_path: Path) -> None:
    (tmp_path / "SEntFiN.csv").write_text(
        "S No.,Title,Decisions,Words\n"
        "1,\"Gold shines, Dr Reddy's dull\",\"{'Gold': 'positive', 'Dr Reddy's': 'negative'}\",5\n"
        "2,Acme rises,{'Acme': 'positive'},2\n",
        "utf-8",
    )
    split = public.sentfin(tmp_path)
    everything = [*split.train, *split.validation, *split.test]
    assert {(r.entity, r.label) for r in everything} == {
        ("Gold", "positive"), ("Dr Reddy's", "negative"), ("Acme", "positive"),
    }  # fmt: skip
    assert next(r for r in everything if r.entity == "Gold").masked.whole == "xtargetx shines, xotherx dull"
    assert {r.conflicting for r in everything if r.entity != "Acme"} == {True}
    with pytest.raises(MissingFile):
        public.twitter(tmp_path)


@pytest.mark.parametrize("common", [("negative", "positive"), ("negative", "neutral", "positive")])
def test_a_label_with_one_example_is_missing_in_a_fold_and_does_no_harm(common: tuple[str, ...]) -> None:
    texts = [mask(f"{label} words number {number}", ()) for number in range(20) for label in common]
    texts.append(mask("a rare thing", ()))
    labels = [*(label for _ in range(20) for label in common), "rare"]
    empty = np.empty((len(texts), 0), np.float32)
    known = training.Labeled(texts, labels, list(range(len(texts))), empty)
    head = training.fit(known, embedding="")
    assert head.labels == tuple(sorted({*common, "rare"}))
    judged = head.judge([mask(f"{label} words", ()) for label in common], np.empty((len(common), 0), np.float32))
    assert [j.label for j in judged] == list(common)


def test_one_label_may_be_all_that_a_fold_has() -> None:
    texts = [mask(f"good {number}", ()) for number in range(20)] + [mask("bad", ())]
    known = training.Labeled(texts, ["positive"] * 20 + ["negative"], list(range(21)), np.empty((21, 0), np.float32))
    (judged,) = training.fit(known, embedding="").judge([mask("good", ())], np.empty((1, 0), np.float32))
    assert judged.label == "positive"
