"""Questions whose answers were taken out: which ones, what stays, and that what stays still answers the others."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.evaluation import spans
from core.evaluation.datasets import Dataset, Document, Record
from core.evaluation.removed import without_paragraphs, without_sentences


def data(documents: int = 12) -> Dataset:
    texts = tuple(
        Document(f"d{n}", f"第{n}号桥建于{1900 + n}年。它长{50 + n}米。这座桥通往{n}号码头。", f"桥{n}")
        for n in range(documents)
    )
    records = tuple(
        Record(f"q{n}-{kind}", question, answers=(answer,), relevant={f"d{n}": 1.0})
        for n in range(documents)
        for kind, question, answer in (
            ("year", f"第{n}号桥何时建成？", f"{1900 + n}年"),
            ("length", f"第{n}号桥多长？", f"{50 + n}米"),
        )
    )
    return Dataset("bridges", "test", records, texts)


def test_half_of_the_paragraphs_go_with_all_their_questions() -> None:
    whole, left = data(), without_paragraphs(data())
    there = {document.id for document in left.documents}
    assert 0 < len(there) < len(whole.documents)
    assert len(left.records) == len(whole.records)
    for record in left.records:
        document = record.id.partition("-")[0].replace("q", "d")
        assert bool(record.answers) == (document in there)
    assert left.checksum != whole.checksum
    assert without_paragraphs(data()) == left


def test_only_the_sentences_that_answer_one_question_go() -> None:
    whole, left = data(), without_sentences(data())
    before = {document.id: document.text for document in whole.documents}
    changed = [document for document in left.documents if document.text != before[document.id]]
    empty = [record for record in left.records if not record.answers]
    assert 0 < len(changed) == len(empty) < len(whole.documents)
    texts = {document.id: document.text for document in left.documents}
    for record in empty:
        answers = next(r.answers for r in whole.records if r.id == record.id)
        text = texts[record.id.partition("-")[0].replace("q", "d")]
        assert not spans.holds([text], answers)
        assert "码头" in text, "the rest of the paragraph stays"
    for record in left.records:
        if record.answers:
            assert spans.holds([texts[next(iter(record.relevant))]], record.answers)


def test_a_question_with_two_documents_loses_both_or_none() -> None:
    documents = (Document("a", "甲桥长五十米。"), Document("b", "资料：甲桥长五十米。"), Document("c", "丙桥很短。"))
    records = tuple(Record(f"q{n}", "甲桥多长？", answers=("五十米",), relevant={"a": 1.0, "b": 1.0}) for n in range(2))
    left = without_paragraphs(Dataset("two", "test", records, documents), share=1.0)
    assert [document.id for document in left.documents] == ["c"]
    assert all(not record.answers for record in left.records)


def test_without_answers_there_is_nothing_to_take_out() -> None:
    nothing = Dataset("none", "test", (Record("q", "?"),), (Document("d", "文"),))
    for removed in (without_paragraphs, without_sentences):
        with pytest.raises(InputError) as caught:
            removed(nothing)
        assert caught.value.reason == "data_no_answers"
