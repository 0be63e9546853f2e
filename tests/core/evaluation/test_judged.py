"""Judgments on one's own documents: read, placed on documents, written as a BEIR folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InputError
from core.evaluation import judged
from core.evaluation.datasets import Document
from core.evaluation.loaders import load_beir
from core.retrieval.records import DocumentInfo


def info(id_: str, source: str, title: str) -> DocumentInfo:
    return DocumentInfo(id_, source, title, "en", "text/plain", 1, 1, 0.0)


DOCUMENTS = [
    info("d1", "/a/zh/leave.md", "年假"),
    info("d2", "/a/en/leave.md", "Leave"),
    info("d3", "/a/prices.csv", "Leave"),
]


def test_rows_of_one_question_are_one_record(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "question,document,gain\n年假几天,zh/leave.md,2\n年假几天,prices.csv,0\nprice,prices.csv,\n", "utf-8"
    )
    data = judged.load_judged(path)
    assert data.name == "mine"
    assert [(r.input, dict(r.relevant)) for r in data.records] == [
        ("年假几天", {"zh/leave.md": 2.0, "prices.csv": 0.0}),
        ("price", {"prices.csv": 1.0}),
    ]


def test_json_lines_may_hold_lists_and_gains(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"query": "a", "document": ["x", "y"]}, {"query": "b", "relevant": {"x": 2, "y": 0}}]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert [dict(r.relevant) for r in judged.load_judged(path).records] == [{"x": 1.0, "y": 1.0}, {"x": 2.0, "y": 0.0}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("question,file\na,b\n", "data_column"), ("question,document,gain\na,b,much\n", "data_row")],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as raised:
        judged.load_judged(path)
    assert raised.value.reason == reason
    assert raised.value.params["where"] == "mine.csv:2"


def test_documents_are_known_by_id_path_end_of_path_and_title() -> None:
    data = judged.dataset(
        {"a": {"d1": 1, "/a/en/leave.md": 2, "prices.csv": 1}, "b": {"年假": 1, "zh/leave.md": 1}}, "x"
    )
    placed = judged.placed(data, DOCUMENTS)
    assert [dict(r.relevant) for r in placed.records] == [{"d1": 1, "d2": 2, "d3": 1}, {"d1": 1}]


@pytest.mark.parametrize(
    ("name", "reason"), [("gone.md", "judged_unknown"), ("leave.md", "judged_ambiguous"), ("Leave", "judged_ambiguous")]
)
def test_a_name_that_means_no_document_or_two_is_refused(name: str, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        judged.placed(judged.dataset({"q": {name: 1}}, "x"), DOCUMENTS)
    assert raised.value.reason == reason


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    data = judged.dataset({"年假几天": {"zh/leave.md": 2, "en/leave.md": 0}, "b": {"en/leave.md": 1}}, "x")
    documents = (Document("zh/leave.md", "十天\n年假", "年假"), Document("en/leave.md", "25 days", "Leave"))
    judged.write_beir(judged.replace(data, documents=documents, checksum=""), tmp_path)
    found = load_beir(tmp_path)
    assert found.documents == documents
    assert [(r.id, r.input, dict(r.relevant)) for r in found.records] == [
        (r.id, r.input, dict(r.relevant)) for r in data.records
    ]
