"""What a query was meant to say, by the words of the collection that is searched: typing slips and pinyin.

    evning meal limit     evening meal limit     a word no passage holds, one or two edits from one they hold
    出差餐部标准          出差餐补标准           a character whose neighbors no passage knows, its homophone's do
    chache 限速           叉车 限速              syllables that spell Chinese of the collection

A word that the collection knows is never touched. Traditional characters need no help: the search reads them as
Simplified.

Source: Kernighan, Church, Gale, "A spelling correction program based on a noisy channel model", 1990, with pairs of
neighboring characters as the language model for Chinese.
"""

from __future__ import annotations

import heapq
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from core.errors import InputError
from core.retrieval import tokens
from core.retrieval.lexicon import Words, bare, edits, fuzzy, readings, syllables
from core.retrieval.simplified import SIMPLIFIED

Kind = Literal["spelling", "pinyin"]
KINDS: tuple[Kind, ...] = ("spelling", "pinyin")
LONGEST = 200  # characters of a query that is helped; a longer one is a text, not a query
_CODES = 5000  # different codes in a collection that is compared
_DOUBTFUL = 3  # passages that hold a pair by chance, as the end of one word and the beginning of the next
_UNSEEN = 8.0  # what a pair costs that no passage holds; one that they hold gains log(1 + passages)
_BEAM = 30
_WORDS = 6  # of one run of pinyin
_READINGS = 12  # ways to cut a run that are tried
_TRIES = 40  # runs of one query that are tried
_SYLLABLES = 12  # of one run of pinyin
_RUN = re.compile(r"[\u4e00-\u9fff]+|[a-z][a-z0-9]*(?:[-_./'’][a-z0-9]+)*")
_KEPT = tokens.STOP_HAN | frozenset("一二三四五六七八九十百千万亿两几多少不没")  # never changed and never put in
_SPELT = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Change:
    """``written`` in the query stands for ``meant``."""

    kind: Kind
    written: str
    meant: str


@dataclass(frozen=True, slots=True)
class Help:
    """``query`` is the corrected one; without changes it is the one that was typed.

    ``simplified`` is how the search reads a query with Traditional characters; empty without any.
    """

    query: str
    changes: tuple[Change, ...] = ()
    simplified: str = ""


def helped(query: str, lexicon: Words, kinds: Iterable[str] = KINDS) -> Help:
    """``query`` as it was meant, as far as ``lexicon`` can tell.

    >>> from core.retrieval.lexicon import Lexicon
    >>> helped("chache 限速", Lexicon(["叉车限速五公里"])).query
    '叉车 限速'

    Raises:
        InputError: a kind that there is not.
    """
    wanted = frozenset(kinds)
    if wrong := wanted - set(KINDS):
        raise InputError(reason="bad_value", name="kinds", value=", ".join(sorted(wrong)), allowed=", ".join(KINDS))
    if len(query) > LONGEST:
        return Help(query)
    normal = tokens.normalized(query)
    if len(normal) != len(query):  # full-width letters and the like: places would not agree
        query = normal
    changes: list[tuple[int, int, Change]] = []
    covered = 0
    for start, end, meant in _spelt_chinese(normal, lexicon) if "pinyin" in wanted else ():
        changes.append((start, end, Change("pinyin", query[start:end], meant)))
    taken = [(start, end) for start, end, _ in changes]
    for match in _RUN.finditer(normal) if "spelling" in wanted else ():
        start, end = match.span()
        if any(a < end and start < b for a, b in taken):
            continue
        word = match[0]
        if end == len(normal) and lexicon.begins(word):
            continue
        meant = _word(word, lexicon) if word[0].isascii() else _characters(word, lexicon)
        if meant != word:
            if not word[0].isascii():  # what was typed in Traditional characters stays so
                meant = "".join(query[start + k] if c == word[k] else c for k, c in enumerate(meant))
            changes.append((start, end, Change("spelling", query[start:end], meant)))
    parts: list[str] = []
    changes.sort(key=lambda item: item[0])
    for start, end, change in changes:
        parts += [query[covered:start], change.meant]
        covered = end
    meant = "".join([*parts, query[covered:]])
    simple = meant.translate(SIMPLIFIED)
    return Help(meant, tuple(change for _, _, change in changes), simple if simple != meant else "")


# --- words and codes ------------------------------------------------------------------------------


def _word(word: str, lexicon: Words) -> str:
    if tokens.is_code(word):
        return _code(word, lexicon)
    if len(word) < 4 or not word.isalpha() or lexicon.knows(word):
        return word
    near = lexicon.near(word, 1 if len(word) < 7 else 2)
    for _, _, other in sorted(near, key=lambda item: (item[0], item[2][0] != word[0], item[1])):
        if _likely(word, other, lexicon):
            return other
    return word


def _likely(word: str, other: str, lexicon: Words) -> bool:
    """Whether ``other`` was meant, and ``word`` is no word of its own that this collection happens to lack."""
    if word[:-1] == other[:-1] or word.startswith(other):  # expiry and expire, leaky and leak
        return False
    if len(word) < 6:  # jury and July, solo and sold: only a letter that is missing, or two that are swapped
        return word[0] == other[0] and (len(other) > len(word) or sorted(word) == sorted(other))
    if edits(word, other) == 1:
        return word[0] == other[0] or lexicon.words[other] > 1
    return word[0] == other[0] and lexicon.words[other] > 1


def _code(word: str, lexicon: Words) -> str:
    """The one code that has a character more or less; another digit is another product."""
    code = bare(word)
    if code in lexicon.codes or len(lexicon.codes) > _CODES:
        return word
    near = [written for known, written in lexicon.codes.items() if len(known) != len(code) and edits(code, known) == 1]
    return near[0] if len(near) == 1 else word


