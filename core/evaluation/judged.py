"""Judgments on one's own documents: which document answers which question, read from a file and written as a BEIR folder.

    question,document,gain
    出差住宿标准,travel-2025.md,2
    出差住宿标准,travel-2024.md,0

A document is named by its id, path, the end of its path, or its title.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.evaluation import loaders
from core.evaluation.datasets import Dataset, Document, Record
from core.retrieval.records import DocumentInfo

QUESTION, DOCUMENT, GAIN = ("question", "query"), ("document", "relevant"), ("gain", "score")
SUFFIXES = (".csv", ".jsonl")


def load_judged(path: Path, *, name: str | None = None) -> Dataset:
    """Read rows of question, document and gain (1 without one; 0 is judged and wrong), as CSV or JSON lines.

    ``document`` of a JSON line may be a list, or a mapping of gains. Rows with the same question are one record.

    Raises:
        MissingFile: no such file.
        InputError: a column that is not there, a gain that is no number, a row of another form; names file and line.
    """
    gains: dict[str, dict[str, float]] = {}
    for where, row in loaders.rows(path):
        question = str(_cell(row, QUESTION, where)).strip()
        given: Any = _cell(row, DOCUMENT, where)
        gain = next((row[column] for column in GAIN if row.get(column) not in (None, "")), 1)
        documents = (
            given if isinstance(given, Mapping) else dict.fromkeys(given if isinstance(given, list) else [given], gain)
        )
        try:
            gains.setdefault(question, {}).update({str(d).strip(): float(g) for d, g in documents.items()})
        except (TypeError, ValueError) as error:
            raise InputError(reason="data_row", where=where, detail=str(error)) from error
    return dataset(gains, name or path.name.partition(".")[0])


def dataset(gains: Mapping[str, Mapping[str, float]], name: str, split: str = "test") -> Dataset:
    """Judgments by question as a data set; a question is a record, numbered in its order."""
    records = tuple(
        Record(f"q{number}", question, relevant=dict(of)) for number, (question, of) in enumerate(gains.items())
    )
    return Dataset(name, split, records)


def short_names(sources: Iterable[str]) -> dict[str, str]:
    """Each source by the shortest end of its path that no other has: names that tell no folder of this machine.

    >>> short_names(["/a/zh/leave.md", "/a/en/leave.md", "/a/en/prices.csv"])
    {'/a/zh/leave.md': 'zh/leave.md', '/a/en/leave.md': 'en/leave.md', '/a/en/prices.csv': 'prices.csv'}
    """
    split = {source: _parts(source) for source in sources}
    ends = Counter(parts[-k:] for parts in split.values() for k in range(1, len(parts) + 1))
    return {
        source: "/".join(next((parts[-k:] for k in range(1, len(parts) + 1) if ends[parts[-k:]] == 1), parts))
        for source, parts in split.items()
    }  # fmt: skip


def placed(data: Dataset, documents: Sequence[DocumentInfo]) -> Dataset:
    """``data`` with the ids of ``documents`` in place of the names they were judged under.

    Raises:
        InputError: judged_unknown, a name that no document or more than one has.
    """
    by_name: dict[str, set[str]] = {}
    for document in documents:
        parts = _parts(document.source)
        ends = ("/".join(parts[-k:]) for k in range(1, len(parts) + 1))
        for name in (document.id, document.source, document.title, *ends):
            by_name.setdefault(name, set()).add(document.id)
    records = []
    for record in data.records:
        relevant: dict[str, float] = {}
        for name, gain in record.relevant.items():
            found = by_name.get(name, set())
            if len(found) != 1:
                reason = "judged_unknown" if not found else "judged_ambiguous"
                raise InputError(reason=reason, value=name, question=record.input[:80])
            relevant[next(iter(found))] = gain
        records.append(replace(record, relevant=relevant))
    return replace(data, records=tuple(records), checksum="")


def renamed(data: Dataset, names: Mapping[str, str]) -> Dataset:
    """``data`` with its documents called as ``names`` say; a judgment on one that has no name is left out."""
    records = tuple(
        replace(record, relevant={names[d]: gain for d, gain in record.relevant.items() if d in names})
        for record in data.records
    )
    documents = tuple(replace(d, id=names[d.id]) for d in data.documents if d.id in names)
    return replace(data, records=records, documents=documents, checksum="")


def write_beir(data: Dataset, folder: Path) -> list[Path]:
    """Write what :func:`core.evaluation.loaders.load_beir` reads; the files written.

    Source: https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset
    """
    qrels = folder / "qrels"
    qrels.mkdir(parents=True, exist_ok=True)
    paths = [folder / "corpus.jsonl", folder / "queries.jsonl", qrels / f"{data.split}.tsv"]
    _lines(paths[0], ({"_id": d.id, "title": d.title, "text": d.text} for d in data.documents))
    _lines(paths[1], ({"_id": r.id, "text": r.input} for r in data.records))
    rows = [f"{r.id}\t{document}\t{gain:g}" for r in data.records for document, gain in r.relevant.items()]
    paths[2].write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", "utf-8")
    return paths


def documents_of(texts: Iterable[tuple[DocumentInfo, str]]) -> tuple[Document, ...]:
    """Documents of an index with their texts, as a data set has them."""
    return tuple(Document(info.id, text, info.title) for info, text in texts)


def _parts(source: str) -> tuple[str, ...]:
    return tuple(part for part in source.replace("\\", "/").split("/") if part)


def _cell(row: Mapping[str, Any], columns: Sequence[str], where: str) -> Any:
    for column in columns:
        if row.get(column) not in (None, "", []):
            return row[column]
    raise InputError(reason="data_column", where=where, value=columns[0], allowed=", ".join(str(k) for k in row if k))


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
