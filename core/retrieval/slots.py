"""What stands in a claim in the place of something else: a clause of the source repeated, one thing in it exchanged.

A claim that is made up is mostly the source's own clause with one name, thing or value put in the place of another.
Where the other thing stands elsewhere in the source, two facts were crossed. Where it stands nowhere, it is another
name for the same thing or another thing, and words alone do not tell which: the clause with the one and the clause
with the other (a minimal pair) are told apart by an embedding model, see :mod:`core.retrieval.doubts`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

from core.retrieval import tokens
from core.retrieval.measures import plain
from core.retrieval.stem import stem

_WORD = re.compile(r"[\u4e00-\u9fff]|[a-z]+(?:['’](?!s\b)[a-z]+)?|\d+(?:[.:]\d+)*%?")
# Han characters that say how, when and whether, and are in hardly any name.
HEADS = "中心|公司|集团|基金会|委员会|协会|大学|医院|学院|银行|机场|码头|车站|酒店|超市|商场|公园|广场|体育馆|图书馆|博物馆|实验室|研究所|事务所|工厂|厂|局|厅|校|馆|站|路|街|区|市|省|县|镇|村|岛|山|湖|河|寺|桥|港|国|洲|州|班|队|社|店|座|舱|卡|集|奖|号线|药|剂|茶|色"  # what ends a Chinese name of a place, a body or a product
_LIGHT = frozenset(
    "的了着过之其此该这那各某每不没未无非莫勿别能可须需要应当得会将已再又还也都就才只仅最更很便即则而并且若如倘因由于为被把让使给对向往从自到至在和与或及以按用经是有等时后前内中里外上下间共均皆约近够距离除请请凡曾正所"
)
_OPPOSITE = frozenset("前后左右上下里外内东西南北")
_SAYS = frozenset("不没未无非莫勿别能可须需要应当得会将已再又还也都就才只仅更则而并若如倘因为被把让使给对向往到至在和与或及是的了着过")  # not in a name
_DENIES = frozenset("不没未别能须需")
_STRIPPED = frozenset("的了着过之其此该那这每是在和与或及也都又则而从到至于为对向将已")
_PLACES = frozenset("的了上下里内中")
_HAN_BEFORE_A_NOUN = frozenset("在由于往到从自的为是因把被向对至和与或及入给按离")
_BEFORE_A_NOUN = frozenset(
    "the a an in at on of by with for from and or no any each every this that these those its their his her our your into onto near".split()
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_POINTS_BACK = frozenset("it they them he she this that these those both one ones former latter who which".split())
_AROUND = 8  # words or Han characters beside what is exchanged that a minimal pair keeps: all of a sentence would drown it
_REPEATED = 0.35  # share of the clause's content that one clause of the source must hold
_LONGEST = {True: 6, False: 3}  # content of what is exchanged: characters in Chinese, words in English


_PAIRED_HEADS = frozenset(head for head in HEADS.split("|") if len(head) == 2)


@dataclass(frozen=True, slots=True)
class Slot:
    """``new`` stands in the claim where ``old`` stands in ``told``; ``swapped`` is ``told`` with ``new`` instead."""

    old: str
    new: str
    told: str
    swapped: str
    crossed: bool  # whether ``new`` stands elsewhere in the source


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    key: str
    start: int
    end: int

    @property
    def han(self) -> bool:
        return self.text > "\u4e00"

    @property
    def number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def light(self) -> bool:
        return self.text in _LIGHT or tokens.is_stop(self.key)


@lru_cache(maxsize=2_048)
def _words(text: str) -> tuple[_Word, ...]:
    return tuple(
        _Word(m[0], stem(m[0]) if m[0].isascii() and m[0].isalpha() else m[0], m.start(), m.end())
        for m in _WORD.finditer(_plain(text))
    )


@lru_cache(maxsize=2_048)
def _plain(text: str) -> str:
    return _THOUSANDS.sub("", tokens.normalized(plain(text)))


def exchanged(said: Sequence[str], parts: Sequence[str]) -> list[Slot]:
    """What the clauses ``said`` of a claim have in the place of something in the clauses ``parts`` of its source.

    >>> [(s.old, s.new, s.crossed) for s in exchanged(["Silver members enter free"], ["Gold members enter free", "Silver members pay"])]
    [('gold', 'silver', True)]
    >>> [(s.old, s.new, s.crossed) for s in exchanged(["素描运往杭州修复"], ["素描运往苏州修复"])]
    [('苏', '杭', False)]
    """
    whole = " ".join(_plain(clause) for clause in said)
    keys = {word.key for clause in said for word in _words(clause)}
    found: list[Slot] = []
    for clause in said:
        aligned = _nearest(clause, parts)
        if aligned is not None:
            found += _slots(clause, aligned, parts, whole, keys)
        found += _headed(clause, parts, whole, keys)
    return found


def _headed(clause: str, parts: Sequence[str], whole: str, keys: set[str]) -> list[Slot]:
    """A name of the source before a word that has other names before it there: the North pier for the South pier."""
    mine, size = _words(clause), 2
    there = [_words(part) for part in parts]
    found = []
    for n in range(size, len(mine)):
        han = mine[n].han
        head = mine[n : n + (2 if han else 1)]
        name = mine[n - size : n]
        if (han and "".join(w.text for w in head) not in _PAIRED_HEADS) or any(w.light or w.number or w.han != han for w in (*name, *head)):
            continue
        held = [
            (part, words[max(0, m - size) : m], words[m])
            for part, words in zip(parts, there, strict=True)
            for m in range(len(words))
            if [w.key for w in words[m : m + len(head)]] == [w.key for w in head]
        ]
        others = [before for _, before, _ in held]
        if not held or any(len(o) < size or any(w.light or w.number or w.han != han for w in o) for o in others):
            continue
        sought = [w.key for w in name]
        stands = any([w.key for w in words[m : m + size]] == sought for words in there for m in range(len(words)))
        if not stands or any({w.key for w in o} & keys if not han else "".join(w.text for w in o) in whole for o in others):
            continue
        if any({w.key for w in o} & set(sought) for o in others):
            continue
        part, before, _ = held[0]
        told, said = _plain(part), _plain(clause)[name[0].start : name[-1].end]
        swapped = told[: before[0].start] + said + told[before[-1].end :]
        found.append(Slot(told[before[0].start : before[-1].end], said, told, swapped, True))
    return found


@dataclass(frozen=True, slots=True)
class _Aligned:
    part: str
    blocks: list[tuple[str, int, int, int, int]]


def _nearest(clause: str, parts: Sequence[str]) -> _Aligned | None:
    """The clause of the source that repeats most of ``clause`` in the same order, if it repeats enough."""
    mine = _words(clause)
    weight = [0 if word.light else 1 for word in mine]
    best: tuple[float, _Aligned] | None = None
    for part in parts:
        there = _words(part)
        blocks = SequenceMatcher(None, [w.key for w in mine], [w.key for w in there], autojunk=False).get_opcodes()
        shared = sum(sum(weight[a:b]) for kind, a, b, _, _ in blocks if kind == "equal")
        if best is None or shared > best[0]:
            best = (shared, _Aligned(part, blocks))
    if best is None or best[0] < 2:
        return None
    changed = sum(max((sum(weights[c:d]) for kind, _, _, c, d in best[1].blocks if kind == "replace"), default=0) for weights in [[not w.light for w in _words(best[1].part)]])
    own, there = sum(weight), sum(not w.light for w in _words(best[1].part))
    enough = 3 if any(word.han for word in mine) else 2
    whole = best[0] >= 0.9 * (there - changed) or best[0] >= 0.9 * own
    return best[1] if whole or (best[0] >= enough and (best[0] >= _REPEATED * own or best[0] >= 0.6 * there)) else None


def _slots(clause: str, aligned: _Aligned, parts: Sequence[str], whole: str, keys: set[str]) -> list[Slot]:
    mine, there, blocks = _words(clause), _words(aligned.part), aligned.blocks
    found = []
    if (turned := _turned(mine, there, blocks)) is not None:
        (a, b), (c, d) = turned
        found.append(Slot(there[c].text, mine[a].text, _plain(aligned.part), _plain(clause), True))
    for n, (kind, a, b, c, d) in enumerate(blocks):
        if kind != "replace":
            continue
        begins = n > 0 or (a == 0 and c == 0)
        ends = n + 1 < len(blocks) or (b == len(mine) and d == len(there))
        if begins and ends and (swapped := _han_crossed(clause, aligned.part, (a, b), (c, d), parts, whole, keys)):
            found.append(swapped)
            continue
        new, old = _stripped(mine, a, b), _stripped(there, c, d)
        if not (begins and ends) or not new or not old:
            continue
        lost = [{w.text for w in (*words[i:x], *words[y:j])} for words, (i, j), (x, y) in ((mine, (a, b), new), (there, (c, d), old))]
        if any(w > "\u4e00" and w not in _PLACES for w in lost[0] ^ lost[1]):
            continue
        both = all(any(w.number for w in words[slice(*span)]) for words, span in ((mine, new), (there, old)))
        new, old = _narrowed(mine, new, both), _narrowed(there, old, both)
        slot = _slot(clause, aligned.part, new, old, parts, whole, keys)
        if slot is not None:
            found.append(slot)
    return found


def _turned(
    mine: Sequence[_Word], there: Sequence[_Word], blocks: Sequence[tuple[str, int, int, int, int]]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where two things of one clause have changed places around the same words: from the top to the side."""
    changed = []
    for kind, a, b, c, d in blocks:
        if kind == "replace":
            new, old = _stripped(mine, a, b), _stripped(there, c, d)
            if new and old:
                new, old = _narrowed(mine, new, False), _narrowed(there, old, False)
                changed.append((new, old, [w.key for w in mine[slice(*new)]], [w.key for w in there[slice(*old)]]))
    for n, (new, old, said, told) in enumerate(changed):
        if any(said == other_told and told == other_said for _, _, other_said, other_told in changed[n + 1 :]):
            return new, old
    return None


