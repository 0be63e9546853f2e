"""Which companies a text speaks of: a dictionary, searched for all of its names at once.

An alias that is also a plain word (Apple, Target, 美的) is marked with ``?`` in the dictionary: it counts only with a
sign that the company is meant, which is another of its names or codes, or a word of its ``context``, in the text.
Latin names begin and end at word boundaries and keep their capital; Chinese names take the longest match.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from core.errors import InputError, MissingFile
from core.types import Caller
from core.workspace import Workspace

SHIPPED = Path(__file__).parent / "data" / "companies.csv"
COLUMNS = ("id", "zh", "en", "aliases", "codes", "sector", "context")
_LATIN = re.compile(r"[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Company:
    """A row of the dictionary. ``codes`` are written as ``600519.SH``, ``0700.HK``, ``AAPL.US``."""

    id: str
    zh: str
    en: str
    aliases: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    sector: str = ""
    context: tuple[str, ...] = ()

    def name(self, language: str) -> str:
        return (self.zh or self.en) if language == "zh" else (self.en or self.zh)

    @property
    def names(self) -> tuple[tuple[str, bool], ...]:
        """Every way to write it, and whether that is also a plain word."""
        sure = [(name, False) for name in (self.zh, self.en) if name]
        said = [(alias.rstrip("?"), alias.endswith("?")) for alias in self.aliases]
        return tuple(
            dict.fromkeys([*sure, *said, *((written, False) for code in self.codes for written in _codes(code))])
        )


@dataclass(frozen=True, slots=True)
class Mention:
    """A company in a text: ``spans`` are all its places, in order."""

    company: Company
    spans: tuple[tuple[int, int], ...]


def _codes(code: str) -> Iterator[str]:
    """How a code is written in texts: ``600519.SH`` also as ``SH600519`` and ``600519``; a US ticker as ``$AAPL``.

    Short numbers and bare tickers are words and numbers too often.
    """
    number, _, market = code.rpartition(".")
    yield code
    if market == "US":
        yield f"${number}"
        yield f"NASDAQ:{number}"
        yield f"NYSE:{number}"
    elif number.isdigit():
        yield f"{market}{number}"
        if len(number) == 6:
            yield number


@dataclass(slots=True)
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    ends: list[tuple[str, str, bool]] = field(default_factory=list)  # name as written, company id, plain word


class Dictionary:
    """Companies and the tree of their names; searching costs one walk over the text."""

    def __init__(self, companies: Iterable[Company]) -> None:
        self.companies = {company.id: company for company in companies}
        self._root = _Node()
        for company in self.companies.values():
            for name, plain in company.names:
                node = self._root
                for character in _folded(name):
                    node = node.next.setdefault(character, _Node())
                node.ends.append((name, company.id, plain))

    def __len__(self) -> int:
        return len(self.companies)

    def find(self, text: str) -> list[Mention]:
        """The companies of ``text``, in the order of their first places.

        >>> [m.company.id for m in shipped().find("苹果发布新款iPhone，京东方供应面板")]
        ['apple', 'boe']
        >>> shipped().find("今年苹果丰收，果农高兴")
        []
        """
        folded = _folded(text)
        if len(folded) != len(text):  # a few characters fold into several; then places would be wrong
            folded = text.lower() if len(text.lower()) == len(text) else text
        places: dict[str, list[tuple[int, int]]] = {}
        doubtful: dict[str, list[tuple[int, int]]] = {}
        at = 0
        begins = self._root.next
        while at < len(folded):
            found = self._at(folded, text, at) if folded[at] in begins else None
            if found is None:
                at += 1
                continue
            end, ends = found
            for _, id_, plain in ends:
                (doubtful if plain else places).setdefault(id_, []).append((at, end))
            at = end
        for id_, spans in doubtful.items():
            if id_ in places or _meant(self.companies[id_], folded):
                places.setdefault(id_, []).extend(spans)
        found_all = [Mention(self.companies[id_], tuple(sorted(spans))) for id_, spans in places.items()]
        return sorted(found_all, key=lambda mention: mention.spans[0])

    def _at(self, folded: str, text: str, at: int) -> tuple[int, list[tuple[str, str, bool]]] | None:
        """The longest name that begins at ``at``."""
        if at and _LATIN.match(folded[at]) and _LATIN.match(folded[at - 1]):
            return None
        node, best = self._root, None
        for place in range(at, len(folded)):
            following = node.next.get(folded[place])
            if following is None:
                break
            node, end = following, place + 1
            if node.ends and not (_LATIN.match(folded[place]) and end < len(folded) and _LATIN.match(folded[end])):
                ends = [found for found in node.ends if _written(found[0], text[at:end])]
                best = (end, ends) if ends else best
        return best

    def with_rows(self, companies: Iterable[Company]) -> Dictionary:
        """A dictionary with ``companies`` added; one of the same id is replaced."""
        return Dictionary({**self.companies, **{company.id: company for company in companies}}.values())


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_fold, text))


@lru_cache(maxsize=10_000)
def _fold(character: str) -> str:
    wide = unicodedata.normalize("NFKC", character).lower()
    return wide if len(wide) == 1 else character


def _written(name: str, said: str) -> bool:
    """Whether a Latin name keeps its first capital: ``visa`` is none, ``VISA`` and ``Visa`` are."""
    return not name[0].isupper() or said[0].isupper() or unicodedata.normalize("NFKC", said[0]).isupper()


def _meant(company: Company, folded: str) -> bool:
    for word in company.context:
        word = word.lower()
        if _LATIN.match(word):
            if re.search(rf"(?<![a-z0-9]){re.escape(word)}s?(?![a-z0-9])", folded):
                return True
        elif word in folded:
            return True
    return False


def read(path: Path) -> list[Company]:
    """A dictionary of a user's own: CSV with the columns of the shipped one; all but ``id`` and a name may be empty.

    Raises:
        MissingFile: the file is not there.
        InputError: a column is missing, an id is given twice or a row has no name.
    """
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="companies")
    return parse(path.read_text("utf-8-sig"), path.name)


def parse(text: str, where: str) -> list[Company]:
    """The companies of a dictionary's text.

    Raises:
        InputError: as :func:`read`.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for column in ("id", "zh", "en"):
        if column not in (reader.fieldnames or ()):
            allowed = ", ".join(reader.fieldnames or ())
            raise InputError(reason="data_column", where=where, value=column, allowed=allowed)
    found: dict[str, Company] = {}
    for number, row in enumerate(reader, 2):
        company = from_row(row, f"{where}:{number}")
        if company.id in found:
            raise InputError(reason="data_duplicate", where=f"{where}:{number}", value=company.id)
        found[company.id] = company
    return list(found.values())


