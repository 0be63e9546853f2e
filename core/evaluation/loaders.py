"""Data sets from files in public formats.

    read_rows      the rows of a CSV, TSV or JSONL file as they are
    load_jsonl     one JSON object per line, columns named by you
    load_csv       CSV or TSV, with or without a header
    load_beir      a BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv
    with_evidence  which sentences of a BEIR folder's documents are evidence for each query
    load_questions questions alone, one a line
    load_squad     SQuAD 1.1 and 2.0, CMRC 2018, DRCD: paragraphs with questions and answer texts
    load_pairs     sentence pairs with labels (AFQMC, LCQMC, QQP): which of the second sentences mean the same?

Every loader reads UTF-8 (or GB18030), also as ``.gz``, and returns a :class:`Dataset`. The checksum is of
the content as read, so the same rows have the same checksum in whatever file format they come.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingFile, UnknownName
from core.evaluation.datasets import Dataset, Document, Record

_LONGEST_CELL = 2**26  # characters; by itself csv refuses a text of 128 KiB
_ZIP = b"PK\x03\x04"
_END = "\ue000 end of the file \ue000"  # a last line; csv does not tell of a quote that the file's end closes


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a file holds what. ``id=None`` numbers the rows from 0.

    ``answers`` may hold a list or one text, ``relevant`` a list of document ids, one id or a mapping of
    gains; ``metadata`` columns are kept as they are.
    """

    input: str = "text"
    label: str | None = None
    id: str | None = None
    answers: str | None = None
    relevant: str | None = None
    metadata: tuple[str, ...] = ()


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(where, row)`` of each row of a JSONL file, by its name, or a delimited one. Cells may be missing.

    Raises:
        MissingFile: no such file.
        InputError: a line that is no row, an unreadable file; names the file and line.
    """
    path = _existing(path)
    plain = path.name.removesuffix(".gz").lower()
    return _json_lines(path) if plain.endswith((".jsonl", ".ndjson", ".json")) else _delimited(path, None, None)


def load_jsonl(path: Path, columns: Columns, *, split: str = "test", name: str | None = None) -> Dataset:
    """Read one JSON object per line.

    Raises:
        MissingFile: no such file.
        InputError: a column that a row does not have, a line that is not a JSON object, an id given twice, an
            unreadable file; names the file and line.
    """
    path = _existing(path)
    return _dataset(path, _json_lines(path), columns, split, name)


def load_csv(
    path: Path,
    columns: Columns,
    *,
    header: Sequence[str] | None = None,
    delimiter: str | None = None,
    split: str = "test",
    name: str | None = None,
) -> Dataset:
    """Read comma- or tab-separated rows; quotes mean nothing in a tab-separated file.

    Args:
        header: the columns' names for a file whose first line is a row already.
        delimiter: by default a comma, or a tab when the first line has one.

    Raises: as :func:`load_jsonl`.
    """
    path = _existing(path)
    return _dataset(path, _delimited(path, delimiter, header), columns, split, name)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV, TSV or JSONL file, each with its place (``file:line``).

    Raises: as :func:`load_jsonl`.
    """
    path = _existing(path)
    lines = path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))
    return _json_lines(path) if lines else _delimited(path, None, None)


def load_beir(folder: Path, *, split: str = "test", name: str | None = None) -> Dataset:
    """Read a BEIR folder. Records are the queries that the split judges, in the order of queries.jsonl.

    Source: https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset

    Raises:
        MissingFile: corpus.jsonl, queries.jsonl or the split's file is not there.
        UnknownName: no such split; names those there are.
        InputError: an unreadable row, an id given twice, or judgments that fit neither queries nor corpus.
    """
    if not folder.is_dir():
        raise MissingFile(path=str(folder), needed_for="BEIR")
    judged = folder / "qrels"
    splits = sorted({_stem(p) for p in judged.glob("*.tsv*")}) if judged.is_dir() else []
    if splits and split not in splits:
        raise UnknownName(kind="split", value=split, allowed=", ".join(splits))
    relevant: dict[str, dict[str, float]] = {}
    qrels = _existing(judged / f"{split}.tsv")
    for where, row in _delimited(qrels, "\t", None):
        query, document, score = (_cell(row, column, where) for column in ("query-id", "corpus-id", "score"))
        relevant.setdefault(query, {})[document] = _number(score, where)
    documents = tuple(
        Document(str(_cell(row, "_id", where)), str(_cell(row, "text", where)), str(row.get("title") or ""))
        for where, row in _json_lines(_existing(folder / "corpus.jsonl"))
    )
    queries = {
        str(_cell(row, "_id", where)): str(_cell(row, "text", where))
        for where, row in _json_lines(_existing(folder / "queries.jsonl"))
    }
    known = {d.id for d in documents}
    if not any(d in known for gains in relevant.values() for d in gains) or relevant.keys() - queries.keys():
        raise InputError(
            reason="data_mismatch", where=str(qrels), detail=", ".join([*relevant.keys() - queries.keys()][:3])
        )
    records = tuple(Record(q, text, relevant=relevant[q]) for q, text in queries.items() if q in relevant)
    return Dataset(name or folder.name, split, records, documents)


