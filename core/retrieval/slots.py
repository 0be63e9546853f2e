"""What stands in a claim in the place of something else: a clause of the source repeated, one thing in it exchanged.

A claim that is made up is mostly the source's own clause with one name, thing or value put in the place of another.
Where the other thing stands elsewhere in the source, two facts were crossed. Where it stands nowhere, it is another
name for the same thing or another thing, and words alone do not tell which: the clause with the one and the clause
with the other (a minimal pair) are told apart by an embedding model, see :mod:`core.retrieval.doubts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from itertools import pairwise

from core.i18n import detect_language
from core.retrieval import polarity
from core.retrieval.measures import quantities
from core.retrieval.synonyms import said as said_of
from core.retrieval.wording import (
    OPPOSITE,
    PAIRED_HEADS,
    PLACES,
    Word,
    named_at,
    narrowed,
    points_back,
    says,
    spelled,
    stripped,
    words,
)

_AROUND = 8  # words or Han characters beside what is exchanged that a minimal pair keeps: a long clause would drown it
_REPEATED, _MOSTLY, _WHOLLY = 0.35, 0.6, 0.9  # shares of what the claim's clause says, or of what the source's says
_HALF = 0.5  # of the claim's clause; then all that differs was moved there together
_LONGEST = {True: 6, False: 3}  # of what is exchanged: characters in Chinese, words in English
# What stands in these is no name: words that connect, and what other words for ordinary things are known of.
_NO_NAME = re.compile(
    r"[,、]|第[一二三四五六七八九十\d]|然后|因此|所以|因为|由于|其中|如果|若|年[末底初]|变[多少大小得为成]"
)
_TIME = frozenset("后前时年月日起")  # what ends a time, which no thing takes the place of
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Slot:
    """``new`` stands in the claim where ``old`` stands in ``told``; ``swapped`` is ``told`` with ``new`` instead."""

    old: str
    new: str
    told: str
    swapped: str
    crossed: bool  # whether ``new`` stands elsewhere in the source


def exchanged(said: Sequence[str], parts: Sequence[str], *, least: float = 0.0) -> list[Slot]:
    """What the clauses ``said`` of a claim have in the place of something in the clauses ``parts`` of its source.

    Args:
        least: share of a clause that must be repeated.

    >>> source = ["Gold members enter free", "Silver members pay"]
    >>> [(s.old, s.new, s.crossed) for s in exchanged(["Silver members enter free"], source)]
    [('gold', 'silver', True)]
    >>> [(s.old, s.new, s.crossed) for s in exchanged(["素描运往杭州修复"], ["素描运往苏州修复"])]
    [('苏', '杭', False)]
    """
    claim = _Claim(tuple(said), tuple(parts))
    found: list[Slot] = []
    for clause in said:
        aligned = _nearest(clause, claim)
        if aligned is not None and aligned.repeats(least):
            found += [slot for slot in aligned.slots() if aligned.repeats(_least(clause, slot))]
        found += _headed(clause, claim)
    return found


def _least(clause: str, slot: Slot) -> float:
    """How much of a clause must be repeated: an English one is told by few words, a Chinese one that crosses two by fewer."""
    if detect_language(clause) != "zh":
        return _HALF
    return 0.0 if slot.crossed else _MOSTLY


def reversed_in_place(said: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a clause of the claim repeats one of its source with a word exchanged for its opposite.

    Only what differs is compared, so that another word of the same axis beside it does not hide it.

    >>> reversed_in_place(["前一天六点以后登记"], ["须在前一天六点以前登记"])
    True
    """
    claim = _Claim(tuple(said), tuple(parts))
    return any(aligned is not None and aligned.reversed() for aligned in (_nearest(clause, claim) for clause in said))


@dataclass(frozen=True)
class _Claim:
    """A claim and its source, both in clauses."""

    said: tuple[str, ...]
    parts: tuple[str, ...]

    @cached_property
    def whole(self) -> str:
        return " ".join(map(spelled, self.said))

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(word.key for clause in self.said for word in words(clause))

    @cached_property
    def source(self) -> str:
        return " ".join(map(spelled, self.parts))

    @cached_property
    def source_keys(self) -> frozenset[str]:
        return frozenset(word.key for part in self.parts for word in words(part))

    def names(self, words_: Sequence[Word], written: str) -> bool:
        """Whether the claim names, anywhere, what is ``written`` so in its source."""
        if any(word.han for word in words_):
            return written in self.whole
        return any(word.key in self.keys for word in words_ if not word.light)

    def says(self, unit: str) -> bool:
        return unit in self.keys or (unit > "\u4e00" and unit in self.whole)