# --- Chinese --------------------------------------------------------------------------------------


def _characters(run: str, lexicon: Words) -> str:
    """``run`` with characters replaced by homophones where no passage knows them between their neighbors."""
    if len(run) < 3:  # too little around it to tell a slip from a word that this collection lacks
        return run
    meant = run
    for i, character in enumerate(run):
        if character in _KEPT or _triples(meant, i, lexicon) or _pairs(meant, i, lexicon) > _DOUBTFUL:
            continue
        best = (0, 0, character)
        for other in {c for c in lexicon.homophones(readings(character)[0]) if _sounds_like(c, character)} - _KEPT:
            tried = meant[:i] + other + meant[i + 1 :]
            best = max(best, (_triples(tried, i, lexicon), _pairs(tried, i, lexicon), other))
        if best[0] or (len(run) > 3 and best[1] > 1 and not _pairs(meant, i, lexicon)):
            meant = meant[:i] + best[2] + meant[i + 1 :]
    return meant if sum(a != b for a, b in zip(run, meant, strict=True)) <= max(1, len(run) // 4) else run


def _sounds_like(a: str, b: str) -> bool:
    return fuzzy(readings(a)[0]) == fuzzy(readings(b)[0])


def _triples(run: str, i: int, lexicon: Words) -> int:
    """In how many passages the commonest triple around place ``i`` stands."""
    triples = (run[k : k + 3] for k in range(max(0, i - 2), min(i, len(run) - 3) + 1))
    return max((lexicon.triples[triple] for triple in triples if _KEPT.isdisjoint(triple)), default=0)


def _pairs(run: str, i: int, lexicon: Words) -> int:
    return max((lexicon.pairs[run[k : k + 2]] for k in range(max(0, i - 1), min(i, len(run) - 2) + 1)), default=0)


def _spelt_chinese(normal: str, lexicon: Words) -> Iterator[tuple[int, int, str]]:
    """Start, end and meaning of the runs of Latin words in ``normal`` that spell Chinese of the collection."""
    if not lexicon.pairs:
        return
    words = [match for match in _SPELT.finditer(normal) if not _part_of_code(match, normal)]
    i = tries = 0
    while i < len(words):
        most = i
        while most < min(len(words), i + _WORDS) and _cuts(words[most][0]):
            most += 1
        for j in range(most, i, -1):
            group = words[i:j]
            joined = all(normal[a.end() : b.start()].strip(" '") == "" for a, b in itertools.pairwise(group))
            if not joined or all(lexicon.knows(word[0]) for word in group):
                continue
            tries += 1
            if tries > _TRIES:
                return
            if meant := _spelt([word[0] for word in group], lexicon):
                yield group[0].start(), group[-1].end(), meant
                i = j - 1
                break
        i += 1


def _part_of_code(match: re.Match[str], normal: str) -> bool:
    around = normal[max(0, match.start() - 1) : match.start()] + normal[match.end() : match.end() + 1]
    return any(c.isascii() and (c.isalnum() or c in "-_./") for c in around)


def _spelt(words: list[str], lexicon: Words) -> str:
    """The Chinese of the collection that ``words`` spell, or nothing. Every pair inside a word must be known."""
    best, least = "", math.inf
    splits: list[tuple[tuple[str, ...], tuple[int, ...]]] = [((), ())]
    for word in words:
        cuts = [cut for cut in _cuts(word) if len(cut) <= _SYLLABLES]
        splits = [((*s, *cut), (*b, len(s))) for s, b in splits for cut in cuts][:_READINGS]
    for cut, begins in splits:
        if not 2 <= len(cut) <= _SYLLABLES:
            continue
        choices = [lexicon.read_as(syllable) for syllable in cut]
        if not all(choices):
            continue
        meant, cost = _cheapest(choices, lexicon, frozenset(begins))
        known = all(lexicon.pairs[meant[k - 1 : k + 1]] for k in range(1, len(meant)) if k not in begins)
        single = [k for k in begins if k + 1 in (*begins, len(meant))]  # words of one syllable lean on a neighbor
        known &= all(k > 0 and lexicon.pairs[meant[k - 1 : k + 1]] > 0 for k in single)
        if known and cost / len(meant) < least:
            best, least = meant, cost / len(meant)
    return best


@lru_cache(maxsize=2000)
def _cuts(word: str) -> list[tuple[str, ...]]:
    """All ways to read ``word`` as syllables.

    >>> sorted(_cuts("xian"))
    [('xi', 'an'), ('xian',)]
    """
    found: list[list[tuple[str, ...]]] = [[()]]
    for end in range(1, len(word) + 1):
        here = [
            (*cut, word[start:end])
            for start in range(max(0, end - 6), end)
            if word[start:end] in syllables()
            for cut in found[start]
        ]
        found.append(here[:32])
    return found[-1]


def _cheapest(choices: list[list[str]], lexicon: Words, free: frozenset[int]) -> tuple[str, float]:
    """The cheapest way through ``choices`` (a beam); a pair that begins a word at ``free`` may be unknown."""
    paths = [(0.0, character) for character in choices[0]]
    for i, options in enumerate(choices[1:], 1):
        longer = [(cost + _step(text + c, lexicon, i in free), text + c) for cost, text in paths for c in options]
        paths = heapq.nsmallest(_BEAM, longer)
    cost, text = min(paths)
    return text, cost


def _step(text: str, lexicon: Words, free: bool) -> float:
    """What the last character of ``text`` costs after those before it."""
    passages = lexicon.pairs[text[-2:]]
    cost = -math.log1p(passages) if passages else 0.0 if free else _UNSEEN
    return cost - math.log1p(lexicon.triples[text[-3:]])
