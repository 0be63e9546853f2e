"""Texts that say the same with a few words changed: MinHash signatures, and bands to find them by.

Source: Broder, "On the resemblance and containment of documents", 1997; the banding is that of Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4. What two bands suggest is checked by the exact
Jaccard index of the pieces, so a collision never merges two different texts.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LIKE = 0.6  # Jaccard index from which two texts count as one
ROWS, BANDS = 2, 24  # two texts of likeness .6 share a band with a chance of 1 - (1 - .36)^24 > .9999
_PRIME = (1 << 31) - 1
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


@lru_cache(maxsize=8192)
def pieces(text: str) -> frozenset[str]:
    """What likeness is counted over: pairs of words, or of Chinese characters; case and punctuation do not count.

    >>> sorted(pieces("Gold shines, again"))
    ['gold shines', 'shines again']
    """
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())
    if len(tokens) < 2:
        return frozenset(tokens)
    return frozenset(f"{a} {b}" for a, b in pairwise(tokens))


def likeness(a: str, b: str) -> float:
    """Jaccard index of two texts' pieces, 0 to 1."""
    left, right = pieces(a), pieces(b)
    both = len(left & right)
    return both / (len(left) + len(right) - both) if left and right else 0.0


def bands(text: str) -> tuple[str, ...]:
    """The keys under which texts like this one are found; two alike share at least one of ``BANDS`` nearly always."""
    import numpy as np

    found = pieces(text)
    if not found:
        return ()
    codes = np.array([int.from_bytes(hashlib.blake2b(p.encode(), digest_size=4).digest()) for p in found], np.uint64)
    scale, shift = _permutations()
    signature = ((codes[:, None] % _PRIME * scale + shift) % _PRIME).min(axis=0).astype(np.uint32)
    return tuple(
        f"{number:02d}{signature[number * ROWS : (number + 1) * ROWS].tobytes().hex()}" for number in range(BANDS)
    )


@cache
def _permutations() -> tuple[np.ndarray, np.ndarray]:
    """Of the form (a · x + b) mod p; fixed, because signatures are kept."""
    import numpy as np

    def numbers(name: str) -> np.ndarray:
        made = [hashlib.blake2b(f"{name}{i}".encode(), digest_size=4).digest() for i in range(ROWS * BANDS)]
        return np.array([1 + int.from_bytes(m) % (_PRIME - 1) for m in made], np.uint64)

    return numbers("scale"), numbers("shift")


def groups(texts: Sequence[str], *, like: float = LIKE) -> list[int]:
    """A number for each text; those that are alike, also by way of others, have one number."""
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for found in _shared(texts):
        for i in found[1:]:
            a, b = root(found[0]), root(i)
            if a != b and likeness(texts[found[0]], texts[i]) >= like:
                parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(texts))]


def _shared(texts: Sequence[str]) -> Iterable[list[int]]:
    tables: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        for key in bands(text):
            tables[key].append(i)
    return [found for found in tables.values() if len(found) > 1]