def written(listed: Iterable[Company]) -> str:
    """A dictionary's text, which :func:`parse` reads."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_row(company) for company in listed)
    return out.getvalue()


def as_row(company: Company) -> dict[str, str]:
    """A company as a row of the dictionary."""
    return {
        "id": company.id,
        "zh": company.zh,
        "en": company.en,
        "aliases": ";".join(company.aliases),
        "codes": ";".join(company.codes),
        "sector": company.sector,
        "context": ";".join(company.context),
    }


def from_row(row: dict[str, str], where: str) -> Company:
    """
    Raises:
        InputError: (``data_row``) no id or no name.
    """
    said = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if not said["id"] or not (said["zh"] or said["en"]):
        raise InputError(reason="data_row", where=where, detail=repr(said)[:80])

    def listed(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in said[name].split(";") if part.strip().rstrip("?"))

    return Company(
        said["id"], said["zh"], said["en"], listed("aliases"), listed("codes"), said["sector"], listed("context")
    )


@cache
def shipped() -> Dictionary:
    """Some two hundred well-known companies."""
    return Dictionary(read(SHIPPED))


def places_of(mentions: Sequence[Mention], besides: str) -> list[tuple[int, int]]:
    """The places of all mentions but those of the company ``besides``."""
    return [span for mention in mentions if mention.company.id != besides for span in mention.spans]


class Dictionaries:
    """The dictionaries of a workspace: for each tenant the shipped companies and those of its own."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._known: dict[str, Dictionary] = {}

    def of(self, caller: Caller) -> Dictionary:
        if caller.tenant not in self._known:
            with self.workspace.read() as db:
                rows = db.execute("SELECT id, row FROM news_companies WHERE tenant = ?", (caller.tenant,)).fetchall()
            own = [from_row(json.loads(row["row"]), row["id"]) for row in rows]
            self._known[caller.tenant] = shipped().with_rows(own)
        return self._known[caller.tenant]

    def add(self, caller: Caller, listed: Iterable[Company]) -> None:
        """Keep companies of the tenant's own; one of the same id is replaced."""
        rows = [(caller.tenant, c.id, json.dumps(as_row(c), ensure_ascii=False)) for c in listed]
        with self.workspace.write() as db:
            db.executemany(
                "INSERT INTO news_companies VALUES (?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET row = excluded.row",
                rows,
            )
        self._known.pop(caller.tenant, None)
