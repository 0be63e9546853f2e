"""Which product of a catalogue a message means: by its words, slips included, and by meaning, in either language.

Every product gets the probability that it is the one that is meant; what is missing to 1 is that of none of them. Two
kettles that a message fits equally well share it, so that nobody is told that the message is about one of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from core.retrieval import tokens
from core.retrieval.lexicon import edits, fuzzy, readings
from core.retrieval.stem import stem

if TYPE_CHECKING:
    import numpy as np

# What customers say around a product when they ask for stock or give something back.
_FRAME = re.compile(
    "什么时候|有没有货?|还有没有|还有货?|有货|现货|补货|到货|缺货|库存|没货|有吗|有卖|卖吗|退货|退掉|退回|退款|退一下|退了|退|换货|寄回|送回|寄到"
    "|我买的|上次买的|买了|买的|买|收到的?|下单|订单|单号|东西|商品|产品|请问|你们|麻烦|帮我|看看|查一下|查|一下|我想|我要|想要|可以|能不能|的?那个|的?这个|的?那[款副种些台件把单]"
    "|这[款副种些台件把]|一[款副种些台件把]|的那|哪[个款]|多少|几个|坏了|坏的|破了|碎了|摔坏|故障|质量问题|没声音|不工作|不能用|用不了|不喜欢|不想要|不合适|不需要"
    "|现在|今天|昨天|昨晚|前天|取消|地址|运费|[上下这本]*个?(?:周|星期|礼拜)[一二三四五六日天]|[去今前]年"
    r"|[上本这下]个?月|[\d.一二两三四五六七八九十百千万半]+\s*(?:多|来)?\s*(?:个月|个?星期|[天周月日号年块元])(?:以?[前内])?|左右|还|吗|呢|了|的|没|单"
)
_AROUND = """stock available availability left still sell sold return returning send sending back take ordered order
    buy bought purchase purchased item thing stuff product please restock arrive arrived arriving broken faulty damaged
    defective cracked dead refund money work working works like love new old last one ones ask is isn't doesn't hello hi
    thanks thank you my received got get keep kept more many much today yesterday week again now sale soon there currently
    make check see look wish would possible when where change cancel address delivery ago day month night before after
    place placed paid cost pound dollar euro cent fortnight last next zero one two three four five six seven eight nine
    ten hundred thousand january february march april june july august september october november december monday tuesday
    wednesday thursday friday saturday sunday it's i'd i'm that's"""
_FRAME_WORDS = frozenset(stem(word) for word in _AROUND.split())
_NOT_PART = re.compile(r"[\w.+-]+@[\w.-]+|[A-Za-z]{1,4}[ -]?\d[\d -]{5,}|\d{4,}")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
MEANT = 0.9  # probability from which a product of a catalogue counts as meant
_MEANT_LISTED = 0.7  # the same for one who chooses from a list
ASKED = 0.5  # that some product is, from which those likeliest are asked about
CANDIDATES = 3  # products that one question names
_NONE_LISTED = (
    0.2  # odds that one who chooses from a list means nothing of it, beside those of a message that begins anew
)
_CANDIDATE = 0.15  # the least probability of those
_WITHOUT = re.compile(
    r"不带|不用|(?<!有)没有?(?=[\u4e00-\u9fff]{2,}功能|[\u4e00-\u9fff]{2,}的)|\b(?:without|non|no)\b", re.IGNORECASE
)
SAME = 0.92  # cosine from which one of the other goods is a product of the catalogue
SLIP = 0.8  # what a word counts that is near one of the catalogue, beside one that is the same


@dataclass(frozen=True, slots=True)
class Item:
    """A product: ``names`` in either language, ``about`` what else is said of it, ``spoken`` its names by language."""

    value: str
    names: tuple[str, ...]
    about: tuple[str, ...] = ()
    spoken: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """What its meaning is read from: names without the code, and what is said of it."""
        bare = [re.sub(re.escape(self.value), " ", name, flags=re.IGNORECASE).strip() for name in self.names]
        return tuple(dict.fromkeys(filter(None, (*bare, *self.about))))


@dataclass(frozen=True, slots=True)
class Weights:
    """A conditional logit: a product's logit is ``bias`` and its signals times these; that of none of them is 0.

    ``named``, ``told``: the share of a message's words that the product's names, or all that is told of it, hold, rare
    words for more; ``part``, ``whole``: how much nearer the message's gist, and all of it, is to the product than other
    goods usually are; ``rival``: how much nearer the gist is to the nearest of those.
    """

    bias: float
    named: float
    told: float
    part: float
    whole: float
    rival: float


SIGNALS = ("named", "told", "part", "whole", "rival")


def gist(text: str) -> str:
    """What is left of a message without what customers say around a product; empty when nothing is.

    >>> gist("我想退货"), gist("is the robot vacuum in stock?"), gist("扫地机器人还有货吗")
    ('', 'robot vacuum', '扫地机器人')
    """
    normal = _FRAME.sub(" ", tokens.normalized(_NOT_PART.sub(" ", text)))
    kept = []
    for piece in re.findall(r"[\u4e00-\u9fff]+|[a-z0-9]+(?:['’-][a-z0-9]+)*", normal):
        if _HAN.match(piece):
            piece = piece.strip("".join(tokens.STOP_HAN))
            kept += [piece] if piece else []
        elif piece.isdigit() or _ORDINAL.fullmatch(piece):
            continue
        elif piece not in tokens.STOP_WORDS and stem(piece) not in _FRAME_WORDS:
            kept.append(piece)
    return " ".join(kept)


def terms(text: str) -> list[str]:
    """Stems of English words, pairs of neighboring Han characters (a character alone stands for itself)."""
    found = []
    for piece in re.findall(r"[\u4e00-\u9fff]+|[a-z]+", tokens.normalized(text)):
        if not _HAN.match(piece):
            if piece not in tokens.STOP_WORDS and len(piece) > 1:
                found.append(stem(piece))
        elif len(piece) == 1:
            found.append(piece)
        else:
            found += [piece[i : i + 2] for i in range(len(piece) - 1)]
    return found


class Catalogue:
    """Products ready to be compared with messages.

    Args:
        vectors: of each text of each item, in their order (``[t for item in items for t in item.texts]``), norm 1; ``(n, d)``.
        others: of :data:`OTHER_GOODS`, ``(m, d)``. Those that the catalogue has itself are left out.
    """

    def __init__(self, items: Sequence[Item], vectors: np.ndarray, others: np.ndarray) -> None:
        import numpy as np

        self.items = tuple(items)
        self._vectors = np.asarray(vectors, np.float32)
        others = np.asarray(others, np.float32)
        new = (others @ self._vectors.T).max(axis=1) < SAME
        han = np.array([bool(_HAN.search(text)) for item in items for text in item.texts])
        self._others = tuple(others[begin::2][new[begin::2]] for begin in (0, 1))  # English, Chinese
        self._han = han.astype(int)
        self._starts = np.cumsum([0, *(len(item.texts) for item in items)])[:-1]
        self._named = [frozenset(t for text in item.names for t in (*terms(text), *_joined(text))) for item in items]
        self._told = [
            named | {t for text in item.about for t in terms(text)}
            for named, item in zip(self._named, items, strict=True)
        ]
        self._holding = Counter(term for told in self._told for term in told)
        self._kinds = [
            frozenset(terms(text)[-1] for text in item.texts[: len(item.names)] if terms(text)) for item in items
        ]
        self._codes = frozenset(code for item in items for code in tokens.codes(item.value))

    def signals(self, said: str, vectors: np.ndarray) -> np.ndarray | None:
        """What speaks for each product. ``None`` where a message says nothing of any.

        Args:
            said: the message.
            vectors: of the message and of its :func:`gist`; ``(2, d)``.

        Shape: ``(len(items), 5)``, in the order of :class:`Weights` after ``bias``.
        """
        import numpy as np

        rest = gist(said)
        if not rest or not frozenset(tokens.codes(rest)) <= self._codes:  # a code that no product has
            return None
        asked = self._asked(rest)
        weights = [math.log((len(self.items) + 1) / (self._holding[term] + 0.5)) for term in asked]
        known = [self._near(term) for term in asked]
        rows = np.zeros((len(self.items), len(SIGNALS)))
        for column, sets in enumerate((self._named, self._told)):
            for row, held in enumerate(sets):
                found = [max((s for t, s in near.items() if t in held), default=0.0) for near in known]
                rows[row, column] = sum(w * f for w, f in zip(weights, found, strict=True)) / (sum(weights) or 1.0)
        vectors = np.asarray(vectors, np.float32)
        apart = [vectors @ others.T for others in self._others]
        usual = np.stack([cosines.mean(axis=1) for cosines in apart], axis=1)
        nearer = vectors @ self._vectors.T - usual[:, self._han]
        nearest = np.maximum.reduceat(nearer, self._starts, axis=1)
        rows[:, 2], rows[:, 3] = 10 * nearest[1], 10 * nearest[0]
        rows[:, 4] = 10 * max(float(cosines[1].max()) - usual[1, i] for i, cosines in enumerate(apart))
        return self._alike(rows, said)

    def shares(self, said: str, vectors: np.ndarray, weights: Weights) -> dict[str, float]:
        """The probability of each product to be the one that is meant; they add up to 1 with that of none."""
        import numpy as np

        rows = self.signals(said, vectors)
        if rows is None:
            return {}
        logits = rows @ np.array([getattr(weights, name) for name in SIGNALS]) + weights.bias
        top = max(0.0, float(logits.max()))
        raised = np.exp(logits - top)
        found = raised / (raised.sum() + math.exp(-top))
        return {item.value: float(share) for item, share in zip(self.items, found, strict=True)}

    def _alike(self, rows: np.ndarray, said: str) -> np.ndarray:
        """``rows`` where products that a message does not tell apart count the same.

        Those are products that its words fit equally well, and products of one kind, of which
        it says nothing that the name of one alone has: "any earbuds left?" is nearer in meaning to "earbuds" than to
        "noise-cancelling earbuds", and means either. What is said to be missing ("without temperature settings") tells
        nothing apart, because meaning and words hear the same without the "without".
        """
        import numpy as np

        best = int(rows[:, :4].sum(axis=1).argmax())
        told = rows[best, 1]
        same = abs(rows[:, 1] - told) < 1e-6 if told > 0 else np.arange(len(rows)) == best
        kin = np.array([bool(kind & self._kinds[best]) for kind in self._kinds])
        others = kin & (np.arange(len(rows)) != best)
        if others.any() and (_WITHOUT.search(said) or rows[best, 0] <= rows[others, 0].max() + 1e-6):
            same = same | kin
        rows[same] = rows[best]
        return rows

    def _asked(self, rest: str) -> list[str]:
        """The terms of a gist; two words that the catalogue writes as one are one."""
        asked, joined = terms(rest), {term for term in _joined(rest) if term in self._holding}
        return [term for term in asked if not any(term in one for one in joined)] + sorted(joined)

    def _near(self, term: str) -> dict[str, float]:
        """The catalogue's terms that ``term`` may be, with how well it is one of them."""
        if term in self._holding:
            return {term: 1.0}
        if len(term) == 1 and not term.isascii():  # 灯 for 露营灯
            return {known: SLIP for known in self._holding if known.endswith(term)}
        return {known: SLIP for known in self._holding if _alike(term, known)}


