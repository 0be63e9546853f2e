"""Whether a claim denies what its source affirms, or the other way round, in whatever words either does it.

A denial is laid beside the clauses of the other text that say the same matter. A clause that is said in other words
often turns round twice (not open for closed, nobody may without for everybody must), so that a denial on one side only
counts where the rest is said alike and nothing on the other side has the force of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from core.retrieval import polarity, tokens
from core.retrieval.measures import plain, quantities
from core.retrieval.synonyms import Unit, matter, said

_HALF = 0.5  # of what is needless, where it is said to be needed
_PARTLY = 0.25  # a character of two that both have
_THIRD = 0.3  # of a list of exceptions
_NEARLY_ALL, _COPIED = 0.75, 0.85  # of it
_ALIKE = 0.62  # of the matter of a denied clause, that the other text says
_BETTER = 0.15  # by so much the affirming clause must lie nearer than any that denies

# What has the force of a denial without being one; the words of matter among them only where the other text has them not.
_PLAINLY = re.compile(
    r"不|没|未|无(?!线|论)|勿|莫|非(?=[^常洲])|别(?=[再要用])|难|才|只|仅|否则"
    r"|\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|unless|except\w*|only|until|instead|rather|otherwise|hardly|rarely|seldom|barely|solely)\b|n['’]t\b"
)
_BY_WORD = re.compile(
    r"禁|免|停|中断|拒|否|缺|除|败|关闭|闭馆|谢绝|杜绝|忌|远离|以外|之外|失去|丢|空|落选|错过|过期|逾期|作废|失效|取消|驳回"
    r"|\b(?:exclud|prohibit|forbid|forbad|bann|\b(?:ban|bans)\b|skip|refus|reject|deny|deni|lack|fail|stop|ceas|cancel|unable|lost|lose|losing|miss(?:ed|es|ing)?\b|empty|forfeit|laps|avoid|void|exempt|expir|clos|shut|abandon|suspend|interrupt|disrupt|outage|withh|\w+-free\b|turned down|voted? down|away from|out of|(?:keep|kept|stay|steer)\w* (?:\w+ ){0,4}?(?:off|away|out|clear)\b|(?:fix|remov|cur)(?:es|ed|ing)? (?:the|a|this) (?:fault|bug|problem|error|issue)|too (?:late|early|small|young|old|large|heavy) (?:to|for)|leav(?:e|es|ing) (?:\w+ ){1,5}(?:in|at|outside|behind|with) |left (?:behind|outside|at home)|un(?!der|i|til|cle)\w{4,}"
    r"|(?:im|in|ir|il)(?:possible|proper|permissible|eligible|valid|active|complete|sufficient|correct|effective|regular|relevant|legal|accessible|appropriate)|dis(?:allow|agree|approv|continu|connect|qualif|abl)|non\w{4,}|\w{3,}less\b)"
)
_FORMS = dict.fromkeys(("lost", "lose", "losing"), ("lost", "lose", "losing", "loss"))
# Verbs that say little without what follows them.
_SAYS_LITTLE = re.compile(
    r"享受|提供|办理|进行|使用|包含|含有|具有|拥有|存在|得到|获得|provid|have|get|give|make|take|offer|contain|includ|us|do"
)
_ALLOWED = re.compile(
    r"可以|允许|准许|能够|(?<!不)[可能](?=[在用放进带拿吃喝坐乘买])|\b(?:allowed|permitted|welcome|may|can|free to)\b"
)
_NEEDED = re.compile(
    r"须|必须|得先|先[要须得]|应当?|需要?|才|方可|方能|仅限|只有|只能|只可|凭|持|除非|未经|征得|经[^，,。；;]{1,12}(?:同意|批准|许可)|\b(?:must|shall|needs?|requir\w*|only|unless|until|have to|has to|had to|need to|oblig\w*|without)\b"
)
_NOT_NEEDED = re.compile(
    r"无[须需]|毋须|不(?:必|需要?|须|作要求)|(?<![期久])不用(?![时的])|无须|\b(?:need not|needn['’]t|(?:do|does|did)(?: not|n['’]t) (?:need|have) to|not (?:need|require)\w*|no need|no [^.;]{1,40} (?:is |are )?(?:needed|required|necessary)|without (?:having|needing)|exempt\w*|optional|voluntary)\b"
)
_WITHOUT = re.compile(
    r"(?:没有?|未经?|无[须需]?|不(?:必|用|需要?|须))[^，,。；;]{1,16}[,，]?[^，,。；;]{0,12}(?:可以|即可|也[可能会]|照样|同样|就[可能]|仍[可能])"
    r"|\b(?:may|can|could|able to|free to|allowed to)\b[^.;]{0,80}\bwithout\b|\bwithout\b[^.;]{0,60}\b(?:may|can|could|able to|allowed to)\b"
)
_NOT = re.compile(r"\b(?:not|never|nobody)\b|n['’]t\b")
_LACKING = re.compile(r"\bwithout (?:having |needing |asking |getting )?((?:\S+ ?){1,6})")
_TWICE = re.compile(
    r"(?:没有?|未|无|不|非)[^，,。；;]{1,20}[,，]?[^，,。；;]{0,10}(?:不|禁|拒|无法|别|勿)|除非[^。；]{1,30}(?:不|禁|勿)|(?:不|禁|勿)[^。；]{1,30}除非|前[^，,。；;]{0,8}(?:不得|不能|不可)"
    r"|\b(?:not|no|never|nobody|nothing|cannot|none)\b[^.;]{1,120}\b(?:unless|without|until|except|other than)\b|\b(?:no|not|never|nobody|cannot|none)\b[^.;]{1,60}\b(?:alone|unaccompanied|unattended|unsupervised)\b|\b(?:unless|without|until|except)\b[^.;]{1,80}\b(?:not|no|never|cannot)\b|n['’]t\b[^.;]{1,100}\b(?:unless|without|until|except)\b"
)
_OBLIGED = re.compile(_NEEDED.pattern + r"|(?<![只主重])要(?![是么闻点求])|先|就不")
_ELLIPTIC = re.compile(
    r"(?:but |nor |and )?(?:not|nor|no|never)\b(?! (?:be|have|do)\b)|也不|更不|但不"
)  # names but not passwords
_EITHER = re.compile(r"或|\bor\b")
_CONDITION = re.compile(
    r"^(?:如果?|若|要是|凡是?)?(?:没有?|未|无)[^，,。；;]{1,10}(?:的|者|时|也)|^(?:without|unless|if)\b|\bnot (?:need|requir)\w+ (?:if|when|where)\b",
    re.IGNORECASE,
)  # a denial that is a condition, or what a condition makes needless, denies nothing of the source
_ALREADY = re.compile(
    r"已经?(?![婚知往故])|早已|\balready\b|\bhas now\b|\bby now\b|[\u4e00-\u9fff](?<![经通超])过(?=[了的，。]|$|[\u4e00-\u9fff])(?![程去度期户量])",
    re.IGNORECASE,
)
_NOT_YET = re.compile(r"尚未|还没|仍未|未曾|从未|至今未|\byet to\b|\bnot (?:\w+ )?yet\b|\bnever\b|\bha(?:s|ve) not\b")
_DENIALS = "排除|放弃|拒绝|取消|停止|中断|否认|失去|免除|撤销|终止|推迟|关闭|reject|refus|den(?:y|ie)|cancel|fail|stop|suspend|abandon|exclud|withdr|rul(?:e|ed) out|delay|postpon|clos"
_DENIAL = re.compile(_DENIALS)
_DENIED_DENIAL = re.compile(rf"(?:没有?|未|不|(?:\b(?:not|never)|n['’]t)\s(?:be |been )?)(?:能|予|会|曾)?({_DENIALS})")
_EXCEPTS = re.compile(r"除外|以外|之外|不包括|\bexcept|\bother than\b|\bapart from\b|\bexclud")
_FOLLOWS = re.compile(r"^[^，,。；;]{0,8}(?:就|则|便(?!利|宜|捷|于)|即可|即[告为视])")
_CONTRAST = re.compile(
    r"不是[^。；]{1,30}而是|并非[^。；]{1,30}而是|而(?:不是|非)|\b(?:not|n['’]t)\b[^.;]{1,60}\bbut\b|\brather than\b|\binstead of\b"
)


def otherwise(claim: str, said_in: Sequence[str], source: Sequence[Sequence[str]]) -> bool:
    """Whether a clause of ``claim`` is denied that one of ``source`` affirms, or the other way round.

    Args:
        said_in: the clauses of the claim.
        source: the clauses of each sentence.

    >>> otherwise("咖啡机的机身可以放进洗碗机", ["咖啡机的机身可以放进洗碗机"], [["水箱可拆卸清洗", "但机身不可浸水", "也不可放入洗碗机"]])
    True
    >>> otherwise("The pool is never open", ["The pool is never open"], [["The pool is open at noon"]])
    True
    >>> otherwise("It is not open", ["It is not open"], [["It is closed"]])
    False
    """
    parts = [_Part(sentence, n, claim) for sentence in source for n in range(len(sentence))]
    return (
        _denied(claim, said_in, parts)
        or _affirmed(claim, parts)
        or _let(claim, parts)
        or any(_affirmed(clause, parts, least=_NEARLY_ALL) for clause in said_in if len(said_in) > 1)
        or _once_more(claim, parts)
        or _exempted(claim, parts)
        or _done(claim, parts)
        or _once_less(claim, parts)
        or _obliged(claim, parts)
    )


def forceful(text: str, other: str) -> bool:
    """Whether a word of ``text`` has the force of a denial, though it may not be one: only, lose, empty.

    >>> forceful("The pool is closed.", "It opens at noon."), forceful("The pool is closed.", "It closes at noon.")
    (True, False)
    """
    plainly, words = _force(text)
    if plainly or not words:
        return plainly
    other = tokens.normalized(other)
    return any(not any(form in other for form in _FORMS.get(word, (word,))) for word in words)


@lru_cache(maxsize=2_048)
def _force(text: str) -> tuple[bool, frozenset[str]]:
    text = polarity.spelled(text)
    return bool(_PLAINLY.search(text)), frozenset(match[0] for match in _BY_WORD.finditer(text))


def required(claim: str, part: str) -> bool:
    """Whether ``claim`` requires what without which ``part`` allows nothing."""
    return bool(_NEEDED.search(tokens.normalized(claim)) and _TWICE.search(tokens.normalized(part)))


def needless(part: str) -> bool:
    """Whether ``part`` says that something need not be."""
    return bool(_NOT_NEEDED.search(tokens.normalized(part)))


def turns_twice(text: str) -> bool:
    """Whether ``text`` denies twice (nobody without, not unless) or tells one thing from another (not this but that)."""
    text = tokens.normalized(text)
    return bool(_TWICE.search(text) or _CONTRAST.search(text))


def conditional(clauses: Sequence[str], n: int) -> bool:
    """Whether clause ``n`` is a condition of what follows it, or says what one makes needless.

    >>> conditional(["期满没有起诉", "裁决就生效"], 0), conditional(["他没有起诉", "回家去了"], 0)
    (True, False)
    """
    following = clauses[n + 1] if n + 1 < len(clauses) else ""
    return bool(_CONDITION.search(clauses[n]) or _FOLLOWS.search(following))


def _by_word(text: str) -> frozenset[str]:
    return _force(text)[1]


class _Part:
    """A clause of the source, which may go on what the one ``before`` it says."""

    def __init__(self, sentence: Sequence[str], at: int, claim: str) -> None:
        self.text, self.normal = sentence[at], tokens.normalized(sentence[at])
        self.forceful = forceful(self.text, claim)
        first = 0 if _ELLIPTIC.match(self.normal) else max(0, at - 1)
        self.whole = " ".join(sentence[first : at + 1])

    def share(self, units: Sequence[Unit], clause: str) -> float:
        """How much of ``units`` it says; nothing, if it is of another time than ``clause``."""
        mine, there = quantities(clause).moments, quantities(self.text).moments
        if mine and there and not any(a.agrees(b) for a in mine for b in there):
            return 0.0
        own = said(self.text).share(units)
        return said(self.whole).share(units) if own and self.forceful else own


def _denied(claim: str, said_in: Sequence[str], parts: Sequence[_Part]) -> bool:
    """A denied clause of the claim whose matter a clause of the source says, and none that has the force of a denial."""
    if turns_twice(claim):
        return False
    for n, clause in enumerate(said_in):
        if not polarity.denies(plain(clause)) or polarity.exclusive(clause) or conditional(said_in, n):
            continue
        shared = {word for part in parts for word in _by_word(part.text)} & _by_word(clause)
        if shared and not polarity.plainly_denies(plain(clause)):
            continue
        units = matter(clause) if len(matter(clause)) > 1 or not n else matter(f"{said_in[n - 1]} {clause}")
        open_to = [part for part in parts if not part.forceful and head_held(clause, part.text)]
        affirming = max((part.share(units, clause) for part in open_to), default=0.0)
        denying = max((part.share(units, clause) for part in parts if part.forceful), default=0.0)
        only = any(polarity.exclusive(part.text) and said(part.text).share(units) > 0.3 for part in parts)
        excepted = any(
            _EXCEPTS.search(part.normal) and said(claim).share(matter(part.text)) >= _THIRD for part in parts
        )
        if len(units) > 1 and affirming >= _ALIKE and affirming >= denying + _BETTER and not only and not excepted:
            return True
    return False


def _affirmed(claim: str, parts: Sequence[_Part], *, least: float = _ALIKE) -> bool:
    """A denied clause of the source whose matter the claim says, where nothing in it has the force of a denial."""
    if polarity.exclusive(claim):
        return False
    for part in parts:
        if polarity.exclusive(part.text) or forceful(claim, part.text) or required(claim, part.text):
            continue
        as_denied = polarity.denies(plain(part.text)) and not (_by_word(part.text) & _by_word(claim))
        if not as_denied and not polarity.plainly_denies(plain(part.text)):
            continue
        units = matter(part.text)
        if len(units) == 1 and said(claim).share(units) == 1.0:
            units, least = matter(part.whole), min(least, _HALF)
        if not head_held(part.text, claim):
            continue
        mine = said(claim).share(units)
        open_to = [other for other in parts if not other.forceful and head_held(part.text, other.text)]
        told = max((other.share(units, part.text) for other in open_to), default=0.0)
        if len(units) > 1 and mine >= least and mine >= told + _BETTER:
            return True
    return False


def _once_more(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that says nearly all of a clause, and denies once more or once less."""
    if _CONDITION.search(claim):
        return False
    mine = matter(claim)
    for part in parts:
        units, turned = matter(part.text), polarity.denies(plain(claim)) != polarity.denies(plain(part.text))
        alike = len(units) > 2 and _by_word(claim) == _by_word(part.text)
        if turned and alike and said(part.text).share(mine) >= _COPIED and said(claim).share(units) >= _COPIED:
            return (polarity.plain_denials(plain(claim)) - polarity.plain_denials(plain(part.text))) % 2 == 1
    return False


