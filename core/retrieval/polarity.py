"""Which way a text says it: denied or not, more or less, before or after, up or down.

Words of one axis are opposites: a claim that has only the one where its source has only the other says the
reverse. "Not more than" counts as "at most" before anything is denied.
"""

from __future__ import annotations

import re
from functools import lru_cache

from core.retrieval import tokens

# Spelled before negation is looked for, so that 不超过 is a bound and not a denial. The order matters.
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), f" {mark} ")
    for pattern, mark in (
        (r"还?[没未不](?:到|满)(?=\d)|[别勿]再?(?:超过|多于|高于|晚于)|不(?:得|能|可以?|会|应当?|宜|要|准|许|必|用)?再?(?:超过|多于|高于|大于|晚于|迟于|超出|长于)|(?:未|没有?)(?:曾|能)?(?:超过|超出|高于|多于)", "≤"),
        (r"不(?:得|能|可以?|会|应当?|宜|要|准|许)?(?:低于|少于|小于|短于|早于)|[别勿](?:低于|少于|早于)|(?:未|没有?)(?:低于|少于)", "≥"),
        (r"至多|最多|最高(?=\d)|上限|以内|之内|(?<!可)以下|低于|少于|小于|不足|不够|不到|未满|不满|短于|未达", "≤"),
        (r"至少|最少|最低(?=\d)|起码|下限|(?<!可)以上|超过|高于|多于|大于|逾|满(?=\d)|长于|超出", "≥"),
        (r"\b(?:no|not|never) (?:be )?(?:more|greater|higher|later|longer|older|larger) than\b|\b(?:not|never|cannot) (?:to )?exceed\w*\b", "≤"),
        (r"\b(?:no|not|never) (?:be )?(?:less|fewer|lower|earlier|shorter|younger|smaller) than\b", "≥"),
        (r"\bat (?:the )?most\b|\bup to\b|\bmaximum(?: of)?\b|\b(?:less|fewer|lower|shorter|smaller|younger) than\b|\bunder\b(?= \W?\d)|\bbelow\b|\bwithin\b", "≤"),
        (r"\bat (?:the )?least\b|\bminimum(?: of)?\b|\b(?:more|greater|higher|longer|older|larger) than\b|\bover\b(?= \W?\d)|\babove\b|\bexceed\w*\b", "≥"),
        (r"非洲", "阿洲"), (r"不(?:好|易|便|太?容易|方便)(?=[\u4e00-\u9fff])", "难"), (r"以免|免得|以防", "防"), (r"(?:并非|并不是|不是|不无|未必)(?:不能|不可|无法|不会|不可能)", "可以"), (r"(?<=[\u4e00-\u9fff])不(?:成|了|掉|住|动|完)(?=[了的，,。；;]|$)", "失败"), (r"没有(?=[^，。；]{0,12}(?:比|更))|无出其右", ""), (r"不(?:止|限于|见得|可抗力|可再生|可分割|知|幸|料|愧|禁(?!止)|停(?![课电水业运办掉开用产])|时(?!间)|妨|一(?!定|样)|等(?=[，。；、)）]|$))|[难未]免|毫不|免不了", ""),
        (r"不(?:仅|但|只|光|单|论|管|同|断|久|妨|过|少|错|良|锈钢|干胶|动产|等式)|没有?(?=收)|无(?:理由|线|论|人机|需预约|数|比|形|缝|疑|论如何)|未(?:成年|来|婚)|非(?:常|凡|遗)|\bnot (?:un|in)(?:usual|common|frequent|likely|known|happy|reasonable|aware)\w*|\bwhether or not\b|\bnot only\b|\bno matter\b|\bno\.(?= ?\d)|\bno (?:minimum|maximum|(?:upper |lower |age |time )?limit)\b", ""),
        (r"\b(?:at )?no (?:extra )?(?:charge|fee|cost)\b|\bfree of charge\b|\bfor nothing\b|(?<!released )(?<!freed )\bwithout (?:an? |any )?(?:extra |further |\w+ )?(?:charge|fee|cost)s?\b|\bnothing(?= for (?:adults|children|members|students|guests|under|those|residents|pensioners))|\b(?:pay|cost)s? (?:\w+ ){0,3}nothing\b|免费|免收|无偿|不(?:另|再|额外)?收(?:取)?[^，,。；不]{0,4}(?:费|钱)|不(?:用|必|须|需)?(?:要|花)钱|不收取?任何费用|不收取?任何费用", "free"),
        # what is denied of everything else, or until then, is said of this: no lake is deeper, not until May
        (r"\b(?:no|not|never|nobody|nothing|none)\b(?=[^,.;:]{0,60}\b(?:\w{2,}er than|(?:more|less|better|worse|as|so|such) (?:\w+ ){0,3}(?:than|as)|since the (?:one|last|first)|until|before had)\b)|\b(?:not|never) (?:been )?\w+(?= since\b)|\bnever before\b", ""),
        (r"停止(?=报名|受理|接收|办理|售票|入场|收[件单])", "截止"), (r"(?:没有?|未|不)(?:曾|有)?(?:任何)?(?:变化?|改变|变动)(?![成为得])|\b(?:neither \w+|not|nobody|never) (?:has |have )?chang\w*", "保持"),
        (r"从(?:没|未)有?(?=[^，。；]{0,8}(?:这么|如此|那么))|\bnever\b(?=[^,.;]{0,24}\b(?:so|such|as)\b)", ""),
        (r"除非|\bunless\b", "¬¿"), (r"不得不|不能不|必不可少|\bcannot but\b", "必须"),
    )
)  # fmt: skip
_PLAINLY = re.compile(
    r"不(?:宜|得|能|可以?|应该?|准|许|会|必|用|要|该)?|没有|没|无法|无须|无需|未|勿|莫|别(?=[再要用])|非(?=\w)|无(?=[^\s])|¬|\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|hardly|scarcely|barely)\b|n['’]t\b|几乎(?:不|没)"
)
# Verbs that deny: not to forbid is to allow.
_BY_VERB = re.compile(
    r"禁止|严禁|禁用|禁|拒绝|拒|停止|停用|停售|停(?=[课电水业运办掉开产演飞播刊航工摆发])|暂停|中止|终止|取消|撤销|除外|排除|免(?![疫费])|避免|远离|否认|否决|驳回|缺乏|失效|作废|谢绝|杜绝"
    r"|\b(?:except(?:ing)?|unable|exclud\w*|prohibit\w*|forbid\w*|forbade|forbidden|bann?(?:ed|s)?|refus\w*|reject\w*|den(?:y|ies|ied)|lack\w*|fail\w*"
    r"|stop(?:s|ped)?|ceas\w*|cancel\w*|suspend\w*|discontinu\w*|avoid\w*|refrain\w*|(?:keep|kept|stay|steer)\w* (?:\w+ ){0,4}?(?:away|clear|off|out of)|(?:turn|vot|knock|strik|struck|threw|thrown|call|rul)\w* (?:it |them )?(?:down|out|off)\b|scrap(?:s|ped)?|abandon\w*|withh[eo]ld|(?:drop|end|withdr[ae]w)\w* support|exempt\w*|waiv\w*|invalid\w*|void\w*|ineligible|impossible|closed to|off[- ]limits|out of bounds|barred|unavailable|unsuitable|unsafe|instead of|rather than(?! \d)|rule[sd]? out)\b",
)