def _han_crossed(
    clause: str,
    part: str,
    new_at: tuple[int, int],
    old_at: tuple[int, int],
    parts: Sequence[str],
    whole: str,
    keys: set[str],
) -> Slot | None:
    """The slot of a Chinese name with light characters in it (自行车, 省里) that stands elsewhere in the source."""
    (a, b), (c, d) = new_at, old_at
    mine, there = _words(clause), _words(part)
    if a == 0 and c == 0 and d - c > b - a:  # a name that the source begins with may be left out
        c = d - (b - a)
    new, old = mine[a:b], there[c:d]
    if not all(w.han for w in (*new, *old)) or max(len(new), len(old)) > _LONGEST[True]:
        return None
    if len(new) == 1 and not (len(old) == 1 and {new[0].text, old[0].text} <= _OPPOSITE):
        return None
    if len(new) > 1 and any(all(w.light for w in words) for words in (new, old)):
        return None
    told, said = _plain(part), _plain(clause)
    written, replaced = said[new[0].start : new[-1].end], told[old[0].start : old[-1].end]
    if replaced in whole or _says(new) or _says(old) or not _crossed(mine, a, b, there, c, d, part, parts, keys, whole):
        return None
    return Slot(replaced, written, told, told[: old[0].start] + written + told[old[-1].end :], True)


