"""Texts that say the same with a few words changed: MinHash signatures, and bands to find them by.

Source: Broder, "On the resemblance and containment of documents", 1997; the banding is that of Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4. What two bands suggest is checked by the exact
Jaccard index of the pieces, so a collision never merges two different texts.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LIKE = 0.6  # Jaccard index from which two texts count as one
ROWS, BANDS = 3, 24  # two texts share a band with a chance of 1 - (1 - likeness³)²⁴: .6 → .997, .2 → .18, .1 → .02
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
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


def contradict(a: Iterable[str], b: Iterable[str]) -> bool:
    """Whether two texts alike are about different things, by the figures (or names) in each: both have some that the
    other lacks, and not fewer of these than they share. An edit that drops or adds some contradicts nothing.

    >>> contradict(["43.97", "3"], ["55.93", "5"]), contradict(["43.97", "3"], ["43.97"])
    (True, False)
    """
    left, right = set(a), set(b)
    both = len(left & right)
    own = min(len(left), len(right)) - both
    return own > 0 and own >= both


def figures(text: str) -> list[str]:
    """The numbers of a text, as written."""
    return _FIGURE.findall(unicodedata.normalize("NFKC", text))


def bands(text: str) -> tuple[int, ...]:
    """The keys under which texts like this one are found; two alike share at least one of ``BANDS`` nearly always."""
    import numpy as np

    found = pieces(text)
    if not found:
        return ()
    codes = np.array([zlib.crc32(piece.encode()) for piece in found], np.uint64)
    scale, shift, mix = _permutations()
    signature = ((codes[:, None] % _PRIME * scale + shift) % _PRIME).min(axis=0).reshape(BANDS, ROWS)
    keys = (signature * mix).sum(axis=1) + np.arange(BANDS, dtype=np.uint64)  # modulo 2^64
    return tuple(keys.view(np.int64).tolist())


@cache
def _permutations() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the form (a · x + b) mod p, and odd numbers to mix a band with; fixed, because bands are kept."""
    import numpy as np

    def numbers(name: str) -> np.ndarray:
        made = [hashlib.blake2b(f"{name}{i}".encode(), digest_size=4).digest() for i in range(ROWS * BANDS)]
        return np.array([1 + int.from_bytes(m) % (_PRIME - 1) for m in made], np.uint64)

    digests = (hashlib.blake2b(f"mix{i}".encode(), digest_size=8).digest() for i in range(ROWS))
    return numbers("scale"), numbers("shift"), np.array([int.from_bytes(d) | 1 for d in digests], np.uint64)


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
    tables: dict[int, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        for key in bands(text):
            tables[key].append(i)
    return [found for found in tables.values() if len(found) > 1]
