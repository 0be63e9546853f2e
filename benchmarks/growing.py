"""A corpus that can be made as large as one likes: real sentences put together anew, with names that keep coming.

A passage is two to five sentences of public data (SciFact abstracts, CMRC 2018 paragraphs). Sentences alone would
stop bringing new words after some thousand passages, so every passage also names things, drawn by a Pitman–Yor
process: names seen before come back in proportion to how often they came, and new ones keep coming by a power law,
as words do in real text (Heaps' law). Everything follows from the seed.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.retrieval import keyword, pending, segments, sentences, split, tokens
from core.retrieval.postings import TENTHS, hashed
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

SEED = 20_261
PER_DOCUMENT = 10  # passages
_DISCOUNT, _STRENGTH = 0.6, 50.0  # of the Pitman–Yor process; the exponent of Heaps' law
_NAMES = 2  # in a passage
_NOISE = 0.012  # of each dimension of a passage's vector, so that no two are the same
MODEL = "bench:mixed"


@dataclass(frozen=True, slots=True)
class Passage:
    title: str
    sentences: tuple[int, ...]  # positions in the pool
    names: tuple[str, ...]


def pool(data: Path) -> list[tuple[str, str]]:
    """``(title, sentence)`` in a fixed order, Chinese and English mixed."""
    found: list[tuple[str, str]] = []
    with gzip.open(data / "scifact" / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            found += [(row["title"], row["text"][a:b]) for a, b in sentences.spans(row["text"])]
    chinese: list[tuple[str, str]] = []
    for title, context in paragraphs(data):
        chinese += [(title, context[a:b]) for a, b in sentences.spans(context)]
    rng = random.Random(SEED)
    rng.shuffle(found)
    found = found[: len(chinese)] + chinese  # half and half
    rng.shuffle(found)
    return [(title, text) for title, text in found if 10 <= len(text) <= 400]


def paragraphs(data: Path) -> Iterator[tuple[str, str]]:
    for name in ("cmrc2018_dev.json", "cmrc2018_trial.json"):
        for article in json.loads((data / "cmrc2018" / name).read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                yield article.get("title", ""), paragraph["context"]


def questions(data: Path, count: int) -> list[str]:
    """Real questions, half Chinese (CMRC trial), half English (SciFact train)."""
    chinese = [
        qa["question"]
        for article in json.loads((data / "cmrc2018" / "cmrc2018_trial.json").read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    with (data / "scifact" / "qrels" / "train.tsv").open(encoding="utf-8") as lines:
        asked = {line.split("\t")[0] for line in lines}
    with (data / "scifact" / "queries.jsonl").open(encoding="utf-8") as lines:
        english = [row["text"] for row in map(json.loads, lines) if row["_id"] in asked]
    rng = random.Random(SEED)
    return rng.sample(chinese, count // 2) + rng.sample(english, count - count // 2)


def passages(pool: Sequence[tuple[str, str]]) -> Iterator[Passage]:
    """Without end."""
    rng = random.Random(SEED + 1)
    seen: list[str] = []  # one entry per use
    distinct = 0
    while True:
        names = []
        for _ in range(_NAMES):
            fresh = rng.random() * (len(seen) + _STRENGTH) < distinct * _DISCOUNT + _STRENGTH
            if fresh:
                distinct += 1
            names.append(_name(distinct, rng) if fresh else rng.choice(seen))
        seen += names
        chosen = tuple(rng.randrange(len(pool)) for _ in range(rng.randint(2, 5)))
        yield Passage(pool[chosen[0]][0], chosen, tuple(names))


def _name(number: int, rng: random.Random) -> str:
    """A product code, an English name or a Chinese one."""
    kind = rng.randrange(3)
    if kind == 0:
        return f"{rng.choice('ABCKTX')}{rng.choice('ABLMRS')}-{number}"
    if kind == 1:
        return "".join(rng.choice(["ka", "lo", "mi", "ren", "tos", "va", "qui", "ber", "dan", "yl"]) for _ in range(4))
    return "".join(chr(rng.randint(0x4E00, 0x8FFF)) for _ in range(3))


class Writer:
    """Writes passages, their terms and their vectors as the engine does, without files and without embedding."""

    def __init__(
        self, workspace: Workspace, pool: Sequence[tuple[str, str]], vectors: np.ndarray, model: str = MODEL
    ) -> None:
        self.workspace, self.pool, self.vectors, self.model = workspace, pool, vectors, model
        self.words: set[int] = set()  # hashes of all terms seen
        self.terms = 0
        self.written = 0
        self._made = passages(pool)
        self._cached: dict[int, np.ndarray] = {}
        with workspace.write() as db:
            db.execute("INSERT INTO collections (tenant, name, created_at) VALUES ('local', 'default', 0)")
            self.collection = int(db.execute("SELECT id FROM collections").fetchone()[0])
            keyword.create(db, self.collection)

    def write(self, until: int) -> None:
        """Go on until there are ``until`` passages."""
        import numpy as np

        rng = np.random.default_rng(SEED + self.written)
        while self.written < until:
            with self.workspace.write() as db:
                for _ in range(min(100, (until - self.written) // PER_DOCUMENT or 1)):
                    self._document(db, [next(self._made) for _ in range(PER_DOCUMENT)], rng)
                db.execute("UPDATE collections SET generation = generation + 1")
        pending.record(self.workspace, self.collection, self.model)  # as the engine does once all is embedded

    def _terms(self, sentence: int) -> np.ndarray:
        """A sentence's terms as hashes: it is cut once, though it stands in many passages."""
        import numpy as np

        if sentence not in self._cached:
            found = [hashed(term) for term in tokens.tokens(self.pool[sentence][1])]
            self._cached[sentence] = np.array(found, np.uint64)
        return self._cached[sentence]

    def _document(self, db: Any, made: Sequence[Passage], rng: np.random.Generator) -> None:
        import numpy as np

        document = f"d{self.written}"
        db.execute(
            "INSERT INTO documents (id, collection_id, tenant, user, source, title, language, media_type, content_hash,"
            " text, updated_at) VALUES (?, ?, 'local', 'local', ?, ?, 'en', 'text/plain', ?, '', 0)",
            (document, self.collection, document, made[0].title, document),
        )
        mixed = np.stack([self.vectors[list(p.sentences)].mean(axis=0) for p in made])
        mixed += rng.normal(scale=_NOISE, size=mixed.shape)
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        title = np.array([hashed(term) for term in tokens.tokens(made[0].title)], np.uint64)
        for position, passage in enumerate(made):
            text = " ".join([*(self.pool[i][1] for i in passage.sentences), *passage.names])
            named = [hashed(term) for name in passage.names for term in tokens.tokens(name)]
            terms = np.concatenate([title, *(self._terms(i) for i in passage.sentences), np.array(named, np.uint64)])
            distinct, counts = np.unique(terms, return_counts=True)
            hash_ = split.text_hash(f"{document}-{position}\n{text}")
            number = db.execute(
                'INSERT INTO passages (id, collection_id, document_id, position, start, "end", language, text, text_hash)'
                " VALUES (?, ?, ?, ?, 0, ?, 'en', ?, ?)",
                (f"{document}-{hash_[:12]}", self.collection, document, position, len(text), text, hash_),
            ).lastrowid
            segments.add(db, self.collection, number, distinct, np.minimum(counts * TENTHS, 255), len(terms))
            db.execute(
                "INSERT INTO vectors (model, text_hash, vector) VALUES (?, ?, ?)",
                (self.model, hash_, mixed[position].astype(np.float16).tobytes()),
            )
            self.terms += len(terms)
            self.words.update(distinct.tolist())
        self.written += len(made)
