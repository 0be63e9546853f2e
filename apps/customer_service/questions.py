"""What one message asks: "运费多少？能开发票吗？" asks two things, "Is it waterproof and how deep?" one.

A message is divided where both sides ask in words of their own: between sentences, after "and" or 另外, and in Chinese
at a comma where one side asks for another kind of thing than the other. Where in doubt it stays whole: an answer to all of it is
less wrong than one to half a question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from apps.customer_service.dialog import points_back, small_talk, standalone, without_courtesy
from core.retrieval import tokens

LONG, WINDOW = 1000, 120  # characters of a message that is divided; how far beside a comma is looked
MOST = 5  # questions of one message; what comes after belongs to the last
_ENDS = re.compile(r"(?<=[?？!！。;；\n])|(?<=\.)(?=\s)")
_COMMAS = re.compile(r"[,，]\s*")
_MARKS = " \t\n,，.。!！?？;；:：、~～…"
_HAN = re.compile(r"[\u4e00-\u9fff]")

# --- Chinese: kinds of what is asked, an auxiliary that begins a question, what asks nothing of its own
_KINDS = {
    "how long": r"多久|多长时间|(?<![好这那过])几[天日年个周]|多少[天年]",
    "when": r"什么时候|几点|几号|何时|哪[天年]",
    "how much": r"多少|(?<![好这那过])几(?![天日年个周点号乎])|多[大高宽重深远快]",
    "which": r"哪[个款种]",
    "where": r"哪里|哪儿|哪(?![里儿些天年]|怕)|在哪",
    "why": r"为什么|为何|怎么(?:还|会|没|不|这么)",
    "how": r"怎么|怎样|如何|咋",
    "what": r"什么|哪些|谁|啥",
    "whether": r"吗|么[?？]?$|能不能|可不可以|可以不可以|是不是|有没有|会不会|要不要|行不行|好不好|包不包|([\u4e00-\u9fff])不\1|呢[?？]?$",
}
_BY_KIND = {kind: re.compile(words) for kind, words in _KINDS.items()}
_FIGURES = frozenset({"how long", "when", "how much", "where"})
_MODAL = re.compile(
    r"能不能|可不可以|是不是|有没有|会不会|要不要|可以|需要|能|会|要|有|支持|怎么|如何|多|什么|哪|几|([\u4e00-\u9fff])不\1"
)
_NO_SUBJECT = re.compile(
    r"^(?:一般|大概|大约|还|那|也|都|我|你们?|您|它|他们|这个?|那个?|请问|到底|该|应该|是|又|再)*$"
)
_ASKED_ABOUT = re.compile(
    r"多少钱?|多久|几[天日年个周点号]|什么时候|怎么|如何|哪里|哪[个款]?|最多|最少|最快|一般|大概|大约|还|再|能|可以|会|要|加|的话|吗|呢|是|有|了"
)
_GUESS = re.compile(r"^(?:是(?!不是)|难道|不会是|莫非)|^\S{0,4}就不(?:行|能|可以)")
_REMEDY = re.compile(r"(?:那?我?(?:该|应该|要)?)(?:怎么|如何)(?:办|解决|处理|弄)(?:呢|啊)?")
_RHETORICAL = re.compile(r"^(?:你们|您|您们)?(?:不是|难道)")
_CONDITION = re.compile(r"^(?:如果|要是|假如|万一|若)|^(?:if|when|once|suppose|in case)\b", re.IGNORECASE)

# --- English: inversion, or a question word with a verb of its own
_AUX = r"(?:is|are|was|were|do|does|did|can|could|will|would|shall|should|may|might|(?:has|have|had)(?= (?:i|you|we|they|it|he|she|my|your|the|anyone|somebody|[A-Z]+\d)))"
_ONE = r"(?:i|you|we|they|it|he|she|there|this|that)\b"
_WORD = rf"(?:how|what|when|where|which|who|whose|why)\b(?! {_ONE})"
_ASKS_EN = re.compile(
    rf"^(?:(?:if|when|once) [^?]{{3,60}}? )?(?:if (?:not|so),? )?"
    rf"(?:{_WORD}(?:(?! {_ONE})[^,]){{0,40}}? {_AUX}\b|(?:what|where|who|how|when)['’]?s\b|(?:which|what) (?!{_ONE})\w+ [a-z]+s \w+|{_AUX} (?!(?:not|like)\b)\w+|{_AUX}n['’]t {_ONE}|am i\b|who [a-z]+s? \w+|what (?:happens|if|about)\b|how about\b)",
    re.IGNORECASE,
)
# After "and" in a statement: "it arrived and is broken", "I like it and will keep it".
_STATES = re.compile(rf"^(?!{_AUX} {_ONE}){_AUX}\b", re.IGNORECASE)
_WHY_EN = re.compile(r"^why\b", re.IGNORECASE)
_NOTHING = """am are is was were be been do does did done can could will would shall should has have had may might get got go
    going goes on in at to for of with about from by up out so not no now then still please just really also too yet
    there here how what when where which who whose why if or and but the a an any some i you we they it he she me my
    mine your our us them their its this that these those one ones wrong right happening happened happen help tell let
    explain know check look fix fixed sort sorted resolve resolved problem matter reason broke broken normal possible okay ok
    sure actually find elaborate assist deal hold someone anyone something anything else i'm i've it's that's what's can't don't didn't isn't"""
