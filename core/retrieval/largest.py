"""The largest of many numbers, without sorting them: a sample says where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ONE_IN = 16  # of the numbers is looked at first
_FEW = 2048  # numbers that are not worth a sample


def largest(values: np.ndarray, count: int, off: float = 0.0) -> np.ndarray:
    """Where those of ``values`` stand that lie at most ``off`` below the ``count``-th largest, in their order.

    ``np.partition`` takes 180 µs for the hundredth of 20,000. Those above a limit that twice as many reach, by a
    sample, are a few hundred, and contain it unless the sample is odd.

    Args:
        count: from 1 to the number of values.
    """
    if len(values) > _FEW and 4 * count < len(values):
        sample = values[::_ONE_IN]
        expected = min(len(sample), 2 * count // _ONE_IN + 8)
        limit = _nth(sample, expected)
        above = (values >= limit - values.dtype.type(off)).nonzero()[0]
        among = values[above]
        if len(among) >= count and (nth := _nth(among, count)) >= limit:
            return above[among >= nth - values.dtype.type(off)]
    return (values >= _nth(values, count) - values.dtype.type(off)).nonzero()[0]


def _nth(values: np.ndarray, count: int) -> np.floating:
    import numpy as np

    at = len(values) - count
    # Few are sorted more quickly, above all where many are equal: 5 against 57 µs for 1,000 scores, mostly 0.
    found: np.floating = np.sort(values)[at] if len(values) <= _FEW else np.partition(values, at)[at]
    return found
