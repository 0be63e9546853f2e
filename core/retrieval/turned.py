"""Whether a claim affirms outright the very thing that its source denies: 可以上诉 where the source has 不得上诉.

Both say little else alike, so that the clauses as a whole (see `denial`) tell nothing; what tells is the word behind a
denial, which stands in the claim behind a word that affirms (can, still, must, 照样, 可以, 要) and nowhere undenied in the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from core.i18n import detect_language
from core.retrieval import denial, polarity, tokens
from core.retrieval.measures import plain
from core.retrieval.synonyms import said
from core.retrieval.wording import words

_ALIKE = 0.5  # of the claim, that the sentence says
_STILL = re.compile(
    r"照样|照旧|照(?=[吃用喝拿])|依然|仍[然旧]?[可能要会有]|还[能可]|也(?:能|可以?|得|要|会|有|没关系)|没有?关系|\b(?:can|may|will) still\b|\beven (?:if|when|after|for|without|though|those)\b|\bwhether or not\b|\bregardless\b|\banyway\b",
    re.IGNORECASE,
)
_PARTLY, _A_LITTLE = 0.4, 0.25  # of the claim that the sentence says, and of the denied clause that the claim says
_NO_DENIAL = re.compile(
    r"不服|[到过逾]期|不合格|不满|没有?关系|没(?:有|能)?(?=[^，。；]{1,8}的)|\bwhether or not\b|\bwho (?:have|had|has) not\b"
)  # who or when, and not what
_BEHIND = {"zh": 6, "en": 3}  # characters or words behind a denial that it denies
_DENIES = {
    "zh": re.compile(
        r"不得|不能|不可以?|不予|不再|不应|不(?:会|享有)?|未曾?|无法|无(?![论线])|没有?|禁止|严禁|[切请]?勿|忌|免收|免缴|免(?!疫|费)"
    ),
    "en": re.compile(r"\b(?:not|never|no|cannot|without|nor|refused to|declined to|failed to|ruled out)\b|n['’]t\b"),
}
_AFFIRMS = {
    "zh": re.compile(
        r"可以|可(?=[\u4e00-\u9fff])|能够?|照样|照(?=[\u4e00-\u9fff])(?!常|明|片|顾|料)|依然|仍然?|还[能可要会]|也[能可要会有]|须|需要?|要|有|含有?|应当?|会"
    ),
    "en": re.compile(
        r"\b(?:can|may|will|is|are|was|were|had been|has been|have been|should|must|does|did|also|still|agreed to|free to)\b"
    ),
}


def affirmed(claim: str, sentences: Sequence[Sequence[str]]) -> bool:
    """Whether ``claim`` affirms what a clause of its source denies.

    >>> affirmed("小额诉讼案件的当事人可以上诉", [["小额诉讼案件实行一审终审", "当事人不得上诉"]])
    True
    >>> affirmed("The tablets should be crushed", [["Take the tablets with water"], ["Do not crush or chew the tablets"]])
    True
    """
    language = "zh" if detect_language(claim) == "zh" else "en"
    if polarity.exclusive(claim):
        return False
    bare = _NO_DENIAL.sub(" ", claim)
    mine = set(_affirmed(claim, language))
    units = said(claim).units
    open_to = {key for parts in sentences for clause in parts for key in _open(clause, language)}
    if said(" ".join(clause for parts in sentences for clause in parts)).share(units) < _ALIKE:
        return False
    for parts in sentences:
        if _all_the_same(claim, bare, parts):
            return True
        for clause in parts:
            if polarity.exclusive(clause) or denial.forceful(bare, clause) or denial.required(claim, clause):
                continue
            if (set(_denied(clause, language)) - open_to) & mine:
                return True
    return False


def _all_the_same(claim: str, bare: str, parts: Sequence[str]) -> bool:
    """Whether the claim says that something is so all the same, where its source says that it is not."""
    told = " ".join(parts)
    if not _STILL.search(claim) or _STILL.search(told) or polarity.plainly_denies(plain(bare)):
        return False
    return said(told).share(said(claim).units) >= _PARTLY and any(
        polarity.plainly_denies(plain(clause))
        and polarity.denies(plain(clause))
        and not denial.needless(clause)
        and said(claim).share(said(clause).units) >= _A_LITTLE
        for clause in parts
    )


def _spelled(text: str) -> str:
    return polarity.spelled(tokens.normalized(plain(text)))


def _denied(text: str, language: str) -> Iterator[str]:
    for _, behind in _behind(text, _DENIES[language], language):
        yield from behind


def _affirmed(text: str, language: str) -> Iterator[str]:
    """What stands behind an affirming word, with no denial between."""
    for before, behind in _behind(text, _AFFIRMS[language], language):
        if not _DENIES[language].search(before):
            yield from behind


def _behind(text: str, pattern: re.Pattern[str], language: str) -> Iterator[tuple[str, list[str]]]:
    """What stands before a match in its clause, and the words behind it, up to the next denial."""
    for clause in re.split("[,，。;；:]", _spelled(text)):
        for match in pattern.finditer(clause):
            behind = clause[match.end() :]
            stop = _DENIES[language].search(behind)
            yield (
                clause[: match.start()],
                _keys(behind[: stop.start()] if stop else behind, language)[: _BEHIND[language]],
            )


def _open(text: str, language: str) -> set[str]:
    """The words of ``text`` that no denial stands before."""
    return {
        key
        for clause in re.split("[,，。;；:]", _spelled(text))
        for key in _keys(_DENIES[language].split(clause, maxsplit=1)[0], language)
    }


def _keys(text: str, language: str) -> list[str]:
    if language == "zh":
        pairs = [text[n : n + 2] for n in range(len(text) - 1)]
        return [pair for pair in pairs if min(pair) > "\u4e00" and set(pair) - tokens.STOP_HAN]
    return [word.key for word in words(text) if not word.light]