def _joined(text: str) -> list[str]:
    """Neighboring English words as one: customers write "sound bar" and "powerstation"."""
    words = re.findall(r"[a-z]+", tokens.normalized(text))
    return [stem(a + b) for a, b in pairwise(words)]


# --- what to do with it ----------------------------------------------------------------------


def surely(guesses: Sequence[Mapping[str, Any]], among: Container[str] | None = None) -> str | None:
    """The value of a catalogue that a message surely means. ``among`` leaves none but those possible.

    >>> guesses = [{"value": "TW-5", "share": 0.5}, {"value": "HP-70", "share": 0.48}]
    >>> surely(guesses), surely(guesses, {"HP-70", "KT-210"})
    (None, 'HP-70')
    """
    none = (1 - sum(guess["share"] for guess in guesses)) * (1 if among is None else _NONE_LISTED)
    left = [guess for guess in guesses if among is None or guess["value"] in among]
    whole = none + sum(guess["share"] for guess in left)
    least = MEANT if among is None else _MEANT_LISTED
    best = max(left, key=lambda guess: guess["share"], default=None)
    return str(best["value"]) if best and best["share"] >= least * whole else None


def likeliest(guesses: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The two or three of a catalogue to ask about; none when it is likelier that a message means none of them."""
    if len(guesses) < 2 or sum(guess["share"] for guess in guesses) < ASKED:
        return []
    likely = sum(guess["share"] >= _CANDIDATE for guess in guesses)
    return list(guesses[: min(CANDIDATES, max(2, likely))])


# --- slips ------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def _alike(a: str, b: str) -> bool:
    """Whether one is the other with a slip: an edit or two of a long word, or characters that sound alike."""
    if a.isascii() != b.isascii():
        return False
    if a.isascii():
        shorter = min(len(a), len(b))
        return shorter >= 4 and abs(len(a) - len(b)) <= 2 and edits(a, b) <= (2 if shorter >= 7 else 1)
    return len(a) == len(b) > 1 and all(_sounds(x) & _sounds(y) for x, y in zip(a, b, strict=True))


@lru_cache(maxsize=10_000)
def _sounds(character: str) -> frozenset[str]:
    return frozenset(fuzzy(syllable) for syllable in readings(character)) or frozenset(character)