def with_evidence(data: Dataset, path: Path) -> Dataset:
    """``data`` with the sentences of its documents that are evidence for each query as answers.

    A row of ``path`` is ``{"id": QUERY, "evidence": [{"doc": DOCUMENT, "sentences": [...]}]}``. A sentence is its
    text, or its number in the document's list of sentences; those lists stand in a file beside it, named alike with
    ``_docs`` (``evidence.jsonl``, ``evidence_docs.jsonl``), in rows ``{"_id": DOCUMENT, "sentences": [...]}``.
    Queries without evidence are left out: nobody knows whether the documents answer them. The records are
    marked ``metadata["whole_sentences"]``. Source of the form: Wadden et al. 2020, https://arxiv.org/abs/2004.14974

    Raises:
        MissingFile, InputError: no such file; an unreadable row, or a sentence that is not there.
    """
    path = _existing(path)
    beside = path.with_name(f"{_stem(path)}_docs.jsonl")
    lists: dict[str, list[str]] = {}
    if beside.is_file():
        lists = {str(_cell(row, "_id", where)): _cell(row, "sentences", where) for where, row in _json_lines(beside)}
    found: dict[str, tuple[dict[str, float], list[str]]] = {}
    for where, row in _json_lines(path):
        documents, texts = found.setdefault(str(_cell(row, "id", where)), ({}, []))
        for part in _cell(row, "evidence", where):
            document = str(_cell(part, "doc", where))
            documents[document] = 1.0
            for sentence in _cell(part, "sentences", where):
                if isinstance(sentence, str):
                    texts.append(sentence)
                elif sentence < len(lists.get(document, ())):
                    texts.append(lists[document][sentence])
                else:
                    raise InputError(reason="data_row", where=where, detail=f"{document}: {sentence}; {beside.name}")
    records = tuple(
        replace(
            record,
            answers=tuple(dict.fromkeys(found[record.id][1])),
            relevant=found[record.id][0],
            metadata={**record.metadata, "whole_sentences": True},
        )
        for record in data.records
        if found.get(record.id, ({}, []))[1]
    )
    return replace(data, records=records, checksum="")


def load_questions(path: Path, *, name: str | None = None) -> Dataset:
    """Read questions alone: one a line, up to the first tab. Equal ones are one record.

    Raises:
        MissingFile, InputError: no such file; not text.
    """
    path = _existing(path)
    asked = dict.fromkeys(line.partition("\t")[0].strip() for line in text_of(path).split("\n"))
    records = tuple(Record(str(number), question) for number, question in enumerate(filter(None, asked)))
    return Dataset(name or _stem(path), _stem(path), records)