def head_held(denied: str, other: str) -> bool:
    """Whether ``other`` says what is denied, and not only the rest of the clause."""
    for scope in polarity.denied(plain(denied)):
        units = [unit for unit in matter(scope) if not _SAYS_LITTLE.fullmatch(unit.key)]
        if units and said(other).holds(units[0]) >= _PARTLY:
            return True
    return False


def _let(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that allows what a denied clause of the source is about."""
    whole = tokens.normalized(claim)
    if not _ALLOWED.search(whole) or polarity.exclusive(claim):
        return False
    units = matter(_ALLOWED.sub(" ", whole))
    denying = [p for p in parts if polarity.denies(plain(p.text)) and not polarity.exclusive(p.text)]
    if not units or any(forceful(claim, part.text) or required(claim, part.text) for part in denying):
        return False
    denied = max((said(part.whole).share(units) for part in denying if said(part.text).share(units) > 0.3), default=0.0)
    told = max((said(part.text).share(units) for part in parts if not part.forceful), default=0.0)
    return denied >= _ALIKE and denied >= told + _BETTER


def _done(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that something has been done already which its source says has not been."""
    if not _ALREADY.search(claim) or polarity.plainly_denies(plain(claim)) or _force(claim)[1]:
        return False
    units = matter(_ALREADY.sub(" ", claim))
    return any(_NOT_YET.search(part.normal) and said(part.whole).share(units) >= _HALF for part in parts)


def _once_less(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that denies the very denial of its source, or the other way round: 没有放弃 for 放弃, not cancelled."""
    mine = tokens.normalized(claim)
    denied = {match[1] for match in _DENIED_DENIAL.finditer(mine)}
    plainly = {match[0] for match in _DENIAL.finditer(_DENIED_DENIAL.sub(" ", mine))}
    for part in parts:
        other = {match[1] for match in _DENIED_DENIAL.finditer(part.normal)}
        there = {match[0] for match in _DENIAL.finditer(_DENIED_DENIAL.sub(" ", part.normal))}
        turned = (denied & there) - plainly | (plainly & other) - there
        if turned and said(claim).share(matter(part.text)) >= _HALF:
            return True
    return False


def _exempted(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that something may be done without what its source requires."""
    whole = tokens.normalized(claim)
    match = _WITHOUT.search(whole)
    if not match or _NOT.search(match[0]) or polarity.denies(whole[: match.start()] + whole[match.end() :]):
        return False
    lacking = _LACKING.search(match[0])
    units = matter(lacking[1] if lacking else match[0])
    near = [part for part in parts if said(part.text).share(units) >= _HALF]
    scopes = [scope for p in parts if not _NEEDED.search(p.normal) for scope in polarity.denied(plain(p.text))]
    if any(_EITHER.search(part.normal) for part in parts) or any(head_held(match[0], scope) for scope in scopes):
        return False
    return any(_NEEDED.search(part.normal) and not _NOT_NEEDED.search(part.normal) for part in near)


def _obliged(claim: str, parts: Sequence[_Part]) -> bool:
    """A claim that something is required which its source says is not."""
    whole = tokens.normalized(claim)
    if _NOT_NEEDED.search(whole) or not _OBLIGED.search(whole):
        return False
    return any(_NOT_NEEDED.search(part.normal) and said(claim).share(matter(part.text)) >= _ALIKE for part in parts)