_AXES: tuple[tuple[str, str], ...] = (
    (r"≥", r"≤"),
    (r"之前|以前|前(?!往|台|者|述|提|景|期|任|端)|早于|提前|先于|\bbefore\b|\bprior to\b|\bearlier\b|\bahead of\b|\bby (?=\d|the end|noon|mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", r"之后|以后|后(?!台|者|果|续|方|勤|备)|晚于|推迟|延后|\bafter\b|\blater\b|\bfollowing\b|\bsince\b"),
    (r"增长|增加|上升|上涨|提高|提升|上调|涨|升(?=[至到了幅])|扩大|回升|走高|\b(?:ros|ris|increas|grew|grow|climb|gain|rais|up(?! to)|higher|more|expand|jump|improv)\w*\b", r"下降|下跌|减少|降低|下滑|下调|跌|降(?=[至到了幅])|缩小|回落|走低|\b(?:fell|fall|fallen|declin|decreas|drop|lower|reduc|shrink|shrank|slid|cut|fewer|less|worsen)\w*\b|\bdown\b"),
    (r"早(?!上|晨|餐|已)|最早|\bearliest\b|\bearly\b", r"晚(?!上|餐|间|会)|最晚|最迟|\blatest\b|\blate\b"),
    (r"最[大高长多重贵快远好]|\b(?:largest|biggest|highest|longest|most|heaviest|fastest|best|oldest)\b", r"最[小低短少轻便慢近差]|\b(?:smallest|lowest|shortest|least|fewest|lightest|slowest|worst|cheapest|youngest)\b"),
    (r"比[^，。；]{1,16}(?:更?[大高长多重贵快远]|强)|高出|多出|领先|胜于|优于|\b(?:larger|bigger|longer|heavier|faster|older|better|taller|warmer|hotter|thicker|wider|costlier|dearer|outnumber\w*|outsold)\b", r"比[^，。；]{1,16}(?:更?[小低短少轻慢近]|便宜|弱)|落后|逊于|不如|不及|\b(?:smaller|shorter|lighter|slower|younger|worse|cheaper|cooler|colder|thinner|narrower)\b"),
    (r"左", r"右"), (r"\bleft\b", r"\bright\b"), (r"买家|买方|承租人|乘客|患者|\bbuyers?\b|\btenants?\b", r"卖家|卖方|出租人|房东|\bsellers?\b|\blandlords?\b"), (r"\binside\b|室内", r"\boutside\b|室外|户外"),
    (r"饭前|空腹|餐前", r"饭后|餐后"), (r"\bempty stomach\b|\bbefore (?:meals?|food|eating)\b", r"\b(?:after|with) (?:meals?|food)\b|\bafter eating\b"), (r"赞成|支持|同意|通过|批准", r"反对|否决"), (r"收入|盈利|利润|净利", r"亏损|净亏"), (r"\bprofits?\b", r"\bloss(?:es)?\b"),
    (r"进口|\bimport\w*\b", r"出口|\bexport\w*\b"), (r"\bfree\b", r"(?<![不免])收费|付费|\bcharged\b|\bcharges? (?:\w+ ){0,2}for\b|\bfor a fee\b"), (r"开(?:启|放|始)|打开|\bopen\w*\b|\bstart\w*\b|\bbegin\w*\b", r"关(?:闭|门)|结束|\bclos\w*\b|\bend(?:s|ed)?\b"),
)  # fmt: skip
_POLES = tuple((re.compile(a), re.compile(b)) for a, b in _AXES)
_ORDER = 1  # the axis of before and after: what is before the one is what the other is after


