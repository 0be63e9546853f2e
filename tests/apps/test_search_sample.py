"""The sample of the Search app: documents, judged queries and slips agree with one another."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import apps.search
from apps.search import languages
from core.retrieval.library import Library
from core.workspace import Workspace

SAMPLE = Path(apps.search.__file__).parent / "sample"
LANGUAGES = ("zh", "en")
DOCUMENTS = {
    path.relative_to(SAMPLE).as_posix(): path.read_text(encoding="utf-8")
    for language in LANGUAGES
    for path in sorted((SAMPLE / language).rglob("*"))
    if path.is_file()
}
TWINS = {name[3:] for name in DOCUMENTS if name.startswith("zh/")} & {n[3:] for n in DOCUMENTS if n.startswith("en/")}


def read(name: str) -> dict[str, list[dict[str, Any]]]:
    loaded: dict[str, list[dict[str, Any]]] = yaml.safe_load((SAMPLE / name).read_text(encoding="utf-8"))
    return loaded


QUESTIONS = read("questions.yaml")["questions"]
SLIPS = read("slips.yaml")["slips"]
CLEAN = read("slips.yaml")["clean"]


def test_there_are_enough_documents_and_about_a_third_are_twins() -> None:
    counts = Counter(name[:2] for name in DOCUMENTS)
    assert all(60 <= counts[language] <= 70 for language in LANGUAGES)
    assert 0.3 <= 2 * len(TWINS) / len(DOCUMENTS) <= 0.4
    assert {Path(name).suffix for name in DOCUMENTS} == {".md", ".txt", ".csv", ".json", ".html"}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".md")])
def test_markdown_has_front_matter_and_one_title(name: str) -> None:
    matter, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", DOCUMENTS[name], re.DOTALL).groups()  # type: ignore[union-attr]
    assert set(yaml.safe_load(matter)) == {"title", "date", "department", "tags"}
    assert len(re.findall(r"^# ", body, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith((".csv", ".json"))])
def test_tables_and_json_are_well_formed(name: str) -> None:
    if name.endswith(".json"):
        assert json.loads(DOCUMENTS[name])
        return
    rows = list(csv.reader(io.StringIO(DOCUMENTS[name])))
    assert {len(row) for row in rows} == {len(rows[0])}


def test_every_judged_or_wanted_document_exists() -> None:
    named = {path for entry in QUESTIONS for path in entry["relevant"]}
    named |= {path for entry in (*SLIPS, *CLEAN) for path in entry["wanted"]}
    assert named <= set(DOCUMENTS)


def test_no_identifier_and_no_query_occurs_twice() -> None:
    for rows in (QUESTIONS, [*SLIPS, *CLEAN]):
        assert max(Counter(entry["id"] for entry in rows).values()) == 1
        assert max(Counter(entry["query"] for entry in rows).values()) == 1


def test_a_query_is_answered_in_the_languages_its_case_says() -> None:
    for entry in QUESTIONS:
        answers = {path[:2] for path, grade in entry["relevant"].items() if grade == 2}
        assert set(entry["relevant"].values()) <= {1, 2}
        match entry["case"]:
            case "plain":
                assert entry["lang"] in answers, entry["id"]
            case "cross":
                assert answers == set(LANGUAGES) - {entry["lang"]}, entry["id"]
            case "nothing":
                assert not entry["relevant"], entry["id"]
            case other:
                pytest.fail(f"{entry['id']}: unknown case {other}")


def test_the_queries_are_balanced_over_language_case_and_split() -> None:
    assert Counter(entry["lang"] for entry in QUESTIONS) == {"zh": 80, "en": 80}
    assert Counter(entry["split"] for entry in QUESTIONS) == {"tune": 80, "test": 80}
    assert Counter(entry["case"] for entry in QUESTIONS) == {"plain": 110, "cross": 20, "nothing": 30}
    parts = Counter((entry["lang"], entry["case"], entry["split"]) for entry in QUESTIONS)
    assert all(abs(parts[lang, case, "tune"] - parts[lang, case, "test"]) <= 1 for lang, case, _ in parts)


def test_slips_differ_from_their_clean_query_and_want_documents_of_their_language() -> None:
    assert Counter(entry["lang"] for entry in SLIPS) == {"zh": 100, "en": 100}
    assert {entry["kind"] for entry in SLIPS} == {"typo", "pinyin", "traditional", "synonym", "other_language"}
    parts = Counter((entry["lang"], entry["kind"], entry["split"]) for entry in SLIPS)
    assert all(abs(parts[lang, kind, "tune"] - parts[lang, kind, "test"]) <= 1 for lang, kind, _ in parts)
    for entry in SLIPS:
        assert entry["query"] != entry["clean"], entry["id"]
        assert {path[:2] for path in entry["wanted"]} == {entry["lang"]}, entry["id"]


def test_clean_queries_are_clean() -> None:
    assert Counter(entry["lang"] for entry in CLEAN) == {"zh": 100, "en": 100}
    assert Counter(entry["split"] for entry in CLEAN) == {"tune": 100, "test": 100}
    slips = {entry["query"] for entry in SLIPS}
    for entry in CLEAN:
        assert entry["query"] not in slips, entry["id"]
        assert any(path[:2] == entry["lang"] for path in entry["wanted"]), entry["id"]


def test_the_shipped_vectors_fit_the_shipped_documents(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "home")
    library = Library(workspace, None)
    asyncio.run(library.collection().sync([SAMPLE / "zh", SAMPLE / "en"], embed=False))
    with np.load(SAMPLE / "vectors.npz", allow_pickle=False) as file:
        shipped = {str(key) for key in file["hashes"]}
    with workspace.read() as db:
        wanted = {row[0] for row in db.execute("SELECT text_hash FROM passages")}
    assert wanted <= shipped, "make them anew: python -m core.retrieval.export (see its first lines)"
    library.close()
    workspace.close()


def test_questions_that_the_other_language_answers() -> None:
    for (question, documents), least in zip(languages.DIRECTIONS, (60, 40), strict=True):
        asked = languages.asked(question, documents)
        assert len(asked) >= least
        assert len({row["query"] for row in asked}) == len({row["id"] for row in asked}) == len(asked)
        for row in asked:
            assert row["relevant"].keys() <= DOCUMENTS.keys(), row["id"]
            assert all(name.startswith(f"{documents}/") for name in row["relevant"]), row["id"]
