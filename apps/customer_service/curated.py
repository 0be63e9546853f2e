"""Curated answers: what people of the house wrote for a question comes before what the documents say.

An answer is in one language and has one or more questions. A message gets it when it says one of them: in the same
words, or so nearly in meaning (:data:`LEAST`) that one near question in nine, written to share its words, gets it wrongly.
More ways to ask make it found more often; nothing but a person adds them. What an agent said to a customer becomes a proposal, which
nobody reads but the manager, until it is accepted.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from apps.customer_service.curated_questions import Remembered, terms
from apps.customer_service.dialog import without_courtesy
from apps.customer_service.intents import EMBEDDING
from apps.customer_service.manager import must_be_admin
from apps.spreadsheet import as_typed, harmless
from core.errors import InputError, NotFound, TouchstoneError
from core.i18n import LANGUAGES
from core.providers.sync import run
from core.runtime import Runtime
from core.safety.personal import mask
from core.types import Caller, Language

if TYPE_CHECKING:
    import numpy as np

State = Literal["live", "off", "proposed"]
# Cosine from which a message asks a curated question. Chosen on the even rows of sample/curated.jsonl, where it lets 7 %
# of the near questions through, by ``python -m apps.customer_service.evaluate_curated``.
LEAST: Mapping[Language, float] = {"zh": 0.935, "en": 0.92}
TEXT_LIMIT, QUESTION_LIMIT = 4000, 500  # characters
QUESTIONS_LIMIT = 50  # of one answer
COLUMNS = ("language", "question", "answer")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A curated answer, or one that is proposed. ``hits``: how often it was given."""

    id: int
    language: Language
    questions: tuple[str, ...]
    text: str
    state: State
    hits: int
    hit_at: float | None
    changed_by: str
    changed_at: float


class Curated:
    """The curated answers of one workspace, each tenant's own. Keep one: it remembers the questions."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._questions = Remembered()

    # --- answering ----------------------------------------------------------------------------

    async def find(self, caller: Caller, question: str, language: Language) -> Entry | None:
        """The answer in ``language`` that people wrote for what ``question`` asks."""
        known = await asyncio.to_thread(self._questions.of, self._runtime.workspace, caller.tenant, language)
        if not known.terms:
            return None
        asked = without_courtesy(question)
        said = terms(asked)
        answer_id = known.by_words.get(said.words)
        if answer_id is None and (near := known.by_codes.get(said.codes)):
            (vector,) = await self._vectors([asked])
            answer_id = await asyncio.to_thread(near.nearest, vector, LEAST[language]) if len(vector) else None
        return None if answer_id is None else await asyncio.to_thread(self._unless_gone, caller, answer_id)

    def _unless_gone(self, caller: Caller, answer_id: int) -> Entry | None:
        """The answer, which somebody may delete while a message is compared."""
        try:
            return self.get(caller, answer_id)
        except NotFound:
            return None

    def hit(self, caller: Caller, answer_id: int) -> None:
        """Count that an answer was given."""
        with self._runtime.workspace.write() as db:
            db.execute(
                "UPDATE support_answers SET hits=hits+1, hit_at=? WHERE tenant=? AND id=?",
                (time.time(), caller.tenant, answer_id),
            )

    # --- what there is, for an admin ----------------------------------------------------------

    def all(self, caller: Caller, *states: State) -> list[Entry]:
        """Those in ``states``, by default live ones and those switched off; what was given most comes first."""
        must_be_admin(caller)
        wanted = states or ("live", "off")
        with self._runtime.workspace.read() as db:
            rows = db.execute(
                f"SELECT * FROM support_answers WHERE tenant=? AND state IN ({', '.join('?' * len(wanted))})"
                " ORDER BY hits DESC, changed_at DESC, id DESC",
                (caller.tenant, *wanted),
            ).fetchall()
            return [_entry(db, row) for row in rows]

    def get(self, caller: Caller, answer_id: int) -> Entry:
        """
        Raises:
            NotFound: the tenant has no such answer.
        """
        with self._runtime.workspace.read() as db:
            row = db.execute(
                "SELECT * FROM support_answers WHERE tenant=? AND id=?", (caller.tenant, answer_id)
            ).fetchone()
            if row is None:
                raise NotFound(kind="answer", value=answer_id)
            return _entry(db, row)

    def save(
        self,
        caller: Caller,
        *,
        questions: Iterable[str],
        text: str,
        language: Language,
        answer_id: int | None = None,
        on: bool = True,
    ) -> int:
        """Keep an answer, in the place of ``answer_id`` where one is named (a proposal is accepted by that); its id.

        Raises:
            InputError: no question or no answer, or one too long or too many; a language that there is not.
            NotFound: the tenant has no answer of that id.
        """
        must_be_admin(caller)
        asked = _checked_questions(questions)
        text = text.strip()
        if not text or len(text) > TEXT_LIMIT:
            raise InputError(reason="reply_length", length=len(text), limit=TEXT_LIMIT)
        if language not in LANGUAGES:
            raise InputError(reason="bad_value", name="language", value=language, allowed=", ".join(LANGUAGES))
        vectors = run(self._vectors([without_courtesy(question) for question in asked]))
        row = (language, text, "live" if on else "off", caller.user, time.time())
        with self._runtime.workspace.write() as db:
            if answer_id is None:
                answer_id = _added(db, caller, row)
            elif not db.execute(
                "UPDATE support_answers SET language=?, text=?, state=?, changed_by=?, changed_at=?,"
                " conversation_id=NULL WHERE tenant=? AND id=?",
                (*row, caller.tenant, answer_id),
            ).rowcount:
                raise NotFound(kind="answer", value=answer_id)
            _asked(db, answer_id, asked, vectors)
        return answer_id

    def delete(self, caller: Caller, answer_id: int) -> None:
        """Forget an answer, or dismiss a proposal. One that is not there is no error."""
        must_be_admin(caller)
        with self._runtime.workspace.write() as db:
            db.execute("DELETE FROM support_answers WHERE tenant=? AND id=?", (caller.tenant, answer_id))

    # --- proposals ----------------------------------------------------------------------------

    def propose(self, caller: Caller, conversation_id: str, question: str, text: str, language: Language) -> None:
        """Propose what an agent said to a customer, personal data masked. It goes when the conversation is deleted."""
        row = (language, mask(text).text[:TEXT_LIMIT], "proposed", caller.user, time.time())
        with self._runtime.workspace.write() as db:
            answer_id = _added(db, caller, row, conversation_id)
            _asked(db, answer_id, [mask(question).text[:QUESTION_LIMIT]], [()])

    # --- as a table ---------------------------------------------------------------------------

    def as_csv(self, caller: Caller) -> str:
        """One row a question, for a spreadsheet; :meth:`read` takes it back."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for entry in sorted(self.all(caller), key=lambda entry: entry.id):
            writer.writerows((entry.language, harmless(asked), harmless(entry.text)) for asked in entry.questions)
        return "\ufeff" + out.getvalue()

    def read(self, caller: Caller, table: str) -> int:
        """Add the answers of a table with the columns :data:`COLUMNS`; rows of one answer belong together. How many.

        An answer that is there word for word, with these questions, is not added again.

        Raises:
            InputError: a column is missing, or as in :meth:`save` for a row; nothing is added then.
        """
        must_be_admin(caller)
        reader = csv.DictReader(io.StringIO(table.removeprefix("\ufeff")))
        fields = reader.fieldnames or ()
        for column in COLUMNS:
            if column not in fields:
                raise InputError(reason="data_column", where="CSV", value=column, allowed=", ".join(fields))
        wanted: dict[tuple[str, str], list[str]] = {}
        for row in reader:
            key = ((row["language"] or "").strip(), as_typed((row["answer"] or "").strip()))
            wanted.setdefault(key, []).append(as_typed(row["question"] or ""))
        there = {(entry.language, entry.text, entry.questions) for entry in self.all(caller)}
        new = [(key, asked) for key, asked in wanted.items() if (*key, tuple(_checked_questions(asked))) not in there]
        for (language, text), _ in new:
            if language not in LANGUAGES or not text or len(text) > TEXT_LIMIT:
                raise InputError(reason="bad_value", name="row", value=f"{language}: {text[:60]}", allowed=f"{', '.join(LANGUAGES)}: 1 … {TEXT_LIMIT}")  # fmt: skip
        for (language, text), asked in new:
            self.save(caller, questions=asked, text=text, language=language)  # type: ignore[arg-type]  # checked above
        return len(new)

    async def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """A vector of norm 1 for each text; empty ones where the model cannot be asked, which words do without."""
        import numpy as np

        try:
            return np.asarray(await self._runtime.embedding(EMBEDDING).embed(list(texts), kind="query"))
        except TouchstoneError as error:
            log.warning("curated answers by their words alone: %s", error)
            return np.empty((len(texts), 0))


