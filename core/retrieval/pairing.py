"""What belongs together in a source, so that a claim does not take the one half from here and the other from there.

Sources tell like things alike: first prize 20 winners, second prize 50. Two clauses of one pattern are laid beside each
other; what differs between them are pairs, and a claim that has the one clause's part of one pair and the other clause's
part of another has crossed them. Where clauses have no pattern in common, a number or a date whose neighbours in the
claim stand in the source with another value of its kind has been moved, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from core.retrieval import polarity, tokens
from core.retrieval.measures import quantities
from core.retrieval.numerals import canonical
from core.retrieval.synonyms import Said, groups, said
from core.retrieval.wording import Word, spelled, words

_NEARLY_ALL, _HELD, _NOT = (
    0.75,
    0.5,
    0.34,
)  # shares of what one clause has alone, that a claim says of it or hardly says
_ALIKE = {"zh": 0.25, "en": 0.2}  # share of the words that two clauses of one pattern have in common
_FAINTLY, _WHOLLY = 0.16, 0.8  # less in common will do where a claim has all of the one part and nothing of the other
_APART = 3  # clauses between two that are laid beside each other
_PIECE = re.compile(r"[;；]")
_LISTED = re.compile(r"[、]")
_CAPITAL = re.compile(r"\b[A-Z][a-z]+")
Span = tuple[int, int]
_Place = tuple[str, Sequence[Word], Span]  # a clause, its words, and some of them


def crossed(claim: str, clauses: Sequence[Sequence[str]], sentences: Sequence[str]) -> bool:
    """Whether ``claim`` has parts of two like clauses of its source that do not belong together.

    >>> crossed("二等奖有20人", [["评出一等奖20名、二等奖50名"]], ["评出一等奖20名、二等奖50名。"])
    True
    >>> crossed("An adult ticket is £12", [["Tickets cost £18 for adults", "£12 for students"]], [""])
    True
    """
    mine = _Claim(claim)
    if any(mine.copies(clause) for sentence in clauses for clause in sentence):
        return False
    for row, whole in _rows(clauses, sentences):
        touched = [mine.touches(piece) for piece in row]
        for n, one in enumerate(row):
            for apart, other in enumerate(row[n + 1 : n + 1 + _APART], 1):
                if not (touched[n] and touched[n + apart]):
                    continue
                beside = [piece for piece in row if piece not in (one, other)]
                if mine.mixes(one, other, beside, apart=apart, whole=whole):
                    return True
    return False


def _rows(clauses: Sequence[Sequence[str]], sentences: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Pieces of the source of one size each: clauses, halves of sentences, sentences."""
    yield [piece for sentence in clauses for clause in sentence for piece in _listed(clause)], False
    yield [piece for sentence in sentences for piece in _PIECE.split(sentence) if piece.strip()], True


def _listed(clause: str) -> list[str]:
    """``clause`` cut between things that are listed with a value each."""
    pieces = [piece for piece in _LISTED.split(clause) if piece]
    return pieces if len(pieces) > 1 and all(any(w.number for w in words(piece)) for piece in pieces) else [clause]


class _Claim:
    def __init__(self, text: str) -> None:
        self.said: Said = said(text)
        self.text = spelled(text)
        self.words = [word for word in words(text) if not word.light]
        self.numbers = _numbers(text)

    def touches(self, clause: str) -> bool:
        """Whether it can have anything of ``clause``."""
        return any(_stands(word, self.text, clause) for word in self.words)

    def copies(self, clause: str) -> bool:
        """Whether one clause says all of it."""
        return all(_stands(word, self.text, clause) for word in self.words)

    def mixes(self, one: str, other: str, beside: Sequence[str], *, apart: int, whole: bool) -> bool:
        """Whether it has of two clauses what each has alone in the place of something that the other has.

        Args:
            apart: 1 for neighbours.
            whole: whether they are more than clauses.
        """
        if polarity.plainly_denies(self.text) != polarity.plainly_denies(f"{one} {other}"):
            return False
        pattern = _pattern(one, other)
        alike = pattern.alike >= (_ALIKE["zh"] if whole or one > "\u4e00" else _ALIKE["en"])
        faintly = pattern.alike >= _FAINTLY
        if not alike and not faintly and (apart > 1 or whole):
            return False
        states: set[tuple[str, bool]] = set()
        wholly: set[str] = set()
        for mine, yours, of_a_kind in pattern.differences:
            if not yours:
                continue
            a, b = self._share(mine, one), self._share(yours, other)
            if a >= _HELD and b >= _HELD:
                return False  # it draws the two together
            if (a >= _HELD and self._told(mine, one, beside)) or (b >= _HELD and self._told(yours, other, beside)):
                continue
            if a >= _held(mine, yours) and b < _NOT:
                states.add(("one", of_a_kind))
                wholly |= {"one"} if a >= _WHOLLY and not b else set()
            elif b >= _held(yours, mine) and a < _NOT:
                states.add(("other", of_a_kind))
                wholly |= {"other"} if b >= _WHOLLY and not a else set()
        if len({side for side, _ in states}) < 2:
            return False
        if alike or (faintly and len(wholly) == 2):
            return True
        return apart == 1 and not whole and any(of_a_kind for _, of_a_kind in states)

    def _share(self, found: Sequence[Word], text: str) -> float:
        """How much it says of the words ``found`` of the clause ``text``."""
        return sum(self._holds(word, text) for word in found) / len(found) if found else 0.0

    def _told(self, found: Sequence[Word], text: str, beside: Sequence[str]) -> bool:
        """Whether a third clause says what it has of ``found``, so that it does not tell the clause ``text`` from others."""
        there, held = spelled(text), [word for word in found if self._holds(word, text)]
        return any(
            all(_stands(word, there, clause) for word in held) and self._counts(held, clause) for clause in beside
        )

    def _counts(self, held: Sequence[Word], clause: str) -> bool:
        """Whether the numbers among ``held`` count in ``clause`` what they count here."""
        numbers = _numbers(clause)
        return all(self.numbers[w.key] & numbers.get(w.key, frozenset()) for w in held if w.number)

    def _holds(self, word: Word, text: str) -> float:
        if word.number:
            mine, there = self.numbers.get(word.key), _numbers(text).get(word.key, frozenset())
            return float(mine is not None and (bool(mine & there) or "" in mine or "" in there))
        if not word.han:
            return float(word.key in self.said.keys or bool(groups(word.text) & self.said.groups))
        clause = spelled(text)
        pairs = [clause[max(0, word.start - 1) : word.end], clause[word.start : word.end + 1]]
        return float(any(len(pair) == 2 and (pair in self.text or self._means(pair)) for pair in pairs))

    def _means(self, pair: str) -> bool:
        return bool(groups(pair) & self.said.groups)


