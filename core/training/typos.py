"""Slips of the finger, the same for the same text: how much does a model lose when people type in a hurry?"""

from __future__ import annotations

import hashlib
import random

EVERY = 12  # one slip for so many characters, at least one


def with_typos(text: str) -> str:
    """``text`` with neighbors swapped, a character left out or one doubled, within words.

    >>> with_typos("where is my parcel") == with_typos("where is my parcel") != "where is my parcel"
    True
    """
    draw = random.Random(hashlib.sha256(text.encode("utf-8", "replace")).digest())
    letters = list(text)
    for _ in range(max(1, len(text) // EVERY)):
        places = [i for i in range(len(letters) - 1) if letters[i].isalpha() and letters[i + 1].isalpha()]
        if not places:
            return text
        i = draw.choice(places)
        slip = draw.choice(("swap", "drop", "double"))
        if slip == "swap" and letters[i] != letters[i + 1]:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
        elif slip == "drop":
            del letters[i]
        else:
            letters.insert(i, letters[i])
    return "".join(letters)
