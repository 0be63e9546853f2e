"""Keeping a collection's own words: synonyms and the user dictionary (:mod:`core.retrieval.vocabulary`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InputError, NotFound
from core.retrieval import finding, keyword, split, tokens, vocabulary
from core.retrieval.vocabulary import ALL, Kind, Synonyms, checked, checked_word
from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Kept:
    """A word of the user dictionary. ``passages`` were indexed anew, when it was just added or removed."""

    word: str
    collection: str = ALL
    passages: int = 0


class Words:
    """The words of one collection of a tenant, or of all its collections (``collection`` empty)."""

    def __init__(self, workspace: Workspace, caller: Caller, collection: str = ALL) -> None:
        self.workspace, self.caller, self.collection = workspace, caller, collection

    def synonyms(self) -> list[Synonyms]:
        """The groups that hold here, those of all collections included, oldest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT id, collection, kind, terms FROM synonyms WHERE tenant = ? AND collection IN ('', ?)"
                " ORDER BY id",
                (self.caller.tenant, self.collection),
            ).fetchall()
        return [Synonyms(row["kind"], tuple(json.loads(row["terms"])), row["collection"], row["id"]) for row in rows]

    def add(self, words: Sequence[str], *, kind: Kind = "equal") -> Synonyms:
        """Add a group; adding it again changes nothing. The next search knows it.

        Raises:
            InputError: bad_words
        """
        if kind not in ("equal", "expand"):
            raise InputError(reason="bad_value", name="kind", value=kind, allowed="equal, expand")
        group = checked(words)
        key = (self.caller.tenant, self.collection, kind, json.dumps(group, ensure_ascii=False))
        with self.workspace.write() as db:
            db.execute("INSERT OR IGNORE INTO synonyms (tenant, collection, kind, terms) VALUES (?, ?, ?, ?)", key)
            row = db.execute(
                "SELECT id FROM synonyms WHERE tenant = ? AND collection = ? AND kind = ? AND terms = ?", key
            ).fetchone()
        return Synonyms(kind, group, self.collection, row["id"])

    def remove(self, id_: int) -> None:
        """
        Raises:
            NotFound: this tenant has no such group.
        """
        with self.workspace.write() as db:
            if not db.execute("DELETE FROM synonyms WHERE id = ? AND tenant = ?", (id_, self.caller.tenant)).rowcount:
                raise NotFound(kind="synonyms", value=id_)

    def kept(self) -> list[Kept]:
        """The words kept whole here, those of all collections included."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT word, collection FROM kept_words WHERE tenant = ? AND collection IN ('', ?) ORDER BY word",
                (self.caller.tenant, self.collection),
            ).fetchall()
        return [Kept(row["word"], row["collection"]) for row in rows]

    def keep(self, word: str) -> Kept:
        """Give ``word`` a term of its own; the passages that hold it are indexed anew, in one transaction.

        Raises:
            InputError: bad_words
        """
        word = checked_word(word)
        with self.workspace.write() as db:
            db.execute("INSERT OR IGNORE INTO kept_words VALUES (?, ?, ?)", (self.caller.tenant, self.collection, word))
            return Kept(word, self.collection, self._reindex(db, word))

    def forget(self, word: str) -> Kept:
        """Take ``word`` out of the dictionary.

        Raises:
            NotFound: it is not in the dictionary of this collection.
        """
        with self.workspace.write() as db:
            key = (self.caller.tenant, self.collection, word.strip())
            if not db.execute("DELETE FROM kept_words WHERE tenant = ? AND collection = ? AND word = ?", key).rowcount:
                raise NotFound(kind="word", value=word)
            return Kept(word.strip(), self.collection, self._reindex(db, word))

    def _reindex(self, db: sqlite3.Connection, word: str) -> int:
        """Enter the terms of the passages that hold ``word`` again; returns how many there were."""
        rows = db.execute(
            "SELECT id, name FROM collections WHERE tenant = ? AND ? IN ('', name)",
            (self.caller.tenant, self.collection),
        ).fetchall()
        changed = 0
        holds = vocabulary.Vocabulary((), (word,))
        for row in rows:
            words = vocabulary.of(db, self.caller.tenant, row["name"])
            terms = tokens.tokens(word)
            frequency = keyword.document_frequency(db, row["id"], terms)
            rarest = min(terms, key=lambda term: frequency[term])
            found = keyword.search(db, row["id"], [rarest], max(1, frequency[rarest]))
            for number, _ in found:
                changed += _entered(db, row["id"], number, holds, words)
        return changed


def _entered(
    db: sqlite3.Connection, collection: int, number: int, holds: vocabulary.Vocabulary, words: vocabulary.Vocabulary
) -> bool:
    """Enter passage ``number`` anew with ``words``, when it holds what ``holds`` keeps."""
    row = db.execute(
        "SELECT p.*, d.title, d.source, d.metadata AS document_metadata"
        " FROM passages p JOIN documents d ON d.id = p.document_id WHERE p.number = ? AND p.collection_id = ?",
        (number, collection),
    ).fetchone()
    if row is None:
        return False
    passage = finding.passage_of(row)
    context = split.context(passage.title, passage.heading, dict(passage.metadata))
    if not holds.kept(context) and not holds.kept(passage.text):
        return False
    keyword.remove(db, collection, number)
    keyword.add(db, collection, number, words.terms(context), words.terms(passage.text))
    return True
