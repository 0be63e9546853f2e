"""A drawn archive of news about companies that do not exist, in Chinese and English, with what is planted in it known.

Days differ more than chance alone would have it (their rates are gamma-distributed), so that a quiet company has lively
days that are no burst. A burst is six to twelve items of one direction within half a day. Copies are other papers'
edits of an item within two days. Serial items are the hard ones for a search of copies: daily closing notices and
headlines in a fixed form, alike to the letter but for a figure or a name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from apps.financial_sentiment.companies import Company
from apps.financial_sentiment.items import NewsItem
from apps.financial_sentiment.series import DAY

SEED = 20_261
START = 1_767_225_600.0  # 2026-01-01
HOUR = 3600.0
_ZH_FIRST, _ZH_LAST = "珩澜铄蔚湜骞瑄昶", ("川材料", "远电气", "和生物", "岳建工", "海物流")
_EN_FIRST = ("Quor", "Velm", "Darro", "Istra", "Penha", "Tolvi", "Marque", "Brisa")
_EN_LAST = ("vane Metals", "tek Systems", "lyn Foods", "gard Energy", "mere Airways")
_PAPERS = {"en": ("Dockside Wire", "Harbor Post", "Quayside Daily", "Pier Journal"), "zh": ("港湾财经", "晨潮社", "码头日报", "灯塔快讯")}  # fmt: skip
_SAID = {
    ("en", 1): (
        "{c} beats quarterly estimates", "{c} raises its full-year outlook", "{c} shares jump to a record high",
        "{c} wins large order", "Upgrade for {c}, analysts see strong growth", "{c} profit surges", "{c} lifts dividend",
    ),
    ("en", -1): (
        "{c} misses quarterly estimates", "{c} cuts its full-year outlook", "{c} shares tumble to a two-year low",
        "{c} loses key order", "Downgrade for {c}, analysts warn of losses", "{c} profit plunges", "{c} halts dividend",
    ),
    ("en", 0): (
        "{c} to hold annual meeting", "{c} names head of logistics", "{c} publishes its agenda for the year",
        "{c} moves its headquarters", "{c} to present at an industry fair", "{c} changes its reporting calendar",
    ),
    ("zh", 1): ("{c}业绩超出预期", "{c}上调全年目标", "{c}股价大涨创新高", "{c}中标大额订单", "{c}获券商上调评级", "{c}净利润大幅增长"),
    ("zh", -1): ("{c}业绩不及预期", "{c}下调全年目标", "{c}股价大跌创新低", "{c}丢失重要订单", "{c}遭券商下调评级", "{c}净利润大幅下滑"),
    ("zh", 0): ("{c}将召开年度股东大会", "{c}公布投资者交流日程", "{c}任命物流负责人", "{c}拟变更办公地址", "{c}将参加行业展会"),
}  # fmt: skip
_WHY = {
    "en": (
        "as its {p} unit reports {n} percent more volume", "on news from its {p} business in {t}", "after a review of {p} in {t}",
        "with {n} contracts for {p} under way", "as {t} opens its market for {p}", "while {p} prices move {n} percent",
    ),
    "zh": ("，{p}业务销量变动{n}%", "，涉及{t}的{p}业务", "，此前{t}对{p}进行了检查", "，{p}合同共{n}份", "，{t}放开{p}市场", "，{p}价格变动{n}%"),
}  # fmt: skip
_BODY = {
    "en": (
        "The statement came on the evening of day {n} of the quarter and mentions {p} twice.",
        "A spokesman in {t} referred to the filing of {n} pages.", "Trading in {t} went on until {n} minutes past four.",
        "The {p} division employs {n} people in {t}.", "Suppliers of {p} were told in a letter, people in {t} said.",
        "The next report on {p} is due in {n} days.", "A broker in {t} has followed the name for {n} years.",
    ),
    "zh": (
        "公告共{n}页，两次提到{p}。", "公司{t}办事处表示将按期披露。", "{p}部门在{t}有员工{n}人。", "下一份{p}报告将于{n}天后公布。",
        "{t}一家券商跟踪该公司已有{n}年。", "{p}供应商已收到书面通知。", "当日{t}成交{n}万股。",
    ),
}  # fmt: skip
_THINGS = {
    "en": ("turbine", "coating", "freight", "battery", "resin", "cable", "feed", "sensor", "valve", "fiber", "glass", "pump"),
    "zh": ("涡轮", "涂料", "货运", "电池", "树脂", "线缆", "饲料", "传感器", "阀门", "光纤", "玻璃", "水泵"),
}  # fmt: skip
_TOWNS = {
    "en": ("Osterby", "Calven", "Port Arn", "Millhaven", "Tersk", "Lunden Bay", "Corvo", "Estrel"),
    "zh": ("临澜", "安岬", "青渡", "南泽", "云浦", "宁屿", "北汀", "石湾"),
}
_SERIAL = {
    "en": ("{c} closes at {x}, {w} {n} percent", "{c} buys back {n},000 shares at {x}", "{c} beats estimates, raises outlook"),
    "zh": ("{c}今日收报{x}元，{w}{n}%", "{c}今日回购{n}万股，均价{x}元", "{c}：业绩超预期，上调目标"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """An item and what it is: ``kind`` background, burst, serial or copy; ``of`` is what a copy copies."""

    item: NewsItem
    company: str
    kind: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class Burst:
    company: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Archive:
    """``items`` in the order in which they are seen."""

    companies: tuple[Company, ...]
    items: tuple[Drawn, ...]
    bursts: tuple[Burst, ...]
    days: int


def companies() -> list[Company]:
    """Forty, half with a Chinese name first."""
    names = [(z + tail, e + end) for z, e in zip(_ZH_FIRST, _EN_FIRST, strict=True) for tail, end in zip(_ZH_LAST, _EN_LAST, strict=True)]  # fmt: skip
    return [Company(f"d-{number}", zh, en) for number, (zh, en) in enumerate(names)]


def archive(days: int = 120, bursts: int = 60, *, copies: float = 0.15, serial: float = 0.15) -> Archive:
    """``copies`` and ``serial`` are shares of the background's count."""
    rng = np.random.default_rng(SEED)
    known = companies()
    drawn: list[Drawn] = []
    planted: list[Burst] = []
    for company, rate in zip(known, rng.uniform(0.1, 1.2, len(known)), strict=True):
        for day in range(days):
            for _ in range(rng.poisson(rate * rng.gamma(3.0) / 3)):
                drawn.append(_one(rng, company, START + (day + rng.random()) * DAY, rng.integers(-1, 2), "background"))
    while len(planted) < bursts:
        company, begin = known[rng.integers(len(known))], START + rng.uniform(10, days - 2) * DAY
        if any(b.company == company.id and abs(b.begin - begin) < 5 * DAY for b in planted):
            continue
        sign = int(rng.choice([-1, 1]))
        times = begin + np.sort(rng.uniform(0, 12 * HOUR, rng.integers(6, 13)))
        drawn += [_one(rng, company, at, sign, "burst") for at in times]
        planted.append(Burst(company.id, float(times[0]), float(times[-1])))
    count = sum(d.kind == "background" for d in drawn)
    for picked in rng.choice(len(drawn), int(copies * count), replace=False):
        drawn.append(_copy(rng, drawn[picked]))
    fixed: set[str] = set()  # companies that had the headline without a figure: the same again within a week is a copy
    for _ in range(int(serial * count)):
        company = known[rng.integers(len(known))]
        drawn.append(_serial(rng, company, START + rng.random() * days * DAY, plain=company.id not in fixed))
        fixed.add(company.id)
    named = [replace(d, item=replace(d.item, external_id=d.item.external_id or f"n{i}")) for i, d in enumerate(drawn)]
    return Archive(tuple(known), tuple(sorted(named, key=lambda d: d.item.seen_at or 0.0)), tuple(planted), days)


