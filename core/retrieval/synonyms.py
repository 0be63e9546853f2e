"""What a text says, word by word, so that another word for the same counts as the same: 修理 as 维修, buy as purchase.

The groups of words are in ``data/synonyms.yaml``. English is read by stems; in Chinese the words of the groups are found
as they are written, and what lies between them is read as pairs of characters, since no dictionary of words is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from core.i18n import detect_language
from core.retrieval import polarity, tokens
from core.retrieval.measures import plain
from core.retrieval.stem import stem
from core.retrieval.wording import words

TABLE = Path(__file__).parent / "data" / "synonyms.yaml"
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_WORD = re.compile(r"[a-z]+(?:['’](?!s\b)[a-z]+)?")
# Characters that say how a sentence hangs together, and nothing of its matter.
_EMPTY = frozenset(
    "的了着过之其此该那这某每各都就才只仅最更很便即则而并且若如倘因由于为被把让使给对向往从自到至在和与或及以按用经是有等"
    "时后前内中里外上下间共均皆也还再又将已会要人个们地得所他她它我你者些吗呢啊吧没不能可"
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A word of the matter, and the groups of words that it is in."""

    key: str
    groups: frozenset[int]


class Said:
    """The matter of a text, to lay another beside it."""

    def __init__(self, text: str, written: bool = False) -> None:
        self.text = text if written else tokens.normalized(plain(text))
        self.chinese = detect_language(text) == "zh"

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        return _chinese(self.text) if self.chinese else _english(self.text)

    @cached_property
    def keys(self) -> frozenset[str]:
        if self.chinese:
            return frozenset(unit.key for unit in self.units)
        return frozenset(word.key for word in words(self.text))

    @cached_property
    def groups(self) -> frozenset[int]:
        return frozenset(group for unit in self.units for group in unit.groups)

    def holds(self, unit: Unit) -> float:
        """Whether it says ``unit``: 1.0 in the same or another word, half as much as of its characters are here."""
        if unit.key in self.keys or unit.groups & self.groups or (self.chinese and unit.key in self.text):
            return 1.0
        if self.chinese and unit.key > "\u4e00":
            return 0.5 * sum(character in self.text for character in unit.key) / len(unit.key)
        return 0.0

    def share(self, of: Sequence[Unit]) -> float:
        """How much of the words ``of`` another text it says.

        >>> Said("房客要付押金").share(Said("租客付押金").units) > 0.9, Said("Cars park here.").share(Said("vehicles").units)
        (True, 1.0)
        """
        return sum(map(self.holds, of)) / len(of) if of else 0.0


@lru_cache(maxsize=2_048)
def said(text: str, *, written: bool = False) -> Said:
    """The matter of ``text``.

    Args:
        written: whether it is normalised already, with its numbers in digits.
    """
    return Said(text, written)


@lru_cache(maxsize=4_096)
def matter(text: str, *, written: bool = False) -> tuple[Unit, ...]:
    """The words of ``text`` without those that deny; ``written`` as in :func:`said`."""
    return said(polarity.matter(text if written else plain(text)), written=True).units


@lru_cache(maxsize=8_192)
def groups(word: str) -> frozenset[int]:
    """The groups that one word is in."""
    return _table()["zh"].get(word, frozenset()) if word > "\u4e00" else _table()["en"].get(stem(word), frozenset())


def _english(text: str) -> tuple[Unit, ...]:
    table, phrases, found = _table()["en"], _phrases(), words(text)
    keys = [word.key for word in found]
    spoken: dict[int, frozenset[int]] = {}
    for n, key in enumerate(keys):
        for phrase, there in phrases.get(key, ()):
            if keys[n : n + len(phrase)] == phrase:
                for at in range(n, n + len(phrase)):
                    spoken[at] = spoken.get(at, frozenset()) | there
    units: list[Unit] = []
    for n, word in enumerate(found):
        own = table.get(word.key, frozenset()) | spoken.get(n, frozenset())
        if not word.number and (own or not word.light):
            units.append(Unit(word.key, own))
    return tuple(units)


def _chinese(text: str) -> tuple[Unit, ...]:
    pattern, table = _pattern(), _table()["zh"]
    units: list[Unit] = []
    for run in _HAN.findall(text):
        place = 0
        for match in pattern.finditer(run):
            units += _pairs(run[place : match.start()])
            units.append(Unit(match[0], table[match[0]]))
            place = match.end()
        units += _pairs(run[place:])
    return tuple(units)


def _pairs(run: str) -> list[Unit]:
    found = []
    for piece in re.split(f"[{''.join(_EMPTY)}]", run):
        pairs = [piece] if len(piece) == 1 else [piece[n : n + 2] for n in range(len(piece) - 1)]
        found += [Unit(pair, frozenset()) for pair in pairs if pair]
    return found


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, frozenset[int]]]:
    import yaml

    read: dict[str, dict[str, frozenset[int]]] = {}
    for language, groups in yaml.safe_load(TABLE.read_text("utf-8")).items():
        table = read.setdefault(language, {})
        for number, group in enumerate(groups):
            for word in group:
                key = " ".join(stem(w) for w in _WORD.findall(word)) if language == "en" else word
                table[key] = table.get(key, frozenset()) | {number}
    return read


@lru_cache(maxsize=1)
def _phrases() -> dict[str, list[tuple[list[str], frozenset[int]]]]:
    """English entries of several words, by their first."""
    found: dict[str, list[tuple[list[str], frozenset[int]]]] = {}
    for entry, there in _table()["en"].items():
        first, *rest = entry.split()
        if rest:
            found.setdefault(first, []).append(([first, *rest], there))
    return found


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, _table()["zh"]), key=len, reverse=True)))
