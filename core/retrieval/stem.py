"""Porter's stemmer for English words, so that 'returns', 'returned' and 'returning' are one term.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the two departures of the
author's later reference code (``logi`` to ``log``, ``bli`` to ``ble``).
"""

from __future__ import annotations

import re
from functools import lru_cache

_C = "[^aeiou](?:[^aeiouy])*"
_V = "[aeiouy][aeiou]*"
_MEASURED = re.compile(f"^(?:{_C})?{_V}{_C}")  # m > 0
_MEASURE_1 = re.compile(f"^(?:{_C})?{_V}{_C}(?:{_V})?$")  # m == 1
_MEASURE_2 = re.compile(f"^(?:{_C})?{_V}{_C}{_V}{_C}")  # m > 1
_VOWEL = re.compile(f"^(?:{_C})?{_V}")
_SHORT = re.compile(f"^{_C}[aeiouy][^aeiouwxy]$")  # consonant, vowel, consonant
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion",
    "al", "er", "ic", "ou",
)  # fmt: skip
_LONGEST_2 = sorted(_STEP_2, key=len, reverse=True)


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a lower-case ASCII ``word``.

    >>> [stem(w) for w in ("returned", "policies", "relational", "hopping", "sky")]
    ['return', 'polici', 'relat', 'hop', 'sky']
    """
    if len(word) < 3:
        return word
    initial_y = word[0] == "y"
    if initial_y:
        word = "Y" + word[1:]
    word = _plural(word)
    word = _past(word)
    if word[-1] == "y" and _VOWEL.match(word[:-1]):
        word = word[:-1] + "i"
    for suffix in _LONGEST_2:
        if word.endswith(suffix):
            word = _replaced(word, suffix, _STEP_2[suffix])
            break
    for suffix, new in _STEP_3.items():
        if word.endswith(suffix):
            word = _replaced(word, suffix, new)
            break
    for suffix in _STEP_4:
        if word.endswith(suffix):
            base = word[: -len(suffix)]
            if _MEASURE_2.match(base) and (suffix != "ion" or base[-1:] in ("s", "t")):
                word = base
            break
    if word.endswith("e"):
        base = word[:-1]
        if _MEASURE_2.match(base) or (_MEASURE_1.match(base) and not _SHORT.match(base)):
            word = base
    if word.endswith("ll") and _MEASURE_2.match(word):
        word = word[:-1]
    return "y" + word[1:] if initial_y else word


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURED.match(word[:-3]) else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix) and _VOWEL.match(word[: -len(suffix)]):
            word = word[: -len(suffix)]
            if word.endswith(("at", "bl", "iz")):
                return word + "e"
            if len(word) > 1 and word[-1] == word[-2] and word[-1] not in "aeiouylsz":
                return word[:-1]
            return word + "e" if _SHORT.match(word) else word
    return word


def _replaced(word: str, suffix: str, new: str) -> str:
    base = word[: -len(suffix)]
    return base + new if _MEASURED.match(base) else word
