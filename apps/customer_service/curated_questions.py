"""The curated questions that a message is compared with, in memory, read anew only when an answer has changed.

Triggers count the changes of a tenant's answers, so that a turn looks up one number, whatever process made a change.
Of a text that was there before, words and product codes are not made again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.retrieval.tokens import codes, tokens
from core.types import Language
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

MOST = 100_000  # questions kept in memory, of all tenants and languages; each takes about 2 kB


@dataclass(frozen=True, slots=True)
class Terms:
    """The words of a text in their order, and the product codes and numbers it names."""

    words: str
    codes: frozenset[str]


def terms(text: str) -> Terms:
    return Terms("\x1f".join(tokens(text)), frozenset(codes(text)))


@dataclass(frozen=True, slots=True)
class Near:
    """Questions that name the same codes: the answers they belong to, ``(n,)``, and their vectors, ``(n, d)``."""

    answers: np.ndarray
    vectors: np.ndarray

    def nearest(self, vector: np.ndarray, least: float) -> int | None:
        """The answer to the question nearest to ``vector`` (of norm 1), if the cosine is at least ``least``."""
        import numpy as np

        # einsum stays in this thread: of milliseconds of work BLAS gives its other threads a part, and waits for them.
        cosines = np.einsum("nd,d->n", self.vectors, np.asarray(vector, np.float32))
        best = int(cosines.argmax())
        return int(self.answers[best]) if cosines[best] >= least else None


@dataclass(frozen=True, slots=True)
class Questions:
    """The live questions of a tenant in one language; where two say the same, the answer changed last counts."""

    change: int
    terms: Mapping[str, Terms]
    by_words: Mapping[str, int]
    by_codes: Mapping[frozenset[str], Near]


class Remembered:
    """Questions by workspace, tenant and language; those not asked for longest go first when there are too many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Path, str, Language], Questions] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, workspace: Workspace, tenant: str, language: Language) -> Questions:
        """The questions as they stand now."""
        key = (workspace.path, tenant, language)
        with self._lock:
            known = self._kept.pop(key, None)
            with workspace.snapshot() as db:
                change = _change(db, tenant)
                if known is None or known.change != change:
                    known = _arranged(change, _rows(db, tenant, language), known.terms if known else {})
            self._kept[key] = known
            while len(self._kept) > 1 and sum(len(questions.terms) for questions in self._kept.values()) > self._most:
                self._kept.popitem(last=False)
            return known


def _change(db: sqlite3.Connection, tenant: str) -> int:
    row = db.execute("SELECT number FROM support_answer_changes WHERE tenant=?", (tenant,)).fetchone()
    return int(row["number"]) if row else 0


def _rows(db: sqlite3.Connection, tenant: str, language: Language) -> Iterable[sqlite3.Row]:
    return db.execute(
        "SELECT q.answer_id, q.text, q.vector FROM support_answers AS a JOIN support_answer_questions AS q"
        " ON q.answer_id=a.id WHERE a.tenant=? AND a.state='live' AND a.language=?"
        " ORDER BY a.changed_at DESC, a.id DESC, q.position",
        (tenant, language),
    )


def _arranged(change: int, rows: Iterable[sqlite3.Row], before: Mapping[str, Terms]) -> Questions:
    import numpy as np

    known: dict[str, Terms] = {}
    by_words: dict[str, int] = {}
    grouped: dict[frozenset[str], tuple[list[int], list[bytes]]] = {}
    for answer_id, text, vector in rows:
        said = known[text] = before.get(text) or terms(text)
        by_words.setdefault(said.words, answer_id)
        if vector:
            answers, vectors = grouped.setdefault(said.codes, ([], []))
            answers.append(answer_id)
            vectors.append(vector)
    by_codes = {
        named: Near(
            np.array(answers), np.frombuffer(b"".join(kept), np.float16).reshape(len(kept), -1).astype(np.float32)
        )
        for named, (answers, kept) in grouped.items()
    }
    return Questions(change, known, by_words, by_codes)