def text(rng: np.random.Generator, company: Company, sign: int, language: str) -> tuple[str, str]:
    """A title and one to three sentences."""

    def filled(form: str) -> str:
        return form.format(
            c=company.name(language), n=rng.integers(2, 990),
            p=_picked(rng, _THINGS[language]), t=_picked(rng, _TOWNS[language]),
        )  # fmt: skip

    space = " " if language == "en" else ""
    title = filled(_picked(rng, _SAID[language, sign])) + space + filled(_picked(rng, _WHY[language]))
    chosen = rng.choice(len(_BODY[language]), rng.integers(1, 4), replace=False)
    return title, space.join(filled(_BODY[language][i]) for i in chosen)


def _one(rng: np.random.Generator, company: Company, at: float, sign: int, kind: str) -> Drawn:
    language = ("en", "zh")[rng.integers(2)]
    title, body = text(rng, company, int(sign), language)
    paper = _picked(rng, _PAPERS[language])
    name = f"{kind}-{company.id}-{at:.3f}"
    return Drawn(NewsItem(title, body, paper, name, "", at - rng.uniform(30, 600), at, language), company.id, kind)


def _copy(rng: np.random.Generator, first: Drawn) -> Drawn:
    """Another paper's edit: one to three of the things that papers do."""
    item = first.item
    english = item.language == "en"
    title, body = item.title, item.text
    for edit in rng.choice(5, rng.integers(1, 4), replace=False):
        match int(edit):
            case 0:
                title = ("UPDATE 1-" if english else "快讯：") + title
            case 1:
                title = title + (" - report" if english else "（更新）")
            case 2:
                body = body + (" The company could not be reached." if english else "记者未能联系到公司。")
            case 3:
                title = title.upper() if english else title.replace("，", "：")
            case 4:
                ends = body.rstrip(".。").rfind("." if english else "。")
                body = body[: ends + 1] if ends > 0 else body
    others = [paper for paper in _PAPERS[item.language] if paper != item.source]
    at = (item.seen_at or 0.0) + rng.uniform(0.1, 48) * HOUR
    made = replace(item, title=title, text=body, source=_picked(rng, others), external_id="", seen_at=at, published_at=at - 60)  # fmt: skip
    return Drawn(made, first.company, "copy", item.external_id)


def _serial(rng: np.random.Generator, company: Company, at: float, *, plain: bool) -> Drawn:
    language = ("en", "zh")[rng.integers(2)]
    form = _SERIAL[language][-1] if plain else _picked(rng, _SERIAL[language][:-1])
    title = form.format(
        c=company.name(language), x=f"{rng.uniform(2, 90):.2f}", n=rng.integers(2, 30),
        w=_picked(rng, {"en": ("up", "down"), "zh": ("上涨", "下跌")}[language]),
    )  # fmt: skip
    item = NewsItem(title, "", _picked(rng, _PAPERS[language]), "", "", at - 60, at, language)
    return Drawn(item, company.id, "serial")


def _picked(rng: np.random.Generator, among: tuple[str, ...] | list[str]) -> str:
    return among[rng.integers(len(among))]
