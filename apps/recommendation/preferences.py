"""What a sentence says somebody likes: titles, words that items have or have not, a kind; in Chinese and English.

Rules find what is said outright, and each finding keeps the span it was read from, so that a page can show it as a
chip that can be taken away. The whole sentence is also embedded by the service; this module needs no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from apps.recommendation.data import Item
from core.retrieval.tokens import content_terms

CONCEPTS = Path(__file__).parent / "concepts.yaml"
_CLAUSE = re.compile(r"[,，。;；!！?？\n]|\bbut\b|但是|但|不过|可是|然而", re.IGNORECASE)
_QUOTED = re.compile(r"《([^》]{1,80})》|“([^”]{1,80})”|\"([^\"]{1,80})\"")
_NEGATIVE = re.compile(
    r"不要|(?<![特个类区分级性])别|不想|不喜欢|不看|讨厌|除了|(?<!有)没有|不太|[不无]$"
    r"|\b(?:not|no|without|except|avoid|hate|dislike|nothing|never|don'?t|less|isn'?t)\b",
    re.IGNORECASE,
)
_NEGATIVE_AFTER = re.compile(r"^.{0,6}(?:不要|不行|不看|就算了|别)")
_YEAR = re.compile(r"\s*\(\d{4}(?:[-–]\d{0,4})?\)\s*$")
_ARTICLE = re.compile(r"^(.*), (the|a|an)$", re.IGNORECASE)
_SHORTEST = {"zh": 2, "en": 4}  # characters of a title that is recognized without quotation marks
_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Said:
    """One thing understood. ``name`` is an item's id, a concept or a kind; the span is of the sentence."""

    kind: Literal["title", "concept", "kind"]
    name: str
    wanted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Concept:
    name: str
    words: tuple[str, ...]
    opposite: str = ""

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for match in _pattern(self.words).finditer(text):
            yield match.span()