@lru_cache(maxsize=1_024)
def _numbers(text: str) -> dict[str, frozenset[str]]:
    """What each number of ``text`` counts."""
    found: dict[str, frozenset[str]] = {}
    for word in words(text):
        if word.number:
            found[word.key] = found.get(word.key, frozenset()) | set(_kinds(text, [word]))
    return found


def _stands(word: Word, text: str, clause: str) -> bool:
    """Whether a word of ``text`` stands in ``clause``; of Han characters, with a neighbour."""
    if not word.han:
        return any(word.key == other.key for other in words(clause))
    there = spelled(clause)
    pairs = text[max(0, word.start - 1) : word.end], text[word.start : word.end + 1]
    return any(len(pair) == 2 and pair in there for pair in pairs)


def _held(found: Sequence[Word], other: Sequence[Word]) -> float:
    """How much a claim must say of ``found``: nearly all where the other clause may leave some of it to be understood."""
    return _HELD if len(found) <= 2 * len(other) + 1 else _NEARLY_ALL


@dataclass(frozen=True)
class _Pattern:
    """What two clauses have in common, and what stands in the one in the place of something in the other."""

    alike: float
    differences: tuple[tuple[tuple[Word, ...], tuple[Word, ...], bool], ...]  # and whether both are of a kind


@lru_cache(maxsize=1_024)
def _pattern(one: str, other: str) -> _Pattern:
    mine, yours = words(one), words(other)
    matcher = SequenceMatcher(None, [w.key for w in mine], [w.key for w in yours], autojunk=False)
    found: list[tuple[tuple[Word, ...], tuple[Word, ...], bool]] = []
    for a, b, c, d in _replaced(matcher):
        of_a_kind = _of_a_kind((one, mine, (a, b)), (other, yours, (c, d)))
        numbers = [tuple(w for w in each if w.number and w.text != "1") for each in (mine[a:b], yours[c:d])]
        rest = [tuple(w for w in each if not w.light) for each in (mine[a:b], yours[c:d])]
        if all(numbers):
            found.append((numbers[0], numbers[1], of_a_kind))
            rest = [tuple(w for w in each if not w.number) for each in rest]
            of_a_kind = False
        if a == 0 and len(rest[0]) > len(rest[1]):  # what is spoken of, which the second clause leaves out
            rest[0] = () if rest[0][0].han else rest[0][1:]
        found.append((rest[0], rest[1], of_a_kind))
    return _Pattern(matcher.ratio(), tuple(found))


def _replaced(matcher: SequenceMatcher[str]) -> Iterator[tuple[int, int, int, int]]:
    """What is replaced; also 北京 by 台北, which is something new before a character and something lost behind it."""
    blocks = matcher.get_opcodes()
    for n, (kind, a, b, c, d) in enumerate(blocks):
        if kind == "replace":
            yield a, b, c, d
        elif kind in ("insert", "delete") and n + 2 < len(blocks):
            (_, e, f, _, _), (last, _, b, _, d) = blocks[n + 1], blocks[n + 2]
            if f - e == 1 and {kind, last} == {"insert", "delete"}:
                yield a, b, c, d


def _of_a_kind(one: _Place, other: _Place) -> bool:
    """Whether both name one number of a kind, a day of the week, or something with a capital."""
    kinds = [_kinds(text, [w for w in found[slice(*at)] if w.number]) for text, found, at in (one, other)]
    if kinds[0] and kinds[1]:
        return len({*kinds[0], *kinds[1]} - {""}) <= (
            "date" not in kinds[0] + kinds[1] or "" not in kinds[0] + kinds[1]
        )
    before = [found[at[0] - 1].text if at[0] else "" for _, found, at in (one, other)]
    if before[0] == before[1] and before[0] in ("周", "期", "拜"):
        return True
    return all(any(word.text in _capitals(text) for word in found[slice(*at)]) for text, found, at in (one, other))


def _kinds(text: str, numbers: Sequence[Word]) -> list[str]:
    """What each of ``numbers`` counts; a date if it is none of the quantities of ``text``."""
    measured = {canonical(measure.number): measure.kind for measure in quantities(text).measures}
    return [measured.get(number.text.rstrip("%"), "date") for number in numbers]


def _capitals(text: str) -> set[str]:
    return {match.lower() for match in _CAPITAL.findall(text) if not tokens.is_stop(match.lower())}
