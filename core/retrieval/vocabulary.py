"""A collection's own words: synonyms across both languages, and words kept whole.

    equal     退货 = 退回 = return          each finds all of them
    expand    大促 → 双十一, 618            the first finds the others, they do not find it
    kept      TW-5 Pro                     gets one term of its own beside its parts

Words are compared as the search compares them: case, width, Traditional and Simplified, and English endings do not
matter. Synonyms change the query and so hold from the next one; a kept word changes terms, so the passages that
hold it are indexed anew when it is added (:meth:`core.retrieval.words.Words.keep`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError
from core.retrieval import tokens
from core.workspace import recalled

Kind = Literal["equal", "expand"]
ALL = ""  # the collection name that stands for all of a tenant's
MOST_WORDS, LONGEST = 50, 100
_Rows = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Synonyms:
    """One group. ``collection`` is empty for a group of all collections, ``source`` a file or empty."""

    kind: Kind
    words: tuple[str, ...]
    collection: str = ALL
    id: int | None = None
    source: str = ""

    def __str__(self) -> str:
        if self.kind == "equal":
            return " = ".join(self.words)
        return f"{self.words[0]} → {', '.join(self.words[1:])}"


class Vocabulary:
    """Synonyms and kept words that hold for one collection, ready to be looked up."""

    def __init__(self, synonyms: _Rows, kept: Sequence[str]) -> None:
        self._others: dict[tuple[str, ...], dict[str, None]] = {}
        for kind, words in synonyms:
            asked = words if kind == "equal" else words[:1]
            for word in asked:
                found = self._others.setdefault(_key(word), {})
                found.update(dict.fromkeys(other for other in words if other != word))
        self._kept = {_key(word): _kept_term(word) for word in kept}
        self._starts = {key[0] for key in (*self._others, *self._kept) if key}

    def synonyms(self, text: str) -> list[str]:
        """The words that stand for words of ``text`` and are not in it."""
        if not self._others:
            return []
        found = {
            word: None
            for key in _present(tokens.tokens(text), self._others, self._starts)
            for word in self._others[key]
        }
        return list(found)

    def kept(self, text: str) -> list[str]:
        """The terms of the kept words in ``text``, as often as they occur."""
        return self.kept_in(tokens.tokens(text)) if self._kept else []

    def kept_in(self, terms: Sequence[str]) -> list[str]:
        """:meth:`kept` for a text whose terms are there already."""
        return [self._kept[key] for key in _present(terms, self._kept, self._starts)] if self._kept else []

    def terms(self, text: str) -> list[str]:
        """All terms of a text that is indexed."""
        found = tokens.tokens(text)
        return [*found, *self.kept_in(found)]

    def added_terms(self, query: str, *, synonyms: bool = True) -> list[str]:
        """The terms to search for beside the question's own: those of its kept words and its synonyms.

        Of a Chinese synonym the pairs are searched, not the single characters: nobody typed them.
        """
        found = dict.fromkeys(self.kept(query))
        for word in self.synonyms(query) if synonyms else ():
            terms = tokens.content_terms(word) or tokens.query_terms(word)
            found.update(dict.fromkeys([*terms, *self.kept(word)]))
        return list(found)


EMPTY = Vocabulary((), ())


def of(db: sqlite3.Connection, tenant: str, collection: str, file: Path | None = None) -> Vocabulary:
    """The vocabulary of ``collection``: its own words, those of all collections, and those of ``file``.

    Raises:
        InputError: the file is not of the form that :func:`read` expects.
    """
    rows = recalled(
        db,
        "SELECT kind, terms FROM synonyms WHERE tenant = ? AND collection IN ('', ?) ORDER BY id",
        tenant,
        collection,
    )
    kept = recalled(
        db, "SELECT DISTINCT word FROM kept_words WHERE tenant = ? AND collection IN ('', ?)", tenant, collection
    )
    groups = (*((row[0], tuple(json.loads(row[1]))) for row in rows), *_of_file(file))
    return _made(groups, tuple(row[0] for row in kept)) if groups or kept else EMPTY


def read(file: Path) -> list[Synonyms]:
    """The synonyms of a YAML file: ``equal: [[退货, return], …]`` and ``expand: {大促: [双十一, 618]}``.

    Raises:
        InputError: unreadable_file, bad_yaml.
    """
    import yaml

    try:
        data = yaml.safe_load(file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(reason="unreadable_file", name=str(file), detail=str(error)) from error
    except yaml.YAMLError as error:
        raise InputError(reason="bad_yaml", where=str(file), detail=str(error)) from error
    form = "equal: [[word, word], …], expand: {word: [word, …]}"
    if data is None:
        return []
    if not isinstance(data, Mapping) or not set(data) <= {"equal", "expand"}:
        raise InputError(reason="bad_yaml", where=str(file), detail=form)
    equal, expand = data.get("equal") or [], data.get("expand") or {}
    if not isinstance(equal, list) or not isinstance(expand, Mapping):
        raise InputError(reason="bad_yaml", where=str(file), detail=form)
    groups: list[tuple[Kind, Any]] = [("equal", words) for words in equal]
    for word, others in expand.items():
        groups.append(("expand", [word, *others] if isinstance(others, list) else [word, others]))
    found = []
    for kind, words in groups:
        if not isinstance(words, list):
            raise InputError(reason="bad_yaml", where=str(file), detail=f"{words!r}: {form}")
        found.append(Synonyms(kind, checked([str(word) for word in words]), source=str(file)))
    return found


def checked(words: Iterable[str]) -> tuple[str, ...]:
    """Words of a group, trimmed and each once.

    Raises:
        InputError: bad_words for fewer than two, too many, or one without a letter or digit.
    """
    found = tuple(dict.fromkeys(word.strip() for word in words))
    if not 2 <= len(found) <= MOST_WORDS:
        raise InputError(reason="bad_words", value=", ".join(found)[:200], allowed=f"2-{MOST_WORDS}")
    for word in found:
        checked_word(word)
    return found


def checked_word(word: str) -> str:
    word = word.strip()
    if len(word) > LONGEST or not word.isprintable() or not tokens.tokens(word):
        raise InputError(reason="bad_words", value=word[:200], allowed=f"1-{LONGEST}")
    return word


# --- matching -----------------------------------------------------------------------------------


def _key(word: str) -> tuple[str, ...]:
    """A word's terms as they follow one another in a text that holds it."""
    terms = tokens.tokens(word)
    if not word.isascii() and not any(c.isdigit() for c in tokens.normalized(word)):
        terms = [term for term in terms if not term.isdigit()]  # 七天 gives 7, too, which stands elsewhere
    return tuple(terms)


def _kept_term(word: str) -> str:
    """A kept word's own term: its normalised spelling, which no term of the tokenizer looks like."""
    return "=" + " ".join(tokens.normalized(word).split())


def _present(terms: Sequence[str], keys: Mapping[tuple[str, ...], Any], starts: set[str]) -> list[tuple[str, ...]]:
    """The keys that stand in ``terms`` one after another, once for each place."""
    found: list[tuple[str, ...]] = []
    longest = max(map(len, keys), default=0)
    for i, term in enumerate(terms):
        if term not in starts:
            continue
        for length in range(1, min(longest, len(terms) - i) + 1):
            key = tuple(terms[i : i + length])
            if key in keys:
                found.append(key)
    return found


@lru_cache(maxsize=256)
def _made(groups: _Rows, kept: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(groups, kept)


def _of_file(file: Path | None) -> _Rows:
    if file is None:
        return ()
    try:
        stat = file.stat()
    except OSError as error:
        raise InputError(reason="unreadable_file", name=str(file), detail=error.strerror or str(error)) from error
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(file: Path, mtime_ns: int, size: int) -> _Rows:
    return tuple((group.kind, group.words) for group in read(file))