def _stripped(words: Sequence[_Word], a: int, b: int) -> tuple[int, int] | None:
    """The span without what says nothing at its ends."""
    while a < b and _empty(words[a]):
        a += 1
    while b > a and _empty(words[b - 1]):
        b -= 1
    return (a, b) if a < b else None


def _narrowed(words: Sequence[_Word], span: tuple[int, int], both: bool) -> tuple[int, int]:
    """The number of a span where both hold one; else, at the start of a clause, what follows all but the name."""
    a, b = span
    numbers = [n for n in range(a, b) if words[n].number]
    if both and len(numbers) == 1:
        return numbers[0], numbers[0] + 1
    if a == 0 and not words[a].han:
        a = max([n + 1 for n in range(a, b - 1) if words[n].text == "that"], default=a)
        return _stripped(words, a, b) or span
    if words[b - 1].han and a == 0 and (_says(words[a:b]) or numbers):
        a = max([n + 1 for n in range(a, b - 1) if words[n].text in _SAYS or words[n].number], default=a)
    return a, b


def _says(words: Sequence[_Word]) -> bool:
    """Whether a Chinese run says how or whether, and is no name: 维也纳 and 因斯布鲁克 are."""
    if any(w.text in _DENIES for w in words):
        return True
    if len(words) > 3:
        return 3 * sum(w.text in _SAYS for w in words) > len(words)
    return any(w.text in _SAYS and not 0 < n < len(words) - 1 for n, w in enumerate(words))


def _empty(word: _Word) -> bool:
    return word.text in _STRIPPED if word.han else word.light


