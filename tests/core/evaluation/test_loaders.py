"""Data sets from files: what is read, what is refused, and with which words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from core.errors import InputError, MissingFile, UnknownName
from core.evaluation.datasets import Dataset, Document, Record, checksum, divide, sample
from core.evaluation.loaders import Columns, load_beir, load_csv, load_jsonl, load_pairs, load_squad

ROWS = [{"q": "颜色？", "want": "红", "n": 1}, {"q": 'what "color"?', "want": "red", "n": 2}]
COLUMNS = Columns(input="q", label="want", metadata=("n",))


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", "utf-8")
    return path


def beir(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq3\td2\t1\n") -> Path:
    (folder / "qrels").mkdir(parents=True)
    jsonl(folder / "corpus.jsonl", [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}])
    jsonl(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"query {n}"} for n in (3, 2, 1)])
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def squad(path: Path) -> Path:
    def qa(id_: str, *answers: str, **extra: object) -> dict[str, object]:
        return {"id": id_, "question": f"{id_}?", "answers": [{"text": a, "answer_start": 0} for a in answers], **extra}

    paragraphs = [
        {"context": "Blue sky.", "qas": [qa("a", "Blue", "Blue", "blue sky"), qa("b", is_impossible=True)]},
        {"id": "own", "context": "红色的花。", "qas": [qa("c", "红色")]},
        {"context": "Blue sky.", "qas": [qa("d", "sky")]},
    ]
    path.write_text(json.dumps({"version": "2", "data": [{"title": "Colors", "paragraphs": paragraphs}]}))
    return path


# --- formats -------------------------------------------------------------------------------------


def test_jsonl_with_named_columns(tmp_path: Path) -> None:
    data = load_jsonl(jsonl(tmp_path / "colors.jsonl", ROWS), COLUMNS, split="dev")
    assert (data.name, data.split, len(data)) == ("colors", "dev", 2)
    assert data.records[0] == Record("0", "颜色？", "红", metadata={"n": 1})


def test_answers_and_relevant_documents_may_be_lists_single_or_mappings(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": "a", "ok": ["x", "y"], "docs": {"d1": 2}},
        {"text": "b", "ok": "x", "docs": "d1"},
        {"text": "c", "ok": [], "docs": ["d1", "d2"]},
    ]
    data = load_jsonl(jsonl(tmp_path / "f.jsonl", rows), Columns(answers="ok", relevant="docs"))
    assert [r.answers for r in data.records] == [("x", "y"), ("x",), ()]
    assert [r.relevant for r in data.records] == [{"d1": 2.0}, {"d1": 1.0}, {"d1": 1.0, "d2": 1.0}]


def test_the_same_rows_have_the_same_checksum_in_every_format(tmp_path: Path) -> None:
    by_line = load_jsonl(jsonl(tmp_path / "a.jsonl", ROWS), COLUMNS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    (tmp_path / "c.csv").write_text('want,q,n\n红,颜色？,1\nred,"what ""color""?",2\n', "utf-8")
    (tmp_path / "d.tsv").write_text('颜色？\t红\t1\nwhat "color"?\tred\t2\n', "gb18030")
    (tmp_path / "e.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "c.csv").read_bytes())
    others = [
        load_jsonl(tmp_path / "b.jsonl", COLUMNS),  # found with its .gz
        load_csv(tmp_path / "c.csv", COLUMNS),
        load_csv(tmp_path / "d.tsv", COLUMNS, header=("q", "want", "n")),
        load_csv(tmp_path / "e.csv", COLUMNS),
    ]
    assert {data.checksum for data in others} == {by_line.checksum}
    assert len({data.records[1].input for data in others}) == 1
    changed = [ROWS[0], {**ROWS[1], "want": "blue"}]
    assert load_jsonl(jsonl(tmp_path / "f.jsonl", changed), COLUMNS).checksum != by_line.checksum


def test_a_line_separator_inside_a_string_does_not_end_the_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    (tmp_path / "a.csv").write_text(f'text,want\n"{text}",x\n', "utf-8")
    assert load_jsonl(jsonl(tmp_path / "a.jsonl", [{"text": text}]), Columns()).records[0].input == text
    assert load_csv(tmp_path / "a.csv", Columns()).records[0].input == text


def test_a_beir_folder(tmp_path: Path) -> None:
    data = load_beir(beir(tmp_path / "colors"))
    assert (data.name, data.split) == ("colors", "test")
    assert data.documents == (Document("d1", "one", "T"), Document("d2", "two"))
    assert [(r.id, r.input, r.relevant) for r in data.records] == [
        ("q3", "query 3", {"d2": 1.0}),
        ("q1", "query 1", {"d1": 2.0, "d2": 0.0}),
    ]


def test_squad_with_and_without_answers(tmp_path: Path) -> None:
    data = load_squad(squad(tmp_path / "dev.json"))
    assert [(d.id, d.title) for d in data.documents] == [("p0", "Colors"), ("own", "Colors")]
    assert [(r.id, r.answers, r.relevant) for r in data.records] == [
        ("a", ("Blue", "blue sky"), {"p0": 1.0}),
        ("b", (), {}),
        ("c", ("红色",), {"own": 1.0}),
        ("d", ("sky",), {"p0": 1.0}),
    ]


# --- what is refused -----------------------------------------------------------------------------


def test_sentence_pairs_as_a_search_task(tmp_path: Path) -> None:
    lines = ["怎么还款\t如何还钱\t1", "怎么还款\t还款日是哪天\t0", "开通花呗\t开通花呗\t1", "怎么还款\t怎样还款\t1", ""]
    (tmp_path / "dev.txt").write_text("\r\n".join(lines), "utf-8")
    data = load_pairs(tmp_path / "dev.txt")
    assert [d.text for d in data.documents] == ["如何还钱", "还款日是哪天", "开通花呗", "怎样还款"]
    assert [(r.input, r.relevant) for r in data.records] == [
        ("怎么还款", {"d0": 1.0, "d3": 1.0})
    ]  # identical: left out
    assert (data.name, data.split) == (tmp_path.name, "dev")


@pytest.mark.parametrize("line", ["a\tb", "a\tb\t2", "a\t\t1", "sentence1\tsentence2\tlabel"])
def test_lines_that_are_no_pair_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "dev.txt").write_text(f"a\tb\t1\n{line}\n", "utf-8")
    with pytest.raises(InputError, match=r"dev\.txt:2"):
        load_pairs(tmp_path / "dev.txt")


def test_missing_files_and_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"nowhere\.jsonl"):
        load_jsonl(tmp_path / "nowhere.jsonl", Columns())
    with pytest.raises(MissingFile, match="nowhere"):
        load_beir(tmp_path / "nowhere")
    folder = beir(tmp_path / "b")
    with pytest.raises(UnknownName, match="Allowed: test"):
        load_beir(folder, split="dev")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(MissingFile, match=r"queries\.jsonl"):
        load_beir(folder)


def test_a_missing_column_is_named_with_its_line_and_those_there_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"txt": "y", "other": 1}])
    with pytest.raises(InputError) as caught:
        load_jsonl(path, Columns())
    assert "a.jsonl:2" in str(caught.value)
    assert "txt, other" in str(caught.value)
    (tmp_path / "a.csv").write_text("text,label\none\n")
    with pytest.raises(InputError, match=r"a\.csv:2"):
        load_csv(tmp_path / "a.csv", Columns(label="label"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b'{"text": "x"', "bad_json"), (b'["x"]', "data_row"), (b"\xff\xfe\x00\xd8", "bad_encoding")],
)
def test_bad_lines_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "fine"}\n' + content)
    with pytest.raises(InputError) as caught:
        load_jsonl(tmp_path / "a.jsonl", Columns())
    assert caught.value.reason == reason
    assert "a.jsonl" in caught.value.text("zh")


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 100)[:-20])
    with pytest.raises(InputError) as caught:
        load_jsonl(tmp_path / "a.jsonl", Columns())
    assert caught.value.reason == "unreadable_file"


def test_an_id_may_come_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'7'"):
        load_jsonl(jsonl(tmp_path / "a.jsonl", [{"text": "x", "i": 7}, {"text": "y", "i": 7}]), Columns(id="i"))


@pytest.mark.parametrize(
    "qrels",
    ["query-id\tcorpus-id\tscore\nq1\tother\t1\n", "query-id\tcorpus-id\tscore\nq9\td1\t1\n", "query-id\tcorpus-id\tscore\nq1\td1\tgood\n"],
)  # fmt: skip
def test_judgments_of_another_data_set_are_refused(tmp_path: Path, qrels: str) -> None:
    with pytest.raises(InputError, match=r"test\.tsv"):
        load_beir(beir(tmp_path / "b", qrels))


@pytest.mark.parametrize("text", ['{"data": [{"paragraphs": [{"qas": []}]}]}', "[]", '{"data": 3}', '{"rows": []}'])
def test_a_file_that_is_not_squad_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as caught:
        load_squad(tmp_path / "a.json")
    assert caught.value.reason == "data_not_squad"


# --- whole data sets -----------------------------------------------------------------------------

MANY = Dataset("many", "all", tuple(Record(str(n), f"text {n}", metadata={"author": n % 50}) for n in range(1000)))


def test_a_sample_is_fixed_by_its_seed_and_says_so() -> None:
    first, second = sample(MANY, 100), sample(MANY, 100)
    assert first == second
    assert first.split == "all-sample100-seed0"
    assert first.checksum != MANY.checksum
    assert sample(MANY, 100, seed=1).records != first.records
    assert sample(MANY, 5000) is MANY


def test_dividing_keeps_groups_together_whatever_the_order_of_rows() -> None:
    def author(record: Record) -> str:
        return str(record.metadata["author"])

    shares = {"train": 0.7, "dev": 0.1, "test": 0.2}
    parts = divide(MANY, shares, group=author)
    assert {name: len(part) for name, part in parts.items()} == {"train": 700, "dev": 100, "test": 200}
    authors = [{author(r) for r in part.records} for part in parts.values()]
    assert not authors[0] & authors[1]
    assert not authors[0] & authors[2]
    assert not authors[1] & authors[2]
    reversed_rows = Dataset("many", "all", MANY.records[::-1])
    again = divide(reversed_rows, shares, group=author)
    for name in shares:
        assert {r.id for r in parts[name].records} == {r.id for r in again[name].records}
    assert divide(MANY, shares, group=author, seed=1)["test"].records != parts["test"].records


def test_every_record_is_in_one_part() -> None:
    parts = divide(MANY, {"a": 0.333, "b": 0.333, "c": 0.334})
    ids = [r.id for part in parts.values() for r in part.records]
    assert sorted(ids) == sorted(r.id for r in MANY.records)
    with pytest.raises(ValueError, match="sum to"):
        divide(MANY, {"a": 0.5, "b": 0.4})


def test_the_checksum_is_of_the_content_alone() -> None:
    record = Record("1", "text", label="x")
    assert checksum([record]) == checksum([Record("1", "text", label="x", metadata={"line": 5})])
    assert checksum([record]) != checksum([Record("1", "text", label="y")])
    assert checksum([record], [Document("d", "t")]) != checksum([record])


# --- public data, where it is at hand ------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[3]
PUBLIC = next((f for f in (ROOT / "shared/data", ROOT.parent / "shared/data") if f.is_dir()), None)


@pytest.mark.skipif(PUBLIC is None, reason="the public data sets are not here")
def test_public_data_sets_have_their_published_sizes() -> None:
    assert PUBLIC is not None
    scifact = load_beir(PUBLIC / "scifact")
    assert (len(scifact), len(scifact.documents)) == (300, 5183)
    assert sum(len(r.relevant) for r in scifact.records) == 339
    dev = load_squad(PUBLIC / "cmrc2018" / "cmrc2018_dev.json")
    assert (len(dev), len(dev.documents)) == (3219, 848)
    banking = load_csv(PUBLIC / "banking77" / "test.csv", Columns(label="category"))
    assert (len(banking), len({r.label for r in banking.records})) == (3080, 77)
    pairs = load_csv(
        PUBLIC / "zh-pairs" / "AFQMC" / "dev.txt", Columns(input="a", label="same"), header=("a", "b", "same")
    )
    assert len(pairs) == 4316