_SAYS_NOTHING = frozenset(_NOTHING.split())
_FIGURE_EN = re.compile(
    r"^(?:how (?!do\b|can\b|is\b|to\b|come\b|could\b|should\b|would\b|will\b|did\b)\w+|where)\b", re.IGNORECASE
)
_REMEDY_EN = re.compile(
    r"(?:what (?:should|can|do|must) i do(?: (?:first|next|now|then|about (?:it|this|that)))?|how (?:can|do|should) i (?:fix|stop|solve|prevent|repair|avoid)(?: (?:it|this|that))?|is (?:it|this|that) (?:broken|normal|ok|okay|possible|right)|what now)",
    re.IGNORECASE,
)
_TOPIC = re.compile(
    r"(?:那么?|请问)?[,，\s]*[^,，。?？]{1,14}呢|(?:(?:and|so|ok|okay)[,\s]+)?(?:what|how) about [^,?]{1,40}",
    re.IGNORECASE,
)
_LEADS_IN = re.compile(
    r"(?:(?:can|could|would) you (?:please )?help(?: me)?(?: (?:out|please|with something))?|can i ask(?: you)? (?:something|a question|two things)|do you have a (?:minute|moment)|is (?:anyone|anybody|someone) (?:there|here)"
    r"|(?:请问)?(?:有?人)?在(?:吗|不在|么)|请?问?(?:有没有人|有人吗|人在吗)|能帮(?:我|个)?(?:一下|忙)?吗|可以(?:问|咨询)(?:一?下|个问题|几个问题)?吗|你知道吗|请问一下|想问一?下)",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"(?:可以|行|好|对|是|能|成|是这样|没错|真的|有)(?:的)?(?:吗|吧|么|不)|(?:可以|行|好|对|是)不(?:可以|行|好|对|是)|(?:is that |that'?s )?(?:right|correct|ok|okay|possible|so|true)|isn'?t it|don'?t you|can i|really|please",
    re.IGNORECASE,
)
_JOINS_ON = re.compile(
    r"^(?:还是|或者?是?|就是|也就是|我是说|我的意思|换句话|即)|^(?:or|i mean|that is|meaning|i\.e\.)\b", re.IGNORECASE
)
_CONNECTIVE = re.compile(
    r"^(?:对了|另外|还有(?!吗|货|没有|多少|几|人)|再问一?下|顺便(?:再?问)?(?:一?下)?|以及|同时|那么?(?=[，,])|然后)(?:[，,、\s]*(?:再?(?:想)?问)?(?:一?下)?)?[，,、：:\s]*"
    r"|^(?:(?:and|also|plus|then|besides|another (?:thing|question)|by the way|btw|one more (?:thing|question)|secondly|furthermore)\b[,:\s]*)+",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"^(?:(?:i have )?(?:two|three|2|3|a few|a couple of|some|several) questions?|(?:我)?(?:有|问)?(?:两|三|几|2|3)个?问题)[:：,，.。\s]+",
    re.IGNORECASE,
)
# Where a sentence may end within itself: a connective, or an English "and".
_WITHIN = re.compile(
    r"[,，、;；]?\s*(?=(?:另外|还有[，,、]|顺便|再问一?下|以及|对了))|[,，、;；]\s*(?=还有(?!吗|货|没有|多少|几|人))|,?\s+(?=(?:and|also|plus)\s)|,\s+(?=(?:by the way|btw)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A question or a statement; ``wish``: one to be dealt with by itself. ``link``: the "and" or 另外 that stood before it."""

    text: str
    asks: bool
    link: str = ""
    wish: bool = False


def divided(text: str) -> list[str]:
    """The questions of a message, in order, each with the statements around it; one that asks one thing is whole.

    >>> divided("运费多少？另外能开发票吗？"), divided("Do you ship to Canada and how long does it take?")
    (['运费多少？', '能开发票吗？'], ['Do you ship to Canada', 'how long does it take?'])
    >>> divided("Is it waterproof and how deep?"), divided("KT-210 和 KT-310 有什么区别？")
    (['Is it waterproof and how deep?'], ['KT-210 和 KT-310 有什么区别？'])
    """
    parts = [piece.text for piece in joined(pieces(text))]
    return parts if len(parts) > 1 else [text]


def joined(found: Sequence[Piece]) -> list[Piece]:
    """``found`` with statements joined to what stands before them, else to what comes after; wishes stay.

    >>> cancel, asks = pieces("Cancel it. Do you ship to Canada?")
    >>> [piece.text for piece in joined([replace(cancel, wish=True), asks])]
    ['Cancel it.', 'Do you ship to Canada?']
    """
    kept: list[Piece] = []
    for piece in found:
        last = kept[-1] if kept else None
        if last is None or piece.wish or (last.wish and piece.asks) or (last.asks and _apart(last.text, piece)):
            kept.append(piece)
        else:
            kept[-1] = replace(last, text=_with(last.text, piece.link + piece.text), asks=last.asks or piece.asks)
    kept = kept[: MOST - 1] + _as_one(kept[MOST - 1 :])
    return [replace(piece, text=piece.text.strip(" \t\n,，、;；")) for piece in kept]


def pieces(text: str) -> list[Piece]:
    """The questions of a message and the statements that stand between them; a long one is a story, and whole."""
    if len(text) > LONG:
        return [Piece(text, asks(text[-WINDOW:]))]
    found: list[Piece] = []
    for sentence in filter(str.strip, _ENDS.split(_BEFORE.sub("", without_courtesy(text)))):
        for said in _pieces(sentence):
            last = found[-1] if found else None
            bare = _CONNECTIVE.sub("", said.strip())
            link = said.strip().removesuffix(bare)
            states = last and link and not last.asks and not _ended(last.text) and _STATES.match(bare)
            piece = Piece(bare, not states and asks(said), link)
            if last is None or _begins(last, piece):
                found.append(piece)
            else:
                found[-1] = replace(last, text=_with(last.text, said), asks=last.asks or piece.asks)
    if len(found) > 1 and _is_topic(found[0]) and not _is_topic(found[1]):
        found[0] = replace(found[0], asks=False)
    return found


def _is_topic(piece: Piece) -> bool:
    """Whether a piece only says what the question after it is about: "那 KT-310 呢？保温吗？"."""
    bare = piece.text.strip(_MARKS)
    return bool(_TOPIC.fullmatch(bare)) and not _kinds(bare.removesuffix("呢"))


def _as_one(rest: Sequence[Piece]) -> list[Piece]:
    return [Piece(" ".join(piece.text for piece in rest), True)] if rest else []


def _begins(last: Piece, piece: Piece) -> bool:
    """Whether ``piece`` is one of its own: another question, or a sentence that asks nothing, or what comes after one."""
    if last.asks and piece.asks:
        return _apart(last.text, piece)
    return _ended(last.text) or (piece.asks and bool(piece.link))


def with_subject(question: str, before: Sequence[str]) -> str:
    """``question`` with the product that the one before it in the same message names, where it is about that without a name.

    >>> with_subject("多少钱？", ["KT-210 保修多久"]), with_subject("能开发票吗？", ["KT-210 保修多久"])
    ('KT-210 多少钱？', '能开发票吗？')
    >>> with_subject("HP-70呢？", ["KT-210有货吗？"])
    'HP-70有货吗？'
    >>> with_subject("how much is it?", ["How long is the warranty on the KT-310"])
    'KT-310 how much is it?'
    """
    if before and not standalone(question, before[-1:]).endswith(question):  # nothing but another product
        return standalone(question, before[-1:])
    named = [set(tokens.PRODUCT.findall(text)) for text in (*before, question)]
    if not before or named[-1] or len(named[-2]) != 1 or not (points_back(question) or _is_bare(question)):
        return question
    return f"{named[-2].pop()} {question}"


def asks(text: str) -> bool:
    """Whether a clause asks in words of its own.

    >>> asks("how long is the warranty"), asks("how deep"), asks("保修多久"), asks("还是一直加热")
    (True, False, True, False)
    """
    clause = _CONNECTIVE.sub("", _last(text).strip(_MARKS)).strip(_MARKS)
    if not clause or _JOINS_ON.match(clause) or _TAG.fullmatch(clause) or _LEADS_IN.fullmatch(clause):
        return False
    if small_talk(clause):
        return False
    if _HAN.search(clause):
        return bool(_kinds(clause)) and not _RHETORICAL.match(clause)
    says = [word for word in re.findall(r"[\w'’-]+", clause.lower()) if word.replace("’", "'") not in _SAYS_NOTHING]
    return bool(_ASKS_EN.search(clause)) and bool(len(clause.split()) >= 3 and (says or _FIGURE_EN.match(clause)))


def _last(text: str) -> str:
    """The last sentence of a part, by which it asks."""
    sentences = [sentence for sentence in _ENDS.split(text) if sentence.strip(_MARKS)]
    asking = [sentence for sentence in sentences if sentence.rstrip().endswith(("?", "？"))]
    return (asking or sentences or [""])[-1]


def _pieces(sentence: str) -> list[str]:
    """A sentence at the places within it where another question may begin."""
    within = list(filter(str.strip, _WITHIN.split(sentence)))
    found: list[str] = []
    for piece, after in zip(within, [*within[1:], ""], strict=True):
        found += _of_a_list(piece) if after.lower().startswith("and ") and asks(after) else _at_commas(piece)
    return found


def _of_a_list(piece: str) -> list[str]:
    """What comes before the "and" of "is it free, do you collect it, and can I hand it in?"."""
    commas = [0, *(comma.end() for comma in _COMMAS.finditer(piece)), len(piece)]
    clauses = [piece[start:end] for start, end in pairwise(commas)]
    return clauses if len(clauses) > 1 and all(map(asks, clauses)) else [piece]


def _at_commas(piece: str) -> list[str]:
    """A Chinese piece where one side of a comma asks for another kind of thing than the other."""
    if not _HAN.search(piece) or _CONDITION.match(piece.strip()):
        return [piece]
    cut, found = 0, []
    for comma in _COMMAS.finditer(piece):
        left = piece[max(cut, comma.start() - WINDOW) : comma.start()]
        right = piece[comma.end() : comma.end() + WINDOW]
        if asks(left) and asks(right) and _of_other_kinds(left, _COMMAS.split(right)[0]):
            found.append(piece[cut : comma.start()])
            cut = comma.end()
    return [*found, piece[cut:]]


def _of_other_kinds(left: str, right: str) -> bool:
    """Whether two clauses ask for different things: each a figure, place or time of its own, or of a subject of its own."""
    first, second = _kinds(left), _kinds(right)
    if not second or "why" in first:
        return False
    if (found := _MODAL.search(right)) and not _NO_SUBJECT.match(right[: found.start()].strip()):
        return True
    return first != second and bool(first & _FIGURES or (second & _FIGURES and not _is_bare(right)))


def _kinds(clause: str) -> frozenset[str]:
    """What kinds of thing a Chinese clause asks for; of those that overlap the first counts."""
    found = [kind for kind, words in _BY_KIND.items() if words.search(clause)]
    return frozenset(found[:1])


def _apart(left: str, right: Piece) -> bool:
    """Whether ``right`` asks something else than ``left``, which asks."""
    bare = right.text.strip(_MARKS)
    if not right.asks or _GUESS.match(bare) or _REMEDY.fullmatch(bare) or _REMEDY_EN.fullmatch(bare):
        return False
    if _asks_why(left) and _asks_why(bare):
        return False
    if not right.link and (_asks_why(left) or _goes_into(_last(left), bare)):
        return False
    return _ended(left) or bool(right.link) or bool(_HAN.search(bare)) or _begins_anew(left, bare)


def _ended(left: str) -> bool:
    return left.rstrip()[-1:] in "?？!！。.;；" or "\n" in left[-2:]


def _asks_why(left: str) -> bool:
    """Whoever asks why goes on with guesses: "Why is it silent? Did I break it?"."""
    clause = _CONNECTIVE.sub("", _last(left).strip(_MARKS))
    return bool(_WHY_EN.match(clause)) or "why" in _kinds(clause)


def _goes_into(left: str, right: str) -> bool:
    """Whether ``right`` has no word for what it asks about, and ``left`` is answered by yes or no: "还能退吗？最多几天"."""
    if not _HAN.search(right) or "whether" not in _kinds(left):
        return False
    return _is_bare(right)


def _is_bare(question: str) -> bool:
    """Whether a Chinese question has no word for what it is about: 多少钱？"""
    left = _ASKED_ABOUT.sub("", question)
    return bool(_HAN.search(question)) and len(_HAN.findall(left)) < 2 and not re.search(r"[A-Za-z]", question)


def _begins_anew(left: str, right: str) -> bool:
    return left.rstrip().endswith(",") and bool(_ASKS_EN.match(right))


def _with(left: str, right: str) -> str:
    gap = (
        ""
        if left[-1:].isspace() or right[:1].isspace() or right[:1] in ",，"
        else ("" if _HAN.search(left[-2:]) else " ")
    )
    return f"{left}{gap}{right}"