@dataclass(frozen=True)
class _Aligned:
    """A clause of the claim beside the clause of the source that repeats most of it."""

    claim: _Claim
    said: str
    part: str
    blocks: Sequence[tuple[str, int, int, int, int]]

    @cached_property
    def mine(self) -> tuple[Word, ...]:
        return words(self.said)

    @cached_property
    def there(self) -> tuple[Word, ...]:
        return words(self.part)

    @cached_property
    def shared(self) -> int:
        return sum(not w.light for kind, a, b, _, _ in self.blocks if kind == "equal" for w in self.mine[a:b])

    def enough(self) -> bool:
        """Whether so much is repeated that what differs stands in the place of something."""
        own, there = (sum(not w.light for w in found) for found in (self.mine, self.there))
        longest = _LONGEST[any(word.han for word in self.mine)]
        changed = [self.there[c:d] for kind, _, _, c, d in self.blocks if kind == "replace" and d - c <= longest]
        if self.shared < 2:
            return False
        if self.shared >= _WHOLLY * min(
            own, there - max((sum(not w.light for w in found) for found in changed), default=0)
        ):
            return True
        least = 3 if any(word.han for word in self.mine) else 2
        return self.shared >= least and (self.shared >= _REPEATED * own or self.shared >= _MOSTLY * there)

    def repeats(self, share: float) -> bool:
        return self.shared >= share * sum(not w.light for w in self.mine)

    def slots(self) -> Iterator[Slot]:
        if self._turned():
            yield Slot(self.part, self.said, spelled(self.part), spelled(self.said), True)
        for n, (kind, a, b, c, d) in enumerate(self.blocks):
            begins = n > 0 or (a == 0 and c == 0)
            ends = n + 1 < len(self.blocks) or (b == len(self.mine) and d == len(self.there))
            if kind != "replace" or not (begins and ends):
                continue
            slot = self._bare((a, b), (c, d)) or self._stripped((a, b), (c, d))
            if slot is not None:
                yield slot

    def _turned(self) -> bool:
        """Whether two things have changed places around the same words: from the top to the side."""
        changed = []
        for kind, a, b, c, d in self.blocks:
            new, old = stripped(self.mine, a, b), stripped(self.there, c, d)
            if kind == "replace" and new and old:
                new, old = narrowed(self.mine, new, False), narrowed(self.there, old, False)
                changed.append(([w.key for w in self.mine[slice(*new)]], [w.key for w in self.there[slice(*old)]]))
        return any(
            new == old_2 and old == new_2 for n, (new, old) in enumerate(changed) for new_2, old_2 in changed[n:]
        )

    def reversed(self) -> bool:
        """Whether opposites stand in one place, and neither is denied nor said of another value."""
        changed = [(a, b, c, d) for kind, a, b, c, d in self.blocks if kind == "replace"]
        others = (w for a, b, c, d in changed for w in (*self.mine[a:b], *self.there[c:d]))
        if polarity.denies(self.said) != polarity.denies(self.part) or any(w.number for w in others):
            return False
        for a, b, c, d in changed:
            new, old = self.mine[max(0, a - 1) : b + 1], self.there[max(0, c - 1) : d + 1]  # 以前, by 6
            short = max(b - a, d - c) <= _LONGEST[any(w.han for w in (*new, *old))]
            if short and polarity.reversed_axes(_written(self.said, new), _written(self.part, old)):
                return True
        return False

    def _bare(self, new_at: Span, old_at: Span) -> Slot | None:
        """The slot of a Chinese name with light characters in it (自行车, 省里) that stands elsewhere in the source."""
        (a, b), (c, d) = new_at, old_at
        if a == 0 and c == 0 and d - c > b - a:  # what the source's clause has before the name may be left out
            c = d - (b - a)
        new, old = self.mine[a:b], self.there[c:d]
        if not all(w.han for w in (*new, *old)) or max(len(new), len(old)) > _LONGEST[True]:
            return None
        if len(new) == 1 and not (len(old) == 1 and {new[0].text, old[0].text} <= OPPOSITE):
            return None
        if len(new) > 1 and any(all(w.light for w in found) for found in (new, old)):
            return None
        if points_back(old, new) or says(new) or says(old) or self.claim.names(old, _written(self.part, old)):
            return None
        if (old[-1].text in _TIME) != (new[-1].text in _TIME):
            return None
        return self._pair(new, old, (c, d), True) if self._crossed((a, b), (c, d)) else None

    def _stripped(self, new_at: Span, old_at: Span) -> Slot | None:
        """The slot of a name, a thing or a value without what says nothing beside it."""
        new, old = stripped(self.mine, *new_at), stripped(self.there, *old_at)
        if not new or not old:
            return None
        lost = [
            {w.text for w in (*found[span[0] : kept[0]], *found[kept[1] : span[1]])}
            for found, span, kept in ((self.mine, new_at, new), (self.there, old_at, old))
        ]
        if any(text > "\u4e00" and text not in PLACES for text in lost[0] ^ lost[1]):
            return None
        both = all(any(w.number for w in found) for found in (self.mine[slice(*new)], self.there[slice(*old)]))
        return self._slot(narrowed(self.mine, new, both), narrowed(self.there, old, both))

    def _slot(self, new_at: Span, old_at: Span) -> Slot | None:
        (a, b), (c, d) = new_at, old_at
        new, old = self.mine[a:b], self.there[c:d]
        han, number = (any(w.han for w in new), any(w.number for w in new))
        if number != any(w.number for w in old) or max(len(new), len(old)) > _LONGEST[han]:
            return None
        if han != any(w.han for w in old) and not (new[0].number and old[0].number):
            return None
        if points_back(old, new) or says(new) or says(old):
            return None
        if self.claim.names(old, _written(self.part, old)):
            return None
        if han and (old[-1].text in _TIME) != (new[-1].text in _TIME):
            return None
        if number and new[0].number and old[0].number and self._of_another_kind(new_at, old_at):
            return None
        if number and old[0].text == "1" and _text_at(self.mine, b) != _text_at(self.there, d):
            return None  # 一座, 第一次: no value that another could take the place of
        last = b == len(self.mine) and d == len(self.there) and a > 2
        named = last or ((a == 0 or named_at(self.mine, a)) and (c == 0 or named_at(self.there, c)))
        if (han or new[0].number or named) and self._crossed(new_at, old_at):
            return self._pair(new, old, old_at, True)
        alike = (len(new) == 1) == (len(old) == 1)
        if number or said_of(_written(self.said, new)).groups & said_of(_written(self.part, old)).groups:
            return None
        if han and any(_ordinary(text) for text in (_written(self.said, new), _written(self.part, old))):
            return None
        if named_at(self.mine, a, alike=alike) and self._anew(new_at):
            return self._pair(new, old, old_at, False)
        return None

    def _of_another_kind(self, new_at: Span, old_at: Span) -> bool:
        """Whether two numbers count different things: a year of the calendar takes no place of 76 years."""
        kinds = [
            {measure.kind for measure in quantities(text).measures if measure.number == _number(found[at[0]])}
            or {"time"}
            for text, found, at in ((self.said, self.mine, new_at), (self.part, self.there, old_at))
        ]
        return not kinds[0] & kinds[1] and {""} not in kinds

    def _crossed(self, new_at: Span, old_at: Span) -> bool:
        """Whether what is new stands in another clause of the source, of which the claim says nothing else.

        If the claim says more of that clause, it draws the two together: 省里为河道拨款一百万 of 省里另拨一百万.
        """
        (a, b), (c, d) = new_at, old_at
        new, others = self.mine[a:b], [part for part in self.claim.parts if part != self.part]
        if not any(w.han for w in new):
            sought = {w.key for w in new if not w.light}
            holders = [part for part in others if sought <= {w.key for w in words(part)}]
        elif len(new) > 1:
            holders = [part for part in others if "".join(w.text for w in new) in spelled(part)]
        else:
            pairs = _pairs(self.mine[max(0, a - 1) : b + 1]) if d - c == 1 else []
            holders = [part for part in others if any(pair in spelled(part) for pair in pairs)]
        holders = [part for part in holders if any(all(w.key not in u for w in new) for u in _units(part))]
        own = _units(self.part)
        more = (unit for holder in holders for unit in _units(holder) - own if self.claim.says(unit))
        moved = self.changed if self.repeats(_HALF) and not any(w.number for w in new) else ()
        return bool(holders) and not any(all(w.key not in unit for w in (*new, *moved)) for unit in more)

    @cached_property
    def changed(self) -> list[Word]:
        """All that stands in the place of something: a person and her team are put in the place of another with his."""
        return [w for kind, a, b, _, _ in self.blocks if kind == "replace" for w in self.mine[a:b] if not w.light]

    def _anew(self, new_at: Span) -> bool:
        """Whether what is new stands nowhere in the source."""
        a, b = new_at
        new = self.mine[a:b]
        if not new[0].han:
            return not any(w.key in self.claim.source_keys for w in new if not w.light)
        run = self.mine[max(0, a - 1) : b + 1] if len(new) == 1 else new
        pairs = _pairs(run, light=False)
        return bool(pairs) and not any(pair in self.claim.source for pair in pairs)

    def _pair(self, new: Sequence[Word], old: Sequence[Word], old_at: Span, crossed: bool) -> Slot:
        text, there, (c, d) = spelled(self.part), self.there, old_at
        start, end = there[max(0, c - _AROUND)].start, there[min(len(there), d + _AROUND) - 1].end
        written = _written(self.said, new)
        swapped = text[start : old[0].start] + written + text[old[-1].end : end]
        return Slot(_written(self.part, old), written, text[start:end], swapped, crossed)