def _slot(
    clause: str,
    part: str,
    new_at: tuple[int, int],
    old_at: tuple[int, int],
    parts: Sequence[str],
    whole: str,
    keys: set[str],
) -> Slot | None:
    (a, b), (c, d) = new_at, old_at
    mine, there = _words(clause), _words(part)
    new, old = mine[a:b], there[c:d]
    han = any(w.han for w in new)
    if han != any(w.han for w in old) and not (new[0].number and old[0].number):
        return None
    if any(w.number for w in new) != any(w.number for w in old) or max(len(new), len(old)) > _LONGEST[han]:
        return None
    if any(w.text in _POINTS_BACK for w in (*new, *old)) or _says(new) or _says(old):
        return None
    written, replaced = _plain(clause)[new[0].start : new[-1].end], _plain(part)[old[0].start : old[-1].end]
    if (replaced in whole) if han else any(w.key in keys for w in old if not w.light):
        return None
    told = _plain(part)
    first, last = there[max(0, c - _AROUND)].start, there[min(len(there), d + _AROUND) - 1].end
    swapped = told[first : old[0].start] + written + told[old[-1].end : last]
    told = told[first:last]
    ends = b == len(mine) and d == len(there) and a > 2
    named = ends or ((a == 0 or _named_there(mine, a)) and (c == 0 or _named_there(there, c)))
    if (han or new[0].number or named) and _crossed(mine, a, b, there, c, d, part, parts, keys, whole):
        return Slot(replaced, written, told, swapped, True)
    if any(w.number for w in new) or not _named_there(mine, a, (len(new) == 1) == (len(old) == 1)):
        return None
    if _anew(mine, a, b, parts):
        return Slot(replaced, written, told, swapped, False)
    return None


def _crossed(
    mine: Sequence[_Word],
    a: int,
    b: int,
    there: Sequence[_Word],
    c: int,
    d: int,
    part: str,
    parts: Sequence[str],
    keys: set[str],
    whole: str,
) -> bool:
    """Whether what is new stands in another clause of the source, of which the claim says nothing else."""
    new = mine[a:b]
    if any(w.han for w in new):
        if len(new) == 1:
            if d - c != 1:
                return False
            pairs = [f"{x.text}{y.text}" for x, y in pairwise(mine[max(0, a - 1) : b + 1]) if x.han and y.han]
            holders = [p for p in parts if p != part and any(pair in _plain(p) for pair in pairs)]
        else:
            text = "".join(w.text for w in new)
            holders = [p for p in parts if p != part and text in _plain(p)]
    else:
        sought = {w.key for w in new if not w.light}
        holders = [p for p in parts if p != part and sought <= {w.key for w in _words(p)}]
    if not holders:
        return False
    known = {w.key for w in there} | {w.key for w in new}
    for holder in holders:
        others = _units(holder)
        if any(unit not in _units(part) and unit in _claimed(keys, whole, unit) and not _within(unit, new) for unit in others):
            return False
    return bool(known)


def _units(text: str) -> set[str]:
    """What a clause says: words and numbers, and in Chinese pairs of characters."""
    words = _words(text)
    found = {w.key for w in words if not w.han and not w.light}
    return found | {f"{x.text}{y.text}" for x, y in pairwise(words) if x.han and y.han and not (x.light or y.light)}


def _claimed(keys: set[str], whole: str, unit: str) -> set[str]:
    return {unit} if unit in keys or (unit > "\u4e00" and unit in whole) else set()


def _within(unit: str, new: Sequence[_Word]) -> bool:
    return any(w.key in unit for w in new)


def _named_there(words: Sequence[_Word], a: int, alike: bool = True) -> bool:
    """Whether a name or a thing can stand at ``a``: after an article, a preposition or a number.

    In Chinese anywhere, if what is exchanged is ``alike`` in length.
    """
    if words[a].han:
        return alike or (a > 0 and words[a - 1].text in _HAN_BEFORE_A_NOUN)
    return a > 0 and (words[a - 1].text in _BEFORE_A_NOUN or words[a - 1].number)


def _anew(words: Sequence[_Word], a: int, b: int, parts: Sequence[str]) -> bool:
    """Whether the words at ``a`` to ``b`` stand nowhere in the source."""
    source = " ".join(map(_plain, parts))
    if words[a].han:
        run = words[max(0, a - 1) : b + 1] if b - a == 1 else words[a:b]
        pairs = [f"{x.text}{y.text}" for x, y in pairwise(run) if x.han and y.han and not (x.light or y.light)]
        return bool(pairs) and not any(pair in source for pair in pairs)
    keys = {w.key for part in parts for w in _words(part)}
    return not any(w.key in keys for w in words[a:b] if not w.light)