def load_squad(path: Path, *, split: str | None = None, name: str | None = None) -> Dataset:
    """Read paragraphs with questions. Documents are the paragraphs; a question's relevant one is its own.

    A question marked ``is_impossible`` or without answers has none: its paragraph does not answer it. The
    published offsets (``metadata["starts"]``) do not always fit the text (2 % of CMRC 2018); the answer's
    text counts. Equal paragraphs are one document. Source: https://rajpurkar.github.io/SQuAD-explorer/

    Raises:
        MissingFile, InputError: no such file; not JSON or not of this form.
    """
    path = _existing(path)
    ids: dict[str, str] = {}
    documents: list[Document] = []
    records: list[Record] = []
    try:
        tree = json.loads(text_of(path))
    except json.JSONDecodeError as error:
        raise InputError(reason="bad_json", where=path.name, detail=str(error)) from error
    try:
        for article in tree["data"]:
            for paragraph in article["paragraphs"]:
                context = paragraph["context"]
                if context not in ids:
                    ids[context] = str(paragraph.get("id") or f"p{len(ids)}")
                    documents.append(Document(ids[context], context, article.get("title") or ""))
                records += [_question(qa, ids[context]) for qa in paragraph["qas"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(reason="data_not_squad", where=path.name, detail=repr(error)) from error
    return Dataset(name or _stem(path), split or _stem(path), tuple(records), tuple(documents))


def load_pairs(path: Path, *, split: str | None = None, name: str | None = None) -> Dataset:
    """Read lines of two sentences and a label, 1 for the same meaning, separated by tabs, as a search task.

    Documents are the distinct second sentences, queries the distinct first ones that have a positive pair with
    another text; all of a query's positives are relevant to it. Lines of other forms, such as a header, are an
    error.

    Raises:
        MissingFile, InputError: no such file; a line that is not a pair with a label of 0 or 1.
    """
    path = _existing(path)
    documents: dict[str, str] = {}
    relevant: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        first, second, label = (*line.rstrip("\r").split("\t"), "", "", "")[:3]
        if label not in ("0", "1") or not first.strip() or not second.strip():
            raise InputError(reason="data_row", where=f"{path.name}:{number}", detail=line[:80])
        there = documents.setdefault(second, f"d{len(documents)}")
        if label == "1" and first != second:
            relevant.setdefault(first, {})[there] = 1.0
    records = tuple(Record(f"q{i}", text, relevant=gains) for i, (text, gains) in enumerate(relevant.items()))
    found = tuple(Document(id_, text) for text, id_ in documents.items())
    return Dataset(name or path.resolve().parent.name, split or _stem(path), records, found)


def _question(qa: Mapping[str, Any], document: str) -> Record:
    answers = [] if qa.get("is_impossible") else qa["answers"]
    texts = tuple(dict.fromkeys(a["text"] for a in answers if a["text"].strip()))
    return Record(
        str(qa["id"]),
        qa["question"],
        answers=texts,
        relevant={document: 1.0} if texts else {},
        metadata={"document": document, "starts": [a.get("answer_start") for a in answers]},
    )


# --- rows ---------------------------------------------------------------------------------------


def _dataset(
    path: Path, rows: Iterator[tuple[str, dict[str, Any]]], columns: Columns, split: str, name: str | None
) -> Dataset:
    records = tuple(_record(number, row, columns, where) for number, (where, row) in enumerate(rows))
    return Dataset(name or _stem(path), split, records)


def _record(number: int, row: Mapping[str, Any], columns: Columns, where: str) -> Record:
    def cell(column: str) -> Any:
        return _cell(row, column, where)

    return Record(
        id=str(cell(columns.id)) if columns.id else str(number),
        input=str(cell(columns.input)),
        label=str(cell(columns.label)) if columns.label else None,
        answers=_texts(cell(columns.answers)) if columns.answers else (),
        relevant=_gains(cell(columns.relevant)) if columns.relevant else {},
        metadata={name: cell(name) for name in columns.metadata},
    )


def _cell(row: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in row or row[column] is None:
        raise InputError(reason="data_column", where=where, value=column, allowed=", ".join(k for k in row if k))
    return row[column]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),) if value != "" else ()


def _gains(value: Any) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {str(k): float(v) for k, v in value.items()}
    return dict.fromkeys(_texts(value), 1.0)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InputError(reason="data_row", where=where, detail=str(error)) from error


# --- files --------------------------------------------------------------------------------------


def _existing(path: Path) -> Path:
    """``path``, or the same with ``.gz``."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise MissingFile(path=str(path), needed_for="evaluation")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def text_of(path: Path) -> str:
    """The text of a file, which may be packed.

    Raises:
        MissingFile: no such file.
        InputError: neither UTF-8 nor GB18030, or unreadable.
    """
    path = _existing(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise InputError(reason="unreadable_file", name=path.name, detail=str(error)) from error
    if raw.startswith(_ZIP):  # a workbook: its beginning may pass for text
        raise InputError(reason="bad_encoding", name=path.name)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(reason="bad_encoding", name=path.name)


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text_of(path).split("\n"), 1):  # not splitlines: U+2028 may stand inside a string
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(reason="bad_json", where=where, detail=str(error)) from error
        if not isinstance(row, dict):
            raise InputError(reason="data_row", where=where, detail=line[:80])
        yield where, row


def _delimited(path: Path, delimiter: str | None, header: Sequence[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    text = text_of(path)
    delimiter = delimiter or ("\t" if "\t" in text.partition("\n")[0] else ",")
    held: list[str] = []  # the lines of the row in hand

    def noted() -> Iterator[str]:
        for line in itertools.chain(io.StringIO(text, newline=""), [_END]):
            held.append(line)
            yield line

    csv.field_size_limit(_LONGEST_CELL)
    if delimiter == "\t":
        rows = csv.reader(noted(), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(noted(), delimiter=delimiter)
    names = list(header) if header else None
    try:
        for row in rows:
            if row == [_END]:
                return
            if len(held) > 1 and (opened := _open_quote(held, delimiter)) is not None:
                at = rows.line_num - len(held) + 1 + opened
                raise InputError(reason="open_quote", where=f"{path.name}:{at}")
            held.clear()
            if names is None:
                names = row
            elif row:
                yield f"{path.name}:{rows.line_num}", dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise InputError(reason="data_row", where=f"{path.name}:{rows.line_num}", detail=str(error)) from error


def _open_quote(lines: Sequence[str], delimiter: str) -> int | None:
    """The line of a row of several, from 0, on which a quoted cell begins that is not closed before the next one.

    csv ends such a cell at the next quotation mark, rows later, or at the end of the file, and says nothing.
    """
    text, place, after = "".join(lines), 0, re.escape(delimiter)
    whole = re.compile(rf'"(?:[^"]|"")*+"[ \t]*(?={after}|[\r\n]|$)')
    bare = re.compile(rf"[^{after}\r\n]*+")
    while place < len(text):
        found = (whole if text[place] == '"' else bare).match(text, place)
        if found is None:
            return bisect_right(list(itertools.accumulate(map(len, lines))), place)
        place = found.end() + 1
    return None