@lru_cache(maxsize=64)  # asked for opposites and for what is exchanged
def _nearest(clause: str, claim: _Claim) -> _Aligned | None:
    """The clause of the source that repeats most of ``clause`` in the same order, if it repeats enough."""
    keys = [word.key for word in words(clause)]
    best: _Aligned | None = None
    for part in claim.parts:
        matcher = SequenceMatcher(None, keys, [word.key for word in words(part)], autojunk=False)
        aligned = _Aligned(claim, clause, part, matcher.get_opcodes())
        if best is None or aligned.shared > best.shared:
            best = aligned
    return best if best is not None and best.enough() else None


def _headed(clause: str, claim: _Claim) -> Iterator[Slot]:
    """A name of the source before a word that has other names before it there: the North pier for the South pier."""
    mine, there = words(clause), [words(part) for part in claim.parts]
    for n in range(2, len(mine)):
        name, head = mine[n - 2 : n], mine[n : n + (2 if mine[n].han else 1)]
        if mine[n].han and "".join(w.text for w in head) not in PAIRED_HEADS:
            continue
        if not _name_of(name, mine[n].han) or not _name_of(head, mine[n].han):
            continue
        held = [
            (part, found[max(0, m - 2) : m])
            for part, found in zip(claim.parts, there, strict=True)
            for m in range(len(found))
            if [w.key for w in found[m : m + len(head)]] == [w.key for w in head]
        ]
        sought = [w.key for w in name]
        if not any([w.key for w in found[m : m + 2]] == sought for found in there for m in range(len(found))):
            continue
        if held and all(
            _name_of(before, mine[n].han)
            and not claim.names(before, _written(part, before))
            and not {w.key for w in before} & set(sought)
            for part, before in held
        ):
            part, before = held[0]
            told, said = spelled(part), _written(clause, name)
            swapped = told[: before[0].start] + said + told[before[-1].end :]
            yield Slot(_written(part, before), said, told, swapped, True)


