"""What a text says of one company: the company's name hidden, the words around it set apart.

A head that sees names learns which companies used to do well. So the target becomes one word, whoever it is, and
every other company another word; what is left is what the text says. Four views of it: the whole, the clause that
holds the target, and the words before and after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TARGET, OTHER = "xtargetx", "xotherx"
_SPOKEN = {  # for an embedding model, which has read sentences and no such words
    "en": {TARGET: "the company", OTHER: "another company"},
    "zh": {TARGET: "该公司", OTHER: "另一家公司"},
}
_HAN = re.compile(r"[\u3400-\u9fff]")
_CLAUSE = re.compile(
    r"[,;:!?，；：。！？、|]+\s*|\.\s+|\s(?:but|while|whereas|although|though|however|despite|amid|as|after)\s|"
    r"(?=但|而|不过|然而|尽管|虽然)"
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_WORDS_NEAR, _CHARACTERS_NEAR = 6, 16

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Masked:
    """The views of one text for one target. Digits are ``0`` in all but ``spoken``."""

    whole: str
    clause: str
    before: str
    after: str
    spoken: str

    @property
    def views(self) -> tuple[str, str, str, str]:
        return self.whole, self.clause, self.before, self.after


def mask(text: str, targets: Sequence[Span], others: Sequence[Span] = ()) -> Masked:
    """Hide ``targets`` and ``others``, which are places in ``text``; where two overlap the longer counts.

    >>> mask("Gold shines; Silver dull", [(0, 4)], [(13, 19)]).whole
    'xtargetx shines; xotherx dull'
    >>> mask("Gold shines; Silver dull", [(13, 19)], [(0, 4)]).clause
    'xtargetx dull'
    """
    pieces: list[str] = []
    end = 0
    for (start, stop), word in _chosen(targets, others):
        pieces += [text[end:start], word]
        end = stop
    pieces.append(text[end:])
    joined = "".join(f" {p} " if p in (TARGET, OTHER) else p for p in pieces)
    whole = " ".join(_NUMBER.sub("0", joined).split())
    at = whole.find(TARGET)
    if at < 0:
        return Masked(whole, whole, "", "", _spoken("".join(pieces), text))
    return Masked(
        whole, _clause(whole, at), _near(whole[:at], last=True), _near(whole[at + len(TARGET) :], last=False),
        _spoken("".join(pieces), text),
    )  # fmt: skip


def has_han(text: str) -> bool:
    return bool(_HAN.search(text))


def _chosen(targets: Sequence[Span], others: Sequence[Span]) -> list[tuple[Span, str]]:
    wanted = [(span, TARGET) for span in targets] + [(span, OTHER) for span in others]
    kept: list[tuple[Span, str]] = []
    for span, word in sorted(wanted, key=lambda item: (item[0][0] - item[0][1], item[1] != TARGET, item[0])):
        if all(span[1] <= there[0] or there[1] <= span[0] for there, _ in kept):
            kept.append((span, word))
    return sorted(kept)


def _clause(whole: str, at: int) -> str:
    start, end = 0, len(whole)
    for cut in _CLAUSE.finditer(whole):
        if cut.end() <= at:
            start = cut.end()
        elif cut.start() >= at + len(TARGET):
            end = cut.start()
            break
    return whole[start:end].strip()


def _near(side: str, *, last: bool) -> str:
    """The words next to the target: Chinese by characters, else by words."""
    if has_han(side):
        return (side[-_CHARACTERS_NEAR:] if last else side[:_CHARACTERS_NEAR]).strip()
    words = side.split()
    return " ".join(words[-_WORDS_NEAR:] if last else words[:_WORDS_NEAR])


def _spoken(masked: str, text: str) -> str:
    for word, said in _SPOKEN["zh" if has_han(text) else "en"].items():
        masked = masked.replace(word, said)
    return " ".join(masked.split())
