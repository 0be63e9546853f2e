"""What kind of value a question asks for (a price, a date, a person, a reason), and whether a text gives one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.retrieval import tokens

_ASKS: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"多少钱|几块|几元|价钱|价格|费用|售价|how much(?! (?:does|do) .* weigh)|\bprice|\bcost|\bfees?\b|\bworth\b"),
    "duration": re.compile(
        r"几天|几日|几个月|几年|几周|几个?小时|几分钟|多少天|多久|多长时间|什么时候|啥时候|何时|哪一?天|哪一?年|哪个?月|几月|几号|来得及"
        r"|how long|how many (?:days|weeks|months|years|hours|minutes)|how soon|\bwhen\b|\bdeadline\b|\b(?:what|which) (?:year|date|day|month)\b"
    ),
    "clock": re.compile(r"几点|营业时间|开门|关门|what time|\bhours\b|\bopen(?:s|ing)?\b|\bcloses?\b"),
    "weight": re.compile(r"多重|几斤|几公斤|重量|承重|\bweigh|\bheavy\b|\bload\b"),
    "volume": re.compile(r"几升|多少升|容量|水箱|\bcapacity\b|\bvolume\b|\blit(?:er|re)s?\b|\btank\b"),
    "length": re.compile(r"多长(?!时间)|多高|多宽|多远|多大|尺寸|直径|how (?:tall|wide|far|large|big)|\bsize\b|\bdimensions?\b|\bdiameter\b"),
    "power": re.compile(r"功率|多少瓦|几瓦|电压|多少伏|\bwatt|\bvolt|\bpower\b"),
    "heat": re.compile(r"多少度|几度|温度|\btemp|how hot"),
    "reason": re.compile(r"为什么|为何|原因|因何|怎么会|\bwhy\b|\breasons?\b"),
    "person": re.compile(r"谁|哪位|哪几位|何人|\bwho(?:se|m)?\b"),
    "place": re.compile(r"哪里|哪儿|何处|何地|在哪|哪个?(?:国家|城市|地方|地区|国|省|县|市|州)|位于|\bwhere\b|\b(?:which|what) (?:city|country|place|state|town)\b"),
    "definition": re.compile(r"什么是|是什么|指什么|指的是|的定义|何谓|是指|^what (?:is|are)\b|\bmean\?"),
    "list": re.compile(r"哪些|哪几|有什么|分别|\bwhat are\b|\blist\b"),
    "count": re.compile(r"多少|(?<!哪)几[个张次件只台份双套层位名座种条部家集届岁]|how many|how often|\bmaximum\b|\bminimum\b|最多|最少"),
}  # fmt: skip
_TIME = r"个?工作日|个?自然日|天|日|号|个?月|年|周|个?小时|分钟|秒|-?\s?(?:working |business )?(?:day|week|month|year|hour|minute|second)s?\b|h\b|min\b"
_FIGURE = r"(?:\d|[一二三四五六七八九十百千万亿两半]\s?)"  # its last sign
_GIVES: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"[£$€¥￥]\s?\d|\d[\d.,]*\s?(?:usd|gbp|eur|dollars?|pounds?|yuan|%|折)"
    rf"|{_FIGURE}\s?[百千万亿]*(?:多|余)?(?:[美港日欧加澳]?元|块|美金|港币|英镑|法郎|卢比|卢布)|免费|包邮|不收|\bfree\b|\bno (?:fee|charge|cost)|_gbp|_usd|价"),
    "duration": re.compile(
        rf"\d+(?:\.\d+)?\s?(?:{_TIME})|[一二三四五六七八九十半两]+(?:天|个月|年|周|小时|分钟)"
        r"|\b(?:one|two|three|four|five|six|seven|ten|fourteen|thirty) (?:day|week|month|year|hour|minute)s?\b"
        r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    ),
    "clock": re.compile(r"\d{1,2}[:：]\d{2}|\d{1,2}\s?(?:点|am\b|pm\b|o'clock)|全天|24 小时|\bclosed\b|休息|不营业"),
    "weight": re.compile(r"\d+(?:\.\d+)?\s?(?:kg|g|克|千克|公斤|斤|吨|lbs?|oz|pounds?|ton(?:ne)?s?)\b"
    rf"|{_FIGURE}\s?(?:克|千克|公斤|斤|吨|磅)"),
    "volume": re.compile(r"\d+(?:\.\d+)?\s?(?:ml|l|lit(?:er|re)s?|gallons?|m?ah|[kmgt]b|people|persons|seats|guests)\b|m³"
    rf"|{_FIGURE}\s?(?:升|毫升|立方米|加仑|毫安时|人|席|个?座位?|发|辆)"),
    "length": re.compile(r"\d+(?:\.\d+)?\s?(?:mm|cm|m|km|inch(?:es)?|ft|feet|foot|miles?|met(?:er|re)s?|acres?|hectares?|years? old)\b|[mk]m?[²2]\b"
    rf"|{_FIGURE}\s?(?:平方)?(?:米|厘米|毫米|公里|千米|公尺|英寸|英尺|英里|海里|尺|里|亩|公顷|岁)"),
    "power": re.compile(r"\d+(?:\.\d+)?\s?(?:w|kw|wh|kwh|v|mah|hp)\b"
    rf"|{_FIGURE}\s?(?:瓦|千瓦|伏|马力)"),
    "heat": re.compile(r"\d+\s?(?:°c|℃|°|度)"),
    "reason": re.compile(r"因为|由于|因此|所以|因而|为了|原因|故此|导致|使得|以致|以便|之所以|缘于|\b(?:because|since|due to|in order to|therefore|caus\w*|reasons?|so that)\b"),
    "person": re.compile(r"由[^，。]{1,12}|·|先生|女士|教授|博士|导演|作者|国王|皇帝|总统|主席|经理|父|母|之子|女|他|她|\bby\b|\b(?:mr|mrs|ms|dr)\b"),
    "place": re.compile(r"位于|在.{1,12}(?:国|岛|路|街|内|中|上|山|河|湖|海)|[省市县区州镇村岛]|\b(?:in|at|near|on)\b"),
    "definition": re.compile(r"[是指为称即叫]|\b(?:is|are|refers?|means?|called|known)\b"),
    "list": re.compile(r"、.*、|包括|分别|以及|有.{1,10}和|等|, .*,? and\b|\binclud|\bsuch as\b"),
    "count": re.compile(r"\d|[一二两三四五六七八九十百千万]+[个张次件只台份双套层位项种条名座部家集届岁人所处艘架辆]|一半|半数|、[^，。；]*[、和及与]|\bhalf\b|\b(?:one|two|three|four|five|six|once|twice)\b"),
}  # fmt: skip
_CODE = re.compile(r"\b[a-z]{1,5}-?\d[\w-]*", re.IGNORECASE)
# Kinds whose answer holds a figure. A time may be told by an event instead ("when the parcel is dispatched").
_MEASURED = frozenset(("money", "weight", "volume", "length", "power", "heat", "count"))
_HOW_MUCH = re.compile(
    r"多少|几(?![乎率何])|多[重高宽长远大]|\bhow (?:much|many|often|heavy|tall|wide|far|large|big|hot)\b"
    r"|\bwhat(?:'s| is| are| was| were| does| did)(?: the| its| it)?(?: \w+){0,2} "
    r"(?:price|cost|fee|weigh|capacity|volume|size|diameter|power|voltage|temperature|maximum|minimum)"
)
# How high a rank or how great an influence is asks for no measure.
_OF_NO_MEASURE = re.compile(
    r"(?:级别|等级|水平|地位|声望|名气|影响|作用|意义|难度|评价)(?:到底|究竟)?有?多[高大]"
    r"|\bhow (?:big|large|much of) an? (?:impact|influence|difference|effect|role|part)\b"
)
_VAGUE = ("count", "definition", "list")  # dropped when something more exact is asked


def asked(question: str) -> tuple[str, ...]:
    """The kinds of value that ``question`` asks for.

    >>> asked("KT-210 几天内可以退货？"), asked("Why is the lamp off?")
    (('duration',), ('reason',))
    """
    text = _OF_NO_MEASURE.sub(" ", tokens.normalized(question))
    found = [kind for kind, pattern in _ASKS.items() if pattern.search(text)]
    return tuple([kind for kind in found if kind not in _VAGUE] or found)


def figures(question: str) -> frozenset[str]:
    """The kinds of :func:`asked` that only a figure answers: who asks whether a price holds, asks for none.

    >>> sorted(figures("How much does it weigh?")), sorted(figures("What does a label cost?"))
    (['weight'], ['money'])
    >>> sorted(figures("Do you match the price?")), sorted(figures("Viral load falls with age.")), sorted(figures("级别有多高？"))
    ([], [], [])
    """
    return _MEASURED.intersection(asked(question)) if _HOW_MUCH.search(tokens.normalized(question)) else frozenset()


def given(kinds: Sequence[str], text: str) -> frozenset[str]:
    """Those of ``kinds`` of which ``text`` gives a value.

    >>> sorted(given(("money", "duration"), "A label costs £6.50."))
    ['money']
    >>> sorted(given(("count",), "他是圣乔治、圣斐迪南和圣真纳罗骑士团的大团长。")), sorted(given(("volume",), "容量为 101 发炮弹。"))
    (['count'], ['volume'])
    """
    if not kinds:
        return frozenset()
    text = _CODE.sub(" ", tokens.normalized(text))
    return frozenset(kind for kind in kinds if _GIVES[kind].search(text))
