"""Sets of intents in the forms in which they are published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InputError, MissingFile
from core.evaluation.labeled import load_labeled


def pairs(paths: list[Path], part: str = "test") -> list[tuple[str, str | None]]:
    return [(r.input, r.label) for r in load_labeled(paths, part).records]  # type: ignore[arg-type]


def folder(at: Path, texts: str, labels: str) -> Path:
    at.mkdir()
    (at / "seq.in").write_text(texts, "utf-8")
    (at / "label").write_text(labels, "utf-8")
    return at


@pytest.mark.parametrize("column", ["label", "category"])
def test_a_table_calls_its_label_by_either_name(tmp_path: Path, column: str) -> None:
    (tmp_path / "t.csv").write_text(f'text,{column}\n"where, please?",card\n退货,return\n', "utf-8")
    assert pairs([tmp_path / "t.csv"]) == [("where, please?", "card"), ("退货", "return")]


def test_a_folder_line_by_line(tmp_path: Path) -> None:
    given = folder(tmp_path / "few", "where is it \nit\u2028is here\n", "card\nfound\n")
    assert pairs([given]) == [("where is it", "card"), ("it\u2028is here", "found")]


def test_an_empty_text_is_a_row(tmp_path: Path) -> None:
    assert pairs([folder(tmp_path / "few", "a\n\n", "x\ny\n")]) == [("a", "x"), ("", "y")]


def test_a_json_of_all_parts_gives_the_part_with_its_out_of_scope_texts(tmp_path: Path) -> None:
    parts = {"train": [["a", "x"]], "val": [["b", "x"]], "oos_val": [["c", "oos"]], "test": [["d", "x"]]}
    (tmp_path / "all.json").write_text(json.dumps(parts), "utf-8")
    assert pairs([tmp_path / "all.json"], "train") == [("a", "x")]
    assert pairs([tmp_path / "all.json"], "validation") == [("b", "x"), ("c", "oos")]
    assert pairs([tmp_path / "all.json"], "test") == [("d", "x")]


def test_lines_of_json_are_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n', "utf-8")
    assert pairs([tmp_path / "t.json"]) == [("a", "x"), ("b", "y")]


def test_several_files_are_one_part_and_its_ids_are_counted_on(tmp_path: Path) -> None:
    known, unknown = folder(tmp_path / "known", "a\nb\n", "x\ny\n"), folder(tmp_path / "oos", "c\n", "oos\n")
    data = load_labeled([known, unknown], "test")
    assert [r.id for r in data.records] == ["0", "1", "2"]
    assert data.name == "known+oos"
    assert load_labeled([known, unknown], "test", name="banking").name == "banking"
    assert data.checksum == load_labeled([known, unknown], "test", name="banking").checksum


@pytest.mark.parametrize(("texts", "labels", "where"), [("a\nb\n", "x\n", "few/label"), ("a\nb\n", "x\n\n", "label:2")])
def test_lines_that_do_not_belong_together_are_named(tmp_path: Path, texts: str, labels: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        load_labeled([folder(tmp_path / "few", texts, labels)], "train")
    assert where in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"dev": []}, "dev"),
        ({"test": [["a"]]}, "test[0]"),
        ({"test": [["a", 3]]}, "test[0]"),
        ({"test": []}, "all.json"),
    ],
)
def test_a_json_without_the_part_or_with_other_rows_is_named(tmp_path: Path, tree: object, words: str) -> None:
    (tmp_path / "all.json").write_text(json.dumps(tree), "utf-8")
    with pytest.raises(InputError) as caught:
        load_labeled([tmp_path / "all.json"], "test")
    assert words in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, name in (
        (tmp_path / "no.csv", "no.csv"),
        (tmp_path / "no.json", "no.json"),
        (tmp_path / "empty", "seq.in"),
    ):
        with pytest.raises(MissingFile) as caught:
            load_labeled([path], "test")
        assert name in str(caught.value)
