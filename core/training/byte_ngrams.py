"""An n-gram language model over bytes, the cheap system that a trained language model has to beat.

Each context's counts are mixed with those of the context one byte shorter, down to equal chances for all 257 symbols (the
bytes and the end of a text), so every text has a probability. Source: Witten and Bell 1991, method C, in the interpolated
form of Chen and Goodman 1999, section 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ORDER = 6  # bytes of a symbol and what is read before it: two Chinese characters, or about a word
SYMBOLS = 257


class ByteNgrams:
    """``counts`` holds, for each context, how often each symbol followed it; the end of a text is the symbol 256."""

    def __init__(self, texts: Iterable[str], *, order: int = ORDER) -> None:
        self.order = order
        self.counts: dict[bytes, dict[int, int]] = {}
        for text in texts:
            content = text.encode()
            for place, symbol in enumerate((*content, 256)):
                for length in range(min(order, place + 1)):
                    following = self.counts.setdefault(content[place - length : place], {})
                    following[symbol] = following.get(symbol, 0) + 1
        self._totals = {context: sum(following.values()) for context, following in self.counts.items()}

    def probability(self, context: bytes, symbol: int) -> float:
        """Of ``symbol`` after ``context``, of which the last ``order - 1`` bytes are read."""
        found = 1 / SYMBOLS
        for length in range(min(self.order, len(context) + 1)):
            key = context[len(context) - length :]
            if (total := self._totals.get(key)) is None:
                break
            following = self.counts[key]
            found = (following.get(symbol, 0) + len(following) * found) / (total + len(following))
        return found

    def loss(self, text: str) -> float:
        """The negative log-likelihood of the text and its end, in nats."""
        content = text.encode()
        read = self.order - 1
        return -sum(
            math.log(self.probability(content[max(0, place - read) : place], symbol))
            for place, symbol in enumerate((*content, 256))
        )