@lru_cache(maxsize=4096)
def spelled(text: str) -> str:
    """``text`` normalised, with bounds written as signs and words that only look like denials blanked."""
    text = tokens.normalized(text)
    for pattern, mark in _PHRASES:
        text = pattern.sub(mark, text)
    return text


@lru_cache(maxsize=4096)
def denies(text: str) -> bool:
    """Whether ``text`` denies something on the whole.

    >>> denies("拆封后不能退货"), denies("运费不超过 8 元"), denies("It never stops."), denies("无违章、无损坏")
    (True, False, False, True)
    """
    text = spelled(text)
    return bool(_PLAINLY.search(text)) != (len(_BY_VERB.findall(text)) % 2 == 1)


def plainly_denies(text: str) -> bool:
    """Whether a word of ``text`` denies that is no verb.

    >>> plainly_denies("It is not free."), plainly_denies("Fires are banned.")
    (True, False)
    """
    return bool(_PLAINLY.search(spelled(text)))


def plain_denials(text: str) -> int:
    """How many words of ``text`` deny that are no verbs."""
    return len(_PLAINLY.findall(spelled(text)))


_EXCLUSIVE = re.compile(
    r"只(?!要)|仅|唯|才(?!能力|会)|限于|除非|\b(?:only|solely|exclusively|unless|confined|limited|restricted)\b"
)


def exclusive(text: str) -> bool:
    """Whether ``text`` leaves only one thing open, so that it says by what it allows what it does not.

    >>> exclusive("只能留在甲板"), exclusive("Refunds are given only on Mondays."), exclusive("Refunds are given.")
    (True, True, False)
    """
    return bool(_EXCLUSIVE.search(tokens.normalized(text)))


def affirmed(text: str) -> str:
    """``text`` (normalised) without the words that deny: what it denies.

    >>> affirmed("画作没有受损")
    '画作 受损'
    """
    return _PLAINLY.sub(" ", spelled(text))


def matter(text: str) -> str:
    """``text`` (normalised) without any word that denies, and without bounds.

    >>> matter("禁止携带明火").split(), matter("Music must stop by noon").split()
    (['携带明火'], ['music', 'must', 'by', 'noon'])
    """
    return re.sub(r"[≤≥¬¿]", " ", _BY_VERB.sub(" ", _PLAINLY.sub(" ", spelled(text))))


def deniers(text: str) -> list[str]:
    """The words of ``text`` that deny."""
    text = spelled(text)
    return [match[0] for pattern in (_PLAINLY, _BY_VERB) for match in pattern.finditer(text)]


def denied(text: str) -> list[str]:
    """What follows each denial, or stands before one at the end: what it denies.

    >>> denied("拆封后不能退货"), denied("Guests may not bring food.")
    (['退货'], [' bring food.'])
    """
    text = spelled(text)
    found = []
    for pattern in (_PLAINLY, _BY_VERB):
        for match in pattern.finditer(text):
            behind = text[match.end() : match.end() + (7 if match[0] > "\u4e00" else 28)]
            found.append(behind if any(c.isalnum() for c in behind) else text[: match.start()])
    return found


def reversed_axes(text: str, source: str, *, order: bool = True) -> bool:
    """Whether ``text`` has one pole of an axis where ``source`` has only the other.

    Args:
        order: whether before and after are looked at, too.

    >>> reversed_axes("满 99 元以下包邮", "满 99 元以上包邮"), reversed_axes("Sales rose.", "Sales climbed.")
    (True, False)
    """
    text, source = spelled(text), spelled(source)
    for n, (one, other) in enumerate(_POLES):
        if n == _ORDER and not order:
            continue
        here, there = (
            (bool(one.search(text)), bool(other.search(text))),
            (bool(one.search(source)), bool(other.search(source))),
        )
        if here in ((True, False), (False, True)) and there == (here[1], here[0]):
            return True
    return False
