"""Postings as arrays: which passages of a segment hold a term, and how often.

A segment numbers its passages from 0 (their ordinals, two bytes). A term is a 64-bit hash: among ten million
terms the chance that any two collide is one in 400,000. Frequencies are kept in tenths, because a term of the
title counts 0.7; one byte holds up to 25.5, far beyond where BM25 is flat. All of a segment's postings stand in
the order of their terms, cut into blocks of about 16 KB, so that a term is read without reading the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MOST = 65_536  # passages of a segment: ordinals have two bytes
BLOCK_BYTES = 16_384
TENTHS = 10
_PER_TERM, _PER_POSTING = 12, 3  # bytes


@dataclass(frozen=True, slots=True)
class Postings:
    """Terms in ascending order of their hashes; the postings of term ``i`` are the next ``counts[i]``.

    Shape: ``hashes`` (u8) and ``counts`` (u4) have one entry per term, ``ordinals`` (u2, ascending within a term)
    and ``frequencies`` (u1, tenths) one per posting.
    """

    hashes: np.ndarray
    counts: np.ndarray
    ordinals: np.ndarray
    frequencies: np.ndarray

    @property
    def bytes(self) -> int:
        return len(self.hashes) * _PER_TERM + len(self.ordinals) * _PER_POSTING


@lru_cache(maxsize=65_536)
def hashed(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def inverted(hashes: np.ndarray, frequencies: np.ndarray, terms: Sequence[int]) -> Postings:
    """Postings of passages given one after the other, the first of ``terms[0]`` distinct terms and so on."""
    import numpy as np

    ordinals = np.repeat(np.arange(len(terms), dtype=np.uint16), terms)
    order = np.argsort(hashes, kind="stable")
    distinct, counts = np.unique(hashes[order], return_counts=True)
    return Postings(distinct, counts.astype(np.uint32), ordinals[order], frequencies[order])


def merged(parts: Sequence[tuple[Postings, np.ndarray]]) -> Postings:
    """Postings of several segments as one.

    Args:
        parts: postings and which of their ordinals live on (a mask); the living get new ordinals in this order.
    """
    import numpy as np

    kept, base = [], 0
    for postings, lives in parts:
        fresh = np.cumsum(lives, dtype=np.int64) - 1 + base
        base += int(lives.sum())
        kept.append(_living(postings, lives, fresh))
    hashes = np.concatenate([part.hashes for part in kept])
    counts = np.concatenate([part.counts for part in kept]).astype(np.int64)
    ordinals = np.concatenate([part.ordinals for part in kept])
    frequencies = np.concatenate([part.frequencies for part in kept])
    starts = np.cumsum(counts) - counts
    order = np.argsort(hashes, kind="stable")  # stable: within a term the parts keep their order
    hashes, counts, starts = hashes[order], counts[order], starts[order]
    rows = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
    distinct, at = np.unique(hashes, return_index=True)
    sums = np.add.reduceat(counts, at) if len(at) else counts
    return Postings(distinct, sums.astype(np.uint32), ordinals[rows], frequencies[rows])


def _living(postings: Postings, lives: np.ndarray, fresh: np.ndarray) -> Postings:
    import numpy as np

    if lives.all():
        return Postings(
            postings.hashes, postings.counts, fresh[postings.ordinals].astype(np.uint16), postings.frequencies
        )
    keep = lives[postings.ordinals]
    terms = np.repeat(np.arange(len(postings.hashes)), postings.counts)
    counts = np.bincount(terms[keep], minlength=len(postings.hashes))
    there = counts > 0
    return Postings(
        postings.hashes[there],
        counts[there].astype(np.uint32),
        fresh[postings.ordinals[keep]].astype(np.uint16),
        postings.frequencies[keep],
    )


def blocks(postings: Postings) -> Iterator[tuple[int, bytes]]:
    """``(first term, block)`` in order. A term with many postings has a block of its own."""
    import numpy as np

    if not len(postings.hashes):
        return
    sizes = postings.counts.astype(np.int64) * _PER_POSTING + _PER_TERM
    part, large = np.cumsum(sizes) // BLOCK_BYTES, sizes > BLOCK_BYTES
    cuts = np.flatnonzero((np.diff(part) > 0) | large[1:] | large[:-1]) + 1
    ends = np.cumsum(postings.counts, dtype=np.int64)
    for a, b in pairwise([0, *cuts.tolist(), len(sizes)]):
        low, high = int(ends[a] - postings.counts[a]), int(ends[b - 1])
        data = (
            np.uint64(b - a).tobytes(),
            postings.hashes[a:b].astype("<u8").tobytes(),
            postings.counts[a:b].astype("<u4").tobytes(),
            postings.ordinals[low:high].astype("<u2").tobytes(),
            postings.frequencies[low:high].tobytes(),
        )
        yield int(postings.hashes[a]), b"".join(data)


def parsed(block: bytes) -> Postings:
    """A block's postings, without copying."""
    import numpy as np

    terms = int.from_bytes(block[:8], "little")
    at = 8 + terms * _PER_TERM
    size = (len(block) - at) // _PER_POSTING
    return Postings(
        np.frombuffer(block, "<u8", terms, 8),
        np.frombuffer(block, "<u4", terms, 8 + 8 * terms),
        np.frombuffer(block, "<u2", size, at),
        np.frombuffer(block, "u1", size, at + 2 * size),
    )


def joined(parts: Sequence[Postings]) -> Postings:
    """The postings of consecutive blocks; passages without a term have none."""
    import numpy as np

    return Postings(
        np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)]),
        np.concatenate([np.empty(0, np.uint32), *(part.counts for part in parts)]),
        np.concatenate([np.empty(0, np.uint16), *(part.ordinals for part in parts)]),
        np.concatenate([np.empty(0, np.uint8), *(part.frequencies for part in parts)]),
    )