class Titles:
    """Finds the titles of a catalogue in a sentence; longer titles win."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._ids: dict[str, str] = {}
        for item in items:
            for title in item.titles.values():
                for name in _names(title):
                    self._ids.setdefault(name, item.id)
        plain = [name for name in self._ids if len(name) >= _SHORTEST["zh" if _HAN.search(name) else "en"]]
        self._by_start: dict[str, list[str]] = {}
        for name in sorted(plain, key=len, reverse=True):
            self._by_start.setdefault(name[:2], []).append(name)

    def named(self, title: str) -> str | None:
        """The id of the item with this title, as people write it."""
        return self._ids.get(title.casefold().strip())

    def find(self, sentence: str) -> Iterator[tuple[int, int, str]]:
        """``(start, end, item id)``: quoted names first, then titles that stand in the sentence as they are."""
        low = sentence.casefold()
        taken: list[tuple[int, int]] = []
        for match in _QUOTED.finditer(sentence):
            name = next(group for group in match.groups() if group)
            found = self._ids.get(name.casefold().strip())
            taken.append(match.span())
            if found:
                yield match.start(), match.end(), found
        for start in range(len(low) - 1):
            if any(begin <= start < end for begin, end in taken):
                continue
            for name in self._by_start.get(low[start : start + 2], ()):
                end = start + len(name)
                if low.startswith(name, start) and _alone(low, start, end):
                    taken.append((start, end))
                    yield start, end, self._ids[name]
                    break


def understood(sentence: str, titles: Titles) -> list[Said]:
    """What ``sentence`` says, in its order. A clause that says no turns what it names into what is unwanted."""
    found: list[Said] = []
    named = list(titles.find(sentence))
    masked = sentence
    for start, end, id_ in named:
        found.append(Said("title", id_, wanted(sentence, start, end), start, end))
        masked = masked[:start] + " " * (end - start) + masked[end:]  # a title's words are not wishes
    for match in _QUOTED.finditer(masked):
        masked = masked[: match.start()] + " " * (match.end() - match.start()) + masked[match.end() :]
    for kind, listed in (("kind", kinds()), ("concept", concepts())):
        for concept in listed:
            for start, end in concept.find(masked):
                found.append(Said(kind, concept.name, wanted(masked, start, end), start, end))  # type: ignore[arg-type]
    once: dict[tuple[str, str], Said] = {}
    for said in sorted(found, key=lambda s: s.start):
        once.setdefault((said.kind, said.name), said)
    return list(once.values())


def current(conversation: str, titles: Titles) -> str:
    """``conversation``, a sentence a line, without what later lines took back; what is left stands where it stood.

    A line takes back what it says the other way round, the opposites of what it wants, and other kinds than it wants.

    >>> current("a funny book\\nno, not funny, and a film", Titles([]))
    'a           \\nno, not funny, and a film'
    """
    lines = conversation.split("\n")
    later: list[Said] = []
    for number in reversed(range(len(lines))):
        found = understood(lines[number], titles)
        for one in found:
            if any(_takes_back(new, one) for new in later):
                lines[number] = lines[number][: one.start] + " " * (one.end - one.start) + lines[number][one.end :]
        later += found
    return "\n".join(lines)


def _takes_back(new: Said, old: Said) -> bool:
    if new.kind != old.kind:
        return False
    if new.name == old.name:
        return new.wanted != old.wanted
    if new.kind == "kind":
        return new.wanted and old.wanted
    return new.kind == "concept" and new.wanted and old.wanted and old.name == opposite(new.name)


def says_more(sentence: str, said: Sequence[Said]) -> bool:
    """Whether ``sentence`` holds words beyond what was understood and how people ask.

    >>> says_more("I would like something funny", [Said("concept", "funny", True, 23, 28)])
    False
    """
    for one in sorted(said, key=lambda s: -s.start):
        sentence = f"{sentence[: one.start]} {sentence[one.end :]}"
    asking = _words()["asking"]
    return bool(content_terms(_pattern((*asking["zh"], *asking["en"])).sub(" ", sentence)))


def in_item(concept: Concept, item: Item, language: str) -> tuple[str, int, int] | None:
    """The text of ``item`` that shows the concept, with the span: a description before a tag. A title is a name and shows nothing."""
    for text in (item.about(language), *item.abouts.values(), *item.tags):
        for start, end in concept.find(text):
            return text, start, end
    return None


def opposite(name: str) -> str:
    return next((c.opposite for c in concepts() if c.name == name), "")


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Any]:
    import yaml

    return yaml.safe_load(CONCEPTS.read_text("utf-8"))


@lru_cache(maxsize=1)
def concepts() -> tuple[Concept, ...]:
    return tuple(Concept(n, (*row["zh"], *row["en"]), row.get("not", "")) for n, row in _words()["concepts"].items())


@lru_cache(maxsize=1)
def kinds() -> tuple[Concept, ...]:
    return tuple(Concept(n, (*row["zh"], *row["en"])) for n, row in _words()["kinds"].items())


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(w if _HAN.search(w) else _inflected(w) for w in words), re.IGNORECASE)


def _inflected(word: str) -> str:
    """An English word with its common endings: robots, lighter, mysteries; but not the war in warmth. With $ as it is: a
    lamp lights up, and is no light novel for it."""
    if word.endswith("$"):
        return rf"\b{re.escape(word[:-1])}\b"
    if word.endswith("y"):
        return rf"\b{re.escape(word[:-1])}(?:y|ies|ier)\b"
    return rf"\b{re.escape(word)}(?:s|es|er|ed|ing|ly)?\b"


def wanted(sentence: str, start: int, end: int) -> bool:
    """Whether nothing in the same clause turns what stands from ``start`` to ``end`` down."""
    begin = max((m.end() for m in _CLAUSE.finditer(sentence, 0, start)), default=0)
    close = _CLAUSE.search(sentence, end)
    after = sentence[end : close.start() if close else len(sentence)]
    return not _NEGATIVE.search(sentence[begin:start]) and not _NEGATIVE_AFTER.search(after)


def _names(title: str) -> Iterator[str]:
    """A title as people write it: without its year, with its article in front."""
    yield from dict.fromkeys(
        [title.casefold(), _YEAR.sub("", title).strip().casefold(), spoken_title(title).casefold()]
    )


def spoken_title(title: str) -> str:
    """A title as people say it.

    >>> spoken_title("Matrix, The (1999)")
    'The Matrix'
    """
    bare = _YEAR.sub("", title).strip()
    moved = _ARTICLE.match(bare)
    return f"{moved[2]} {moved[1]}" if moved else bare


def _alone(text: str, start: int, end: int) -> bool:
    """Whether no letter continues the name on either side; Chinese has no spaces to tell."""
    if _HAN.search(text[start:end]):
        return True
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum())
