"""Text to terms, the same way at indexing and at query time.

A run of Han characters becomes its single characters and its pairs (the only cheap cut that neither misses
two-character words nor needs a dictionary), English words become stems, numbers one canonical form, and a
product code such as ``A123-B`` is kept whole, without its hyphens and in its parts.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from core.retrieval import numerals
from core.retrieval.simplified import SIMPLIFIED
from core.retrieval.stem import stem

VERSION = 2  # raised when tokens change; keyword indexes of another version are rebuilt
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f\u3040-\u30ff\uac00-\ud7af"
_PIECE = re.compile(rf"[{_HAN}]+|\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[^\W_{_HAN}]+(?:[-_./'’][^\W_{_HAN}]+)*")
_HAN_RUN = re.compile(f"[{_HAN}]")
_INNER = re.compile(r"[-_./'’]")
_DIGIT, _LETTER = re.compile(r"\d"), re.compile("[A-Za-z]")
_LETTERS_DIGITS = re.compile(r"[a-z]+|\d+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?$")
_TRADITIONAL = re.compile(f"[{re.escape(''.join(map(chr, SIMPLIFIED)))}]")
_WIDE = tuple((wide, unicodedata.normalize("NFKC", wide)) for wide in "，：；！？（）～")
_UNUSUAL = re.compile(
    "[^\\x00-\\x7f\u4e00-\u9fff。、“”‘’《》【】—–·×，：；！？（）～]"
)  # whatever else NFKC may change
_MARKS = re.compile(r"[\u0300-\u036f]")
# The name of a product in running text. A space in it only after letters that make no word: "in 30 days" has none.
PRODUCT = re.compile(
    r"(?<![A-Za-z0-9-])(?:[A-Za-z]{1,5}-?|(?!(?i:usd|gbp|eur|cny|rmb|us|uk|eu|am|pm|no|vs|mr|mrs|dr|st) )(?:[A-Z]{2,4}|[b-df-hj-np-tv-xz]{2,4}) )"
    r"\d{1,4}(?:[ -]?(?i:pro|max|plus|mini|lite)(?![A-Za-z]))?(?![A-Za-z0-9])"
)

_STOP = """a an the this that these those and or but if then than so as of at by for from in into on onto to with without
    about over under is are was were be been being am do does did done doing have has had having can could may might
    must shall should will would i me my mine we us our ours you your yours he him his she her it its they them their
    there here what which who whom whose when where why how no not nor only just also any some all each both very too
    please tell know want need get got s t d ll re ve m"""
STOP_WORDS = frozenset(_STOP.split())
_STOP_STEMS = STOP_WORDS | {stem(word) for word in STOP_WORDS}
_ASKING_STEMS = {
    stem(word)
    for word in ["how", "what", "when", "where", "which", "who", "why", "can", "could", "may", "must", "should"]
}
STOP_HAN = frozenset(
    "的了吗呢吧啊呀么嘛是在有和与及或就都也还又很把被对为于以之其此这那哪谁我你您他她它们请想要能会可得着过给让"
)
QUESTION_HAN = (
    "什么时候", "为什么", "怎么样", "怎么办", "怎么", "怎样", "如何", "什么", "多少", "多久", "多长", "多大", "多远",
    "哪些", "哪里", "哪个", "哪种", "几个", "是不是", "能不能", "可不可以", "有没有", "会不会", "要不要", "是否", "可以",
    "能否", "请问", "我想", "一下", "需要",
)  # fmt: skip


def normalized(text: str) -> str:
    """NFKC, lower case, Traditional to Simplified. Lengths may change: never use it for offsets."""
    if text.isascii():  # which has nothing else to normalize
        return text.lower()
    if _UNUSUAL.search(text):
        text = unicodedata.normalize("NFKC", text)
    else:  # most Chinese: NFKC changes nothing but the marks, and looking for them is ten times as fast
        for wide, narrow in _WIDE:
            text = text.replace(wide, narrow)
    text = text.lower()
    return text.translate(SIMPLIFIED) if _TRADITIONAL.search(text) else text


def tokens(text: str) -> list[str]:
    """All terms of ``text`` in order, repeated as often as they occur.

    >>> tokens("KT-210 水壶, returned 七天")
    ['kt-210', 'kt210', 'kt', '210', '水', '水壶', '壶', 'return', '七', '七天', '天', '7']
    """
    return [term for piece in pieces(normalized(text)) for term in _terms(piece)]


@lru_cache(maxsize=256)
def _asked(text: str) -> tuple[str, tuple[str, ...]]:
    """A question, normalised, and its pieces: asked for again by each kind of its terms."""
    text = normalized(text)
    return text, tuple(pieces(text))


def pieces(text: str) -> list[str]:
    """Words, numbers, codes and Han runs of already normalised ``text``."""
    return _PIECE.findall(text)


def query_terms(text: str) -> list[str]:
    """Distinct terms of a question without those that say nothing (unless nothing else is left).

    >>> query_terms("请问几天内可以退货？")
    ['几', '几天', '天', '天内', '内', '退', '退货', '货']
    """
    return list(_sorted_out(text)[0])


def asking_terms(text: str) -> list[str]:
    """What :func:`query_terms` leaves out although it tells much where documents ask, too: how or why, may or must.

    >>> asking_terms("怎么退货"), asking_terms("Why was the order cancelled?")
    (['怎', '怎么', '么', '么退'], ['why'])
    """
    return list(_sorted_out(text)[1])


@lru_cache(maxsize=256)  # asked again for each collection and each leg
def _sorted_out(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """:func:`query_terms` and :func:`asking_terms`."""
    text, there = _asked(text)
    plain = text.isascii()
    terms_in = _spelled_terms if plain else _terms
    written = dict.fromkeys([term for piece in there for term in terms_in(piece)])
    everything = written | {m[1] + m[2]: None for m in _SPACED_LOWER.finditer(text)}  # kt 210 finds KT-210
    if plain:
        kept = [t for t in everything if t not in _STOP_STEMS] or list(everything)
        return tuple(kept), tuple([t for t in written if t in _ASKING_STEMS and t not in kept])
    said = {term for piece in pieces(without_question_words(text)) for term in _terms(piece)}
    kept = [t for t in everything if (t in said or t.isascii()) and not is_stop(t)] or list(everything)
    left = written.keys() - kept
    return tuple(kept), tuple(t for t in written if t in left and (t in _ASKING_STEMS or not t.isascii()))


def without_question_words(text: str) -> str:
    """``text`` (normalised) with Chinese question words blanked: 怎么退货 becomes `` 退货``."""
    for word in QUESTION_HAN:
        text = text.replace(word, " ")
    return text


def content_terms(text: str) -> list[str]:
    """Terms that carry meaning on their own: as ``query_terms``, but Han pairs without their single characters.

    A Han run of one character stays. This is what coverage is counted over.
    """
    kept: dict[str, None] = {}
    text, there = _asked(text)
    for piece in there if text.isascii() else pieces(without_question_words(text)):
        if not piece.isascii() and _HAN_RUN.match(piece):
            for run in re.split(f"[{''.join(STOP_HAN)}]", piece):
                kept.update(dict.fromkeys([run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]))
        else:
            for term in (_INNER.sub("", piece),) if is_code(piece) else _terms(piece):
                if not is_stop(term):
                    kept[term] = None
    kept.pop("", None)
    return list(kept)


def is_stop(term: str) -> bool:
    return term in _STOP_STEMS or (not term.isascii() and STOP_HAN.issuperset(term))


def is_code(piece: str) -> bool:
    """A product code or model name: letters and digits in one piece, such as ``kt-210`` or ``ps600``."""
    return not piece.isalpha() and _DIGIT.search(piece) is not None and _LETTER.search(piece) is not None


def codes(text: str) -> set[str]:
    """The product codes of ``text`` without their hyphens; ``KT 210`` counts as ``kt210``.

    >>> sorted(codes("Does the KT-210 or TW-5 Pro come in A123-B?"))
    ['a123b', 'kt210', 'tw5']
    """
    written, text = text, normalized(text)
    found = {_INNER.sub("", piece) for piece in pieces(text) if is_code(piece)}
    found.update(f"{m[1]}{m[2]}".lower() for m in _SPACED_CODE.finditer(unicodedata.normalize("NFKC", written)))
    return {code for code in found if not _MEASURED.fullmatch(code)}


def names(text: str) -> list[str]:
    """Words of ``text`` that are written like names: with a capital where no sentence begins, or Latin among Chinese.

    Codes are none, nor is anything in a text that is all capitals.

    >>> names("Does the SB-120 do Dolby Atmos?"), names("TW-5 Pro 支持 LDAC 吗"), names("Is it BPA free")
    (['Dolby', 'Atmos'], ['Pro', 'LDAC'], ['BPA'])
    """
    chinese = _HAN_RUN.search(text) is not None
    found = [
        m for m in _LATIN.finditer(text) if chinese or (m[0] != m[0].lower() and m[0][:2] not in ("I", "I'", "I’"))
    ]
    if not chinese and text.isupper():
        return []
    return [m[0] for m in found if chinese or m[0].isupper() or not _BEGINS.search(text, 0, m.start())]


_LATIN = re.compile(r"(?<![\w-])[A-Za-z][A-Za-z'’]+(?![\w-]*\d)(?![A-Za-z'’])")
_BEGINS = re.compile(r"(?:^|[.!?:])[\s\"“(]*$")
_SPACED_LOWER = re.compile(r"\b([a-z]{1,4}) (\d{1,4})\b")
_SPACED_CODE = re.compile(r"\b(?!USD|GBP|EUR|CNY|RMB|US|UK|EU|AM|PM)([A-Z]{2,4}) (\d{2,4})\b")
# 30min, 5v, 10th: a number with its unit is not a product.
_MEASURED = re.compile(
    r"\d+(?:st|nd|rd|th|s|m|h|d|min|mins|v|w|a|l|g|kg|km|cm|mm|ml|gb|mb|tb|hz|khz|ghz|mah|wh|x|am|pm|k|in|ft|lb|oz|pcs|fold|days?|hours?|years?|months?)"
)


def _terms(piece: str) -> list[str] | tuple[str, ...]:
    return _han_terms(piece) if not piece.isascii() and _HAN_RUN.match(piece) else _spelled_terms(piece)


@lru_cache(maxsize=16_384)
def _spelled_terms(piece: str) -> tuple[str, ...]:
    """Of a word, a number or a code: most of a text are few of these, again and again."""
    if piece.isascii() and piece.isalpha():  # nearly all, and the rare ones are not remembered
        return (_word(piece),) if piece != "s" else ()
    if _NUMBER.match(piece.replace(",", "")):
        return (numerals.canonical(float(piece.replace(",", ""))),)
    piece = _MARKS.sub("", unicodedata.normalize("NFD", piece))
    if is_code(piece):
        joined = _INNER.sub("", piece)
        parts = [part for part in _LETTERS_DIGITS.findall(piece) if part != piece]
        return tuple(dict.fromkeys([piece, joined, *parts]))
    words = [word for word in _INNER.split(piece) if word and word != "s"]
    found = [_word(word) for word in words]
    if len(words) > 1 and "'" not in piece and "’" not in piece:
        found.insert(0, piece)
    return tuple(found)


def _word(word: str) -> str:
    if word in numerals.WORDS and word != "one":
        return str(numerals.WORDS[word])
    return stem(word) if word.isascii() and word.isalpha() else word


def _han_terms(run: str) -> list[str]:
    found: list[str] = []
    for i, character in enumerate(run):
        found.append(character)
        if i + 1 < len(run):
            found.append(run[i : i + 2])
    if not _HAN_NUMERAL.isdisjoint(run):
        found.extend(sorted(numerals.numbers(run)))
    return found


_HAN_NUMERAL = frozenset("零〇一二两三四五六七八九十百千万")