def _checked_questions(questions: Iterable[str]) -> list[str]:
    asked = list(dict.fromkeys(" ".join(text.split()) for text in questions if text.strip()))
    if not asked:
        raise InputError(reason="empty_question")
    if len(asked) > QUESTIONS_LIMIT:
        raise InputError(reason="bad_value", name="questions", value=len(asked), allowed=f"1 … {QUESTIONS_LIMIT}")
    if (longest := max(map(len, asked))) > QUESTION_LIMIT:
        raise InputError(reason="question_too_long", length=longest, limit=QUESTION_LIMIT)
    return asked


def _added(db: sqlite3.Connection, caller: Caller, row: Sequence[object], conversation_id: str | None = None) -> int:
    made = db.execute(
        "INSERT INTO support_answers (language, text, state, changed_by, changed_at, tenant, conversation_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, caller.tenant, conversation_id),
    )
    return int(made.lastrowid or 0)


def _asked(db: sqlite3.Connection, answer_id: int, questions: Sequence[str], vectors: Iterable[object]) -> None:
    import numpy as np

    db.execute("DELETE FROM support_answer_questions WHERE answer_id=?", (answer_id,))
    db.executemany(
        "INSERT INTO support_answer_questions (answer_id, position, text, vector) VALUES (?, ?, ?, ?)",
        [
            (answer_id, place, text, np.asarray(vector, np.float16).tobytes())
            for place, (text, vector) in enumerate(zip(questions, vectors, strict=True))
        ],
    )


def _entry(db: sqlite3.Connection, row: sqlite3.Row) -> Entry:
    asked = db.execute(
        "SELECT text FROM support_answer_questions WHERE answer_id=? ORDER BY position", (row["id"],)
    ).fetchall()
    return Entry(
        row["id"], row["language"], tuple(text for (text,) in asked), row["text"], row["state"], row["hits"],
        row["hit_at"], row["changed_by"], row["changed_at"],
    )  # fmt: skip
