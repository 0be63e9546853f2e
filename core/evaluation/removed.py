"""Questions made unanswerable by taking their answers out of the documents.

Questions about something else are easily refused. The hard and honest ones are about what the documents do
treat: the paragraph that answers is gone while its neighbors stay, or only the sentences that answer are
gone while the rest of their paragraph stays. Which questions lose their answer is decided by a hash, so the
same file gives the same set everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from core.errors import InputError
from core.evaluation import spans
from core.evaluation.datasets import Dataset, Document, Record
from core.retrieval import sentences

Removal = Literal["paragraphs", "sentences"]


def without_paragraphs(data: Dataset, *, share: float = 0.5, seed: int = 0) -> Dataset:
    """Take a ``share`` of the documents that hold answers out; their questions have no answer any more.

    A question with several documents loses all of them or none: it goes with its first. Another question that
    needs one of those is left out, unless a document that stays answers it too.

    Raises:
        InputError: no question names the document of its answer.
    """
    asked = _asked(data)
    gone: set[str] = set()
    for record in asked:
        if _chosen(next(iter(record.relevant)), share, seed):
            gone.update(record.relevant)
    documents = tuple(document for document in data.documents if document.id not in gone)
    by_id = {document.id: document for document in documents}
    records = []
    for record in asked:
        if not record.relevant.keys() & by_id.keys():
            records.append(_emptied(record))
        elif any(_holds(by_id[id_].text, record) for id_ in record.relevant if id_ in by_id):
            records.append(record)
    return _renamed(data, "paragraphs", records, documents)


def without_sentences(data: Dataset, *, share: float = 0.5, seed: int = 0) -> Dataset:
    """Of a ``share`` of the documents, take out the sentences that answer one question; all else stays.

    The question is one per document. Others whose answer went with those sentences are left out; those whose
    answer still stands are asked as before.

    Raises:
        InputError: no question names the document of its answer.
    """
    texts = {document.id: document.text for document in data.documents}
    emptied: set[str] = set()
    touched: set[str] = set()
    for record in sorted(_asked(data), key=lambda record: _hash(record.id, seed)):
        there = [id_ for id_ in record.relevant if id_ in texts]
        if not there or not _chosen(there[0], share, seed) or touched.intersection(there):
            continue
        cut = {id_: _without_answer(texts[id_], record) for id_ in there}
        if all(not _holds(text, record) for text in cut.values()) and any(text.strip() for text in cut.values()):
            texts.update(cut)
            touched.update(there)
            emptied.add(record.id)
    documents = tuple(Document(d.id, texts[d.id], d.title) for d in data.documents)
    records = []
    for record in _asked(data):
        if record.id in emptied:
            records.append(_emptied(record))
        elif any(_holds(texts.get(id_, ""), record) for id_ in record.relevant):
            records.append(record)
    return _renamed(data, "sentences", records, documents)


REMOVALS: Mapping[Removal, Callable[[Dataset], Dataset]] = {
    "paragraphs": without_paragraphs,
    "sentences": without_sentences,
}


def _renamed(data: Dataset, gone: Removal, records: list[Record], documents: tuple[Document, ...]) -> Dataset:
    """Under a name of its own, so that figures never stand in place of those of the whole."""
    name = f"{data.name}-without-{gone}"
    return replace(data, name=name, records=tuple(records), documents=documents, checksum="")


def _asked(data: Dataset) -> list[Record]:
    asked = [record for record in data.records if record.answers and record.relevant]
    if not asked:
        raise InputError(reason="data_no_answers", name=data.name)
    return asked


def _emptied(record: Record) -> Record:
    return replace(record, answers=(), relevant={})


def _without_answer(text: str, record: Record) -> str:
    """``text`` without the sentences that share characters with one of the answers."""
    found = [m for answer in record.answers for m in spans.places(text, answer)]
    kept, last = [], 0
    for start, end in sentences.spans(text):
        if any(start < b and a < end for a, b in found):
            kept.append(text[last:start])
            last = end
    return "".join([*kept, text[last:]]).strip()


def _holds(text: str, record: Record) -> bool:
    return bool(spans.holds([text], record.answers))


def _chosen(key: str, share: float, seed: int) -> bool:
    return _hash(key, seed) < share


def _hash(key: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8], "big") / 2**64