def _number(word: Word) -> float:
    return float(word.text.rstrip("%").split(":")[0]) if word.text.rstrip("%").count(".") < 2 else 0.0


def _ordinary(text: str) -> bool:
    return bool(_NO_NAME.search(text)) or any(unit.groups for unit in said_of(text).units)


def _text_at(found: Sequence[Word], place: int) -> str:
    return found[place].text if place < len(found) else ""


def _name_of(found: Sequence[Word], han: bool) -> bool:
    """Whether ``found`` can be a name of two words, or what one stands before."""
    return bool(found) and not any(w.light or w.number or w.han != han for w in found) and (len(found) == 2 or not han)


def _written(text: str, found: Sequence[Word]) -> str:
    return spelled(text)[found[0].start : found[-1].end] if found else ""


def _pairs(found: Sequence[Word], *, light: bool = True) -> list[str]:
    """Pairs of neighboring Han characters; without ``light`` ones if asked."""
    return [f"{x.text}{y.text}" for x, y in pairwise(found) if x.han and y.han and (light or not (x.light or y.light))]


def _units(text: str) -> set[str]:
    """What a clause says: words and numbers, and in Chinese pairs of characters."""
    found = words(text)
    return {w.key for w in found if not w.han and not w.light} | set(_pairs(found, light=False))
