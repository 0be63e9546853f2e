"""Quantities of a text with their units in one base unit each, and its dates, weekdays and times of day.

What is compared when a claim is checked: 一周 is 7 days and 168 hours, 1.5 kg is 1500 克, 下午三点 is 15:00, and
5 元 is not 5 dollars. A month is not 30 days, and a working day is not a day.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from core.retrieval import numerals

# kind: {unit: how many of the kind's base unit}. Units of one kind can be converted.
_KINDS: dict[str, dict[str, float]] = {
    "minutes": {
        "秒": 1 / 60, "秒钟": 1 / 60, "seconds?": 1 / 60, "secs?": 1 / 60, "分钟": 1, "minutes?": 1, "mins?": 1, "小时": 60, "个小时": 60, "个钟头": 60,
        "钟头": 60, "hours?": 60, "hrs?": 60, "天": 1440, "昼夜": 1440, "自然日": 1440, "个自然日": 1440, "日(?=[内后前起之以])": 1440, "(?:calendar )?days?": 1440,
        "nights?": 1440, "个?晚上": 1440, "晚": 1440, "夜": 1440, "周": 10080, "个?星期": 10080, "个?礼拜": 10080, "weeks?": 10080, "fortnights?": 20160,
    },
    "months": {"岁": 12, "周岁": 12, "(?:years?|yrs?)[ -](?:old|of age)": 12, "months?[ -]old": 1, "year[ -]olds?": 12, "个月": 1, "months?": 1, "个?季度": 3, "quarters?(?= of (?:a|the) year)": 3, "年": 12, "周年": 12, "years?": 12, "yrs?": 12, "decades?": 120},
    "working days": {"个?工作日": 1, "(?:working|business|work) days?": 1},
    "grams": {"毫克": 0.001, "mg": 0.001, "milligram(?:me)?s?": 0.001, "微克": 1e-6, "[μµu]g": 1e-6, "mcg": 1e-6, "microgram(?:me)?s?": 1e-6, "纳克": 1e-9, "ng": 1e-9, "克拉": 0.2, "carats?": 0.2, "stones?(?= \\w)": 6350, "克": 1, "g": 1, "grams?": 1, "斤": 500, "公斤": 1000, "千克": 1000, "kg": 1000, "kilos?": 1000,
        "kilograms?": 1000, "吨": 1e6, "tonnes?": 1e6, "tons?": 1e6, "oz": 28.35, "ounces?": 28.35, "lbs?": 453.6},
    "meters": {"纳米": 1e-9, "nm": 1e-9, "nanomet(?:er|re)s?": 1e-9, "微米": 1e-6, "[μµ]m": 1e-6, "micromet(?:er|re)s?": 1e-6, "microns?": 1e-6, "分米": 0.1, "dm": 0.1, "decimet(?:er|re)s?": 0.1, "毫米": 0.001, "mm": 0.001, "millimet(?:er|re)s?": 0.001, "厘米": 0.01, "cm": 0.01, "centimet(?:er|re)s?": 0.01, "米": 1, "m": 1, "met(?:er|re)s?": 1, "公里": 1000, "千米": 1000,
        "km": 1000, "kilomet(?:er|re)s?": 1000, "里": 500, "尺": 0.3333, "寸": 0.03333, "丈": 3.333, "inch(?:es)?": 0.0254, "英寸": 0.0254, "feet": 0.3048, "foot": 0.3048, "ft": 0.3048, "英尺": 0.3048, "yards?": 0.9144, "miles?": 1609.3, "英里": 1609.3, "海里": 1852, "nautical miles?": 1852, "光年": 9.461e15, "light[- ]years?": 9.461e15},
    "square meters": {"平方厘米": 1e-4, "square centimet(?:er|re)s?": 1e-4, "cm[2²]": 1e-4, "square f(?:ee|oo)t": 0.0929, "sq ?ft": 0.0929, "平方英尺": 0.0929, "acres?": 4047, "英亩": 4047, "square miles?": 2.59e6, "平方英里": 2.59e6, "km[2²]": 1e6, "m²": 1, "平方千米": 1e6, "平方米": 1, "平米": 1, "square met(?:er|re)s?": 1, "m2": 1, "sq ?m": 1, "平方公里": 1e6, "square kilomet(?:er|re)s?": 1e6, "公顷": 1e4, "hectares?": 1e4, "亩": 666.67},
    "milliliters": {"微升": 0.001, "microlit(?:er|re)s?": 0.001, "cl": 10, "centilit(?:er|re)s?": 10, "dl": 100, "decilit(?:er|re)s?": 100, "公升": 1000, "立方厘米": 1, "cubic centimet(?:er|re)s?": 1, "cc": 1, "cm[3³]": 1, "m[3³]": 1e6, "cubic f(?:ee|oo)t": 28317, "fl oz": 28.41, "fluid ounces?": 28.41, "quarts?": 946.4, "毫升": 1, "ml": 1, "millilit(?:er|re)s?": 1, "升": 1000, "l": 1000, "lit(?:er|re)s?": 1000, "加仑": 3785.4, "gallons?": 3785.4, "pints?": 568.3, "立方米": 1e6, "cubic met(?:er|re)s?": 1e6},
    "watts": {"毫瓦": 0.001, "milliwatts?": 0.001, "吉瓦": 1e9, "gw": 1e9, "gigawatts?": 1e9, "万千瓦": 1e7, "马力": 735.5, "horsepower": 745.7, "hp": 745.7, "瓦": 1, "w": 1, "watts?": 1, "千瓦": 1000, "kw": 1000, "kilowatts?": 1000, "兆瓦": 1e6, "mw": 1e6, "megawatts?": 1e6},
    "watt hours": {"瓦时": 1, "watt[- ]hours?": 1, "kilowatt[- ]hours?": 1000, "mwh": 1e6, "megawatt[- ]hours?": 1e6, "兆瓦时": 1e6, "gwh": 1e9, "gigawatt[- ]hours?": 1e9, "吉瓦时": 1e9, "twh": 1e12, "terawatt[- ]hours?": 1e12, "wh": 1, "kwh": 1000, "千瓦时": 1000, "度电": 1000},
    "mah": {"mah": 1, "毫安时?": 1}, "volts": {"v": 1, "volts?": 1, "伏特?": 1, "kv": 1000, "kilovolts?": 1000, "千伏": 1000, "mv": 0.001, "毫伏": 0.001}, "amperes": {"安培": 1, "amps?": 1, "amperes?": 1, "毫安(?!时)": 0.001, "milliamps?": 0.001},
    "hertz": {"hz": 1, "赫兹?": 1, "khz": 1000, "千赫": 1000, "mhz": 1e6, "兆赫": 1e6, "ghz": 1e9, "吉赫": 1e9}, "decibels": {"db": 1, "decibels?": 1, "分贝": 1},
    "joules": {"焦耳?": 1, "joules?": 1, "千焦": 1000, "kj": 1000, "kilojoules?": 1000, "卡路里": 4.184, "calories?": 4.184, "大卡": 4184, "千卡": 4184, "kcal": 4184, "kilocalories?": 4184},
    "pascals": {"帕": 1, "pa": 1, "百帕": 100, "hpa": 100, "千帕": 1000, "kpa": 1000, "兆帕": 1e6, "mpa": 1e6, "bars?": 1e5, "巴(?![\u4e00-\u9fff])": 1e5, "毫米汞柱": 133.3, "mmhg": 133.3, "psi": 6895, "个?大气压": 101325, "atmospheres?": 101325},
    "meters an hour": {"公里/小时": 1000, "公里每小时": 1000, "千米/小时": 1000, "千米每小时": 1000, "km/h": 1000, "kph": 1000, "kilomet(?:er|re)s? (?:an|per) hour": 1000, "mph": 1609.3, "miles? (?:an|per) hour": 1609.3, "knots?": 1852, "米/秒": 3600, "米每秒": 3600, "m/s": 3600, "met(?:er|re)s? (?:a|per) second": 3600},
    "bits a second": {"kbps": 1e3, "mbps": 1e6, "gbps": 1e9, "mbit/s": 1e6, "兆(?=宽带|带宽)": 1e6}, "per mille": {"‰": 1, "ppm": 0.001},
    "megabytes": {"kilobytes?": 0.001, "megabytes?": 1, "gigabytes?": 1000, "terabytes?": 1e6, "pb": 1e9, "petabytes?": 1e9, "kb": 0.001, "mb": 1, "gb": 1000, "tb": 1e6},
    "celsius": {"°c": 1, "℃": 1, "摄氏度": 1, "度": 1, "degrees?(?: celsius)?": 1}, "fahrenheit": {"°f": 1, "℉": 1, "华氏度": 1, "degrees? fahrenheit": 1},
    "percent": {"%": 1, "percent": 1, "per cent": 1, "成(?!立|为|功|本|员|人|年|果)": 10}, "points": {"个?百分点": 1, "percentage points?": 1, "basis points?": 0.01, "个?基点": 0.01},
    "yuan": {"元": 1, "块钱": 1, "块(?![\u4e00-\u9fff])": 1, "圆": 1, "人民币": 1, "rmb": 1, "yuan": 1, "cny": 1, "角": 0.1},
    "dollars": {"美元": 1, "美金": 1, "us dollars?": 1, "dollars?": 1, "usd": 1, "cents?": 0.01}, "pounds": {"英镑": 1, "gbp": 1, "pounds?": 1, "pence": 0.01},
    "euros": {"欧元": 1, "eur": 1, "euros?": 1}, "yen": {"日元": 1, "yen": 1, "jpy": 1}, "hong kong dollars": {"港元": 1, "港币": 1, "hkd": 1}, "won": {"韩元": 1, "won": 1}, "canadian dollars": {"加元": 1, "canadian dollars?": 1, "cad": 1}, "australian dollars": {"澳元": 1, "australian dollars?": 1, "aud": 1}, "singapore dollars": {"新元": 1, "新加坡元": 1, "sgd": 1}, "francs": {"法郎": 1, "瑞士法郎": 1, "瑞郎": 1, "(?:swiss )?francs?": 1, "chf": 1}, "rubles": {"卢布": 1, "rou?bles?": 1}, "rupees": {"卢比": 1, "rupees?": 1, "inr": 1}, "baht": {"泰铢": 1, "baht": 1}, "kroner": {"克朗": 1, "kron(?:a|or|er|e)": 1}, "pesos": {"比索": 1, "pesos?": 1},
    "times": {"倍": 1, "fold": 1}, "occasions": {"次": 1, "回": 1, "times": 1, "遍": 1}, "centuries": {"世纪": 1, "(?:st|nd|rd|th)?[ -](?:century|centuries)": 1},
    "people": {"人": 1, "名": 1, "位": 1, "people": 1, "persons?": 1}, "boxes": {"箱": 1, "盒": 1, "box(?:es)?": 1, "cartons?": 1}, "bottles": {"瓶": 1, "bottles?": 1},
    "bags": {"袋": 1, "包(?![括含])": 1, "bags?": 1, "sachets?": 1, "packets?": 1}, "cans": {"罐": 1, "听": 1, "cans": 1, "can(?= of)": 1, "tins?": 1}, "barrels": {"桶": 1, "barrels?": 1, "buckets?": 1}, "households": {"户(?!外|口|型)": 1, "households?": 1}, "floors": {"层": 1, "floors?": 1, "storeys?": 1, "stories": 1}, "episodes": {"集": 1, "episodes?": 1}, "sets": {"套": 1, "sets?": 1},
    "cups": {"杯": 1, "cups?": 1}, "tablets": {"片": 1, "粒": 1, "tablets?": 1, "pills?": 1, "capsules?": 1}, "drops": {"滴": 1, "drops?": 1}, "pages": {"页": 1, "pages?": 1},
    "grades": {"年级": 1}, "teaspoons": {"茶匙": 1, "teaspoons?": 1, "tsp": 1}, "tablespoons": {"汤匙": 1, "tablespoons?": 1, "tbsp": 1}, "score": {"积分": 1, "分(?!钟|之|别|店|公司|为|期|批|析|布|享)": 1},
}  # fmt: skip
_SIGNS = {
    "us$": "dollars",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "¥": "yuan",
    "￥": "yuan",
    "hk$": "hong kong dollars",
}
_UNITS = [
    (re.compile(rf"\s?-?(?:{unit})" + ("(?![a-z0-9])" if unit[0].isascii() and unit[0].isalnum() else ""), re.IGNORECASE), kind, size, len(unit))
    for kind, table in _KINDS.items()
    for unit, size in table.items()
]  # fmt: skip
_UNITS.sort(key=lambda row: -row[3])
_ANY_UNIT = re.compile(
    "|".join(f"({pattern.pattern})" for pattern, *_ in _UNITS), re.IGNORECASE
)  # the longest that fits
_ADD_UP = {"minutes", "months"}
_JOINED = re.compile(r"\d+(?:\.\d+)?[\s-]?(?:[a-z]+|[\u4e00-\u9fff]{1,3}?)(?:\s|又|零|and )*", re.IGNORECASE)

_LARGE = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "mn": 1e6,
    "m": 1e6,  # behind a sign of money
    "billion": 1e9,
    "bn": 1e9,
    "百": 1e2,
    "千": 1e3,
    "万": 1e4,
    "百万": 1e6,
    "千万": 1e7,
    "亿": 1e8,
    "万亿": 1e12,
}
_NUMBER = re.compile(
    r"(?P<sign>us\$|hk\$|[$£€¥￥])?\s?(?P<number>(?<![\d.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:\s?(?P<large>hundred|thousand|million|billion|bn|mn|万亿|百万|千万|百|千(?![克米瓦])|万|亿|(?(sign)m|(?!)))(?![a-z]))?",
    re.IGNORECASE,
)
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH = "|".join(f"{name}|{name[:3]}\\b" + ("|sept\\b" if name == "september" else "") for name in _MONTHS)
_DATES = (
    re.compile(r"(?<![\d.])(?P<year>\d{4})\s?年(?:\s?(?P<month>\d{1,2})\s?月(?!份?内)(?:\s?(?P<day>\d{1,2})\s?[日号](?!线))?)?"),
    re.compile(r"(?<!个)(?<!\d)(?P<month>\d{1,2})\s?月(?!份?内)(?:\s?(?P<day>\d{1,2})\s?[日号](?!线))?"),
    re.compile(r"(?<![\d.])(?P<day>\d{1,2})\s?[日号](?![内后前起之以线])"), re.compile(r"(?<=[当每本次该上下]月)(?P<day>\d{1,2})\s?[日号](?!内)"),
    re.compile(r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s(?:the\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s(?P<year>\d{{4}}))?(?!\d)", re.IGNORECASE),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<name>{_MONTH})\.?(?:,?\s(?P<year>\d{{4}}))?(?!\d)", re.IGNORECASE),
    re.compile(rf"(?<!\w)(?P<name>(?-i:{'|'.join(n.capitalize() for n in _MONTHS)}))\b(?!\s(?:not|be|also|only|have)\b)(?:,?\s(?P<year>\d{{4}}))?", re.IGNORECASE),
)  # fmt: skip
_CLOCK = re.compile(
    r"(?P<part>上午|早上|早晨|清晨|凌晨|中午|下午|傍晚|晚上|晚间|夜里)?\s?(?<![\d.,])(?P<hour>\d{1,2})(?:[:：](?P<minute>\d{2})(?!\d)|\s?(?:点钟?|时(?![间候段期尚装])|o'clock)(?:\s?(?P<minutes>\d{1,2})\s?分|(?P<half>半))?)?"
    r"\s?(?P<half_day>[ap]\.?m\b\.?)?",
    re.IGNORECASE,
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = re.compile(rf"\b({'|'.join(_WEEKDAYS)})s?\b|(?:周|星期|礼拜)([一二三四五六日天])", re.IGNORECASE)
_NOON = re.compile(r"\b(noon|midnight)\b|(正午|午夜|零点)", re.IGNORECASE)
# Units of which an article says one ("a week"), and those of which only a number does: "one pound", but "a pound" is money or weight at large.
_ARTICLE_SAYS = "second|minute|hour|day|night|week|fortnight|month|year|decade|percent|working day|business day|kilo|litre|liter|metre|meter|mile|tablet|cup|teaspoon|tablespoon|box"
_ONE_SAYS = "kilogram|gram|milligram|tonne|ton|pound|ounce|inch|foot|yard|acre|hectare|centimetre|centimeter|kilometre|kilometer|square metre|square meter|dollar|euro|gallon|pint|degree"
_HALVES = (
    (re.compile(r"(\d个?(?:小时|钟头)零?\d{1,2})分(?!钟)"), r"\1分钟"), (re.compile(r"(?<!每)(?<!每隔)(?<![\d.第])(\d+个?(?:小时|天|日|周|星期|礼拜|月|年))(?=[^\d,。;、\s内中里之以后天]{0,4}[一1]次)"), r"每\1"),
    (re.compile(r"(?i)\b(?:a )?quarter to (\d{1,2}|one)\b"), lambda m: f"{(int(m[1] if m[1].isdigit() else 1) - 2) % 12 + 1}:45"), (re.compile(r"(?i)\b(?:a )?quarter past (\d{1,2})\b"), r"\1:15"),
    (re.compile(r"(?i)\b(\d{1,2}(?::\d\d)?)(?: o['’]clock)? in the morning\b"), r"\1 am"), (re.compile(r"(?i)\b(\d{1,2}(?::\d\d)?)(?: o['’]clock)? (?:in the (?:afternoon|evening)|at night)\b"), r"\1 pm"),
    (re.compile(r"(?:时速|每1?小时)(约|达|可达|超过|最高)?(\d+(?:\.\d+)?)(?:公里|千米)"), r"\1\2公里/小时"),
    (re.compile(r"(?<![\d今明昨当次同每节假工周末生即近往前后全本去来某头几多])日(?=均|产|销|接待|发电|处理|供|运送|客流)"), "每1天"), (re.compile(r"(?<![\d今明昨当次同每近往前全本去来某头几多整学财])年(?=均|产|销|接待|发电|处理|供|薪|租|费|收益|降水|降雨)"), "每1年"),
    (re.compile(r"(?<![\d今明昨当次同每近往前后全本去来某头几多整])月(?=均|产|销|供|薪|租|费)"), "每1月"),
    (re.compile(r"每(?=个?(?:季度|月|周|星期|礼拜|天|年|小时|分钟|晚))"), "每1"), (re.compile(r"每日"), "每1天"), (re.compile(r"每半年"), "每6个月"), (re.compile(r"每1月"), "每1个月"), (re.compile(r"季度"), "季度"),
    (re.compile(r"(?i)\b(?:an|1) hour and a half\b"), "90 minutes"), (re.compile(r"(?i)\bhalf past (\d+)\b"), r"\1:30"), (re.compile(r"(?i)\bhalf (?:an )?hour\b"), "30 minutes"), (re.compile(r"(?i)\b(?:three|3)[- ]quarters of an hour\b"), "45 minutes"), (re.compile(r"(?i)\b(?:a )?quarter of an hour\b"), "15 minutes"),
    (re.compile(r"(?i)\b(?:every|each|per)(?= (?:second|minute|hour|day|night|week|month|year|quarter)\b)"), "every 1"), (re.compile(r"(?i)\bdaily\b"), "every 1 day"), (re.compile(r"(?i)\bweekly\b"), "every 1 week"),
    (re.compile(r"(?i)\bmonthly\b"), "every 1 month"), (re.compile(r"(?i)\b(?:annually|yearly)\b"), "every 12 months"), (re.compile(r"(?i)\bevery other (day|week|month|year)\b"), r"every 2 \1s"),
    (re.compile(r"(\d+)个半(小时|月|星期)"), r"\1.5个\2"), (re.compile(r"半年"), "6个月"), (re.compile(r"半个?小时|半个钟头"), "30分钟"), (re.compile(r"半个月"), "15天"), (re.compile(r"半天"), "0.5天"), (re.compile(r"[一1]刻钟"), "15分钟"), (re.compile(r"[三3]刻钟"), "45分钟"),
    (re.compile(r"一半|对半|半数|减半|半价|半数"), "50%"), (re.compile(r"(\d+)(年|天|公斤|斤|公里|小时)半"), r"\1.5\2"),
    (re.compile(r"翻了?(?:一番|倍)|加倍|双倍"), "2倍"), (re.compile(r"\d+分之\d+|[一二三四五六七八九十百]+分之[一二三四五六七八九十百]+"), None),
    (re.compile(r"(?<!\d)(\d)折"), r"\g<1>0%"), (re.compile(r"(?<!\d)(\d\d)折"), r"\1%"), (re.compile(r"(?<!\d)(\d\.\d)折"), None),
    (re.compile(r"(?i)\bhalf a year\b"), "6 months"), *((re.compile(rf"(?i)\b{word}(?= (?:working |business )?day\b)"), str(n)) for n, word in enumerate(("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), 2)),
    (re.compile(r"(?i)\bhalf a day\b"), "0.5 days"), (re.compile(r"(?i)\b(\d+) and a half\b"), r"\1.5"), (re.compile(r"(?i)\bhalf a (kilo|lit(?:er|re)|million|mile)"), r"0.5 \1"),
    (re.compile(r"(?i)\b(?:by )?half\b|\bhalv(?:e|es|ed|ing)\b"), "50%"), (re.compile(r"(?i)\btwo[- ]thirds?\b|\b2[- ]thirds?\b"), "66.7%"), (re.compile(r"(?i)\b(?:one|a)[- ](?:fifth)\b"), "20%"), (re.compile(r"(?i)\b(?:one|a)[- ]tenth\b"), "10%"), (re.compile(r"(?i)\b(?:one|a)[- ]third\b"), "33.3%"), (re.compile(r"(?i)\b(?:three|3)[- ]quarters\b"), "75%"),
    (re.compile(r"(?i)\b(?:one|a)[- ]quarter\b(?! of (?:a|the) year)"), "25%"), (re.compile(r"(?i)\b(?:two|2)[- ]?fold\b|\bdoubl(?:e|es|ed|ing)\b|\btwice as\b"), "2 fold"), (re.compile(r"(?i)\btripl(?:e|es|ed|ing)\b"), "3 fold"),
    (re.compile(r"(?i)\btwice (?=(?:its|the|his|her|their|that)\b)"), "2 fold "), (re.compile(r"(?i)\btwice\b"), "2 times"), (re.compile(r"(?i)\bonce\b(?= (?:a|per|every|each|daily|weekly|monthly)\b)"), "1 times"), (re.compile(r"(?i)\bthrice\b"), "3 times"),
    (re.compile(r"(?i)\ba dozen\b|\bone dozen\b"), "12"), (re.compile(rf"(?i)\b(?:(?:an?|one) (?:full|whole|entire|single)|one)(?= (?:{_ONE_SAYS}|{_ARTICLE_SAYS})\b)|\ban?(?= (?:{_ARTICLE_SAYS})\b)"), "1"),
)  # fmt: skip


_Row = tuple[re.Pattern[str], Any]  # what is looked for, and what is written for it: a template or a function


def _by_script(table: Sequence[_Row]) -> dict[tuple[bool, bool], list[_Row]]:
    """The rows of ``table`` that a text can need which has Han characters, and Latin letters."""
    rows = [(any(c > "\u4e00" for c in pattern.pattern), pattern, written) for pattern, written in table]
    return {
        (han, latin): [(pattern, written) for of_han, pattern, written in rows if (han if of_han else latin)]
        for han in (False, True)
        for latin in (False, True)
    }


_LATIN = re.compile("[A-Za-z]")
_HALVES_BY = _by_script([(pattern, written) for pattern, written in _HALVES if written is not None])
_CN = "零〇一二两三四五六七八九十百千万亿"
_PER_MILLE = re.compile(r"千分之([一二三四五六七八九]|\d+(?:\.\d+)?)(?![一二三四五六七八九十百千\d])")
_PERCENT = re.compile(rf"百分之([{_CN}]+|\d+(?:\.\d+)?)")
# 十分寒冷 is very cold, a 三角形 has no price and 加一点酒 is at no time; 十分钟, 零点十分, 十分之一 and a score of 十分 count, and so does 下午一点.
_NO_NUMBER = re.compile(
    r"(?<![\d零〇一二两三四五六七八九十百千万第满得打评分])(?<![\d零〇一二两三四五六七八九十]点)十分(?=[\u4e00-\u9fff])(?![钟之制以的])|三角(?=[形关洲恋铁债函])"
    r"|(?<![上下中正凌晨夜午日号天周在到至从约于过\d零〇一二三四五六七八九十百千万])一点(?![钟半整零过十二三四五前后左到至开集出发起~～—-])"
)
_WRITTEN = {"十分": "非常", "三角": "叁角", "一点": "少许"}


def _small(written: str) -> str:
    return (
        str("零一二三四五六七八九十".find(written))
        if written in "零一二三四五六七八九十"
        else written.replace("〇", "0")
    )


def _first_months(word: str, whole: str) -> str:
    count = int(word) if word.isdigit() else numerals.WORDS.get(word.lower(), 0)
    return f"January to {_MONTHS[count - 1].capitalize()}" if 1 < count <= 12 else whole


_ORDINALS = {
    word: n
    for n, word in enumerate(
        [
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
            "twentieth",
            "twenty-first",
        ],
        3,
    )
}
# The next day, feast days that have a date, and two numbers with one unit, before any numeral is read.
_EVERYDAY = (
    (re.compile(r"零点(?=[一二三四五六七八九十\d])"), "0点"), (re.compile(r"(?<![\d一二两三四五六七八九十百千万])([一二两三四五六七八九\d])([米块])([一二三四五六七八九]{1,2})(?![一二三四五六七八九十百千万个米块层楼名位人])"), lambda m: f"{_small(m[1].replace('两', '二'))}.{''.join(map(_small, m[3]))}{m[2]}"),
    (re.compile(r"头[一1]个|第一个"), "首个"), (re.compile(r"([一二两三四五六七八九十百千万]+)[多余来几](?=[个名位人元米天年岁])"), lambda m: f"{_value(m[1])}多"), (re.compile(r"(?<=\d)[余来几](?=[万亿千百个])"), "多"), (re.compile(r"(?<=[一二两三四五六七八九十百千\d])多(?=[万亿])"), ""),
    (re.compile(r"([零〇一二三四五六七八九十]|\d+)比([零〇一二三四五六七八九十]|\d+)(?![\u4e00-\u9fff]{0,4}[更还])"), lambda m: f"{_small(m[1])}:{_small(m[2])}"),
    (re.compile(r"([一二三四五六七八九十])[、和]([一二三四五六七八九十])两个月"), r"\1月、\2月"), (re.compile(r"(?<![满届到期日之以])前([二三四五六七八九十]|十一|\d{1,2})个月"), r"1月至\1月"), (re.compile(r"(?i)\bfirst (\w+) months\b"), lambda m: _first_months(m[1], m[0])),
    (re.compile(r"(?i)\b(\d{1,2})\.(\d{2})(?=\s?[ap]\.?m\b)"), r"\1:\2"), (re.compile(r"(?<!\d)(\d{1,2})到(\d{1,2})月"), r"\1月至\2月"),
    (re.compile(r"[一1]([年天])(?:里|之?中|当中)"), r"全\1"), (re.compile(r"(?i)\b(?:the )?(\d\d)00s\b"), lambda m: f"the {int(m[1]) + 1}th century"), (re.compile(r"(?i)\b(third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|twenty-first)(?=[ -](?:century|centuries|place|floor|time|day|year|month|week|round|edition)\b)"), lambda m: f"{_ORDINALS[m[1].lower()]}th"),
    (re.compile(r"((?:延长|缩短|延|缩|增)(?:至|到|为)|为期|共)([三四五六七八九]十[一二三四五六七八九]?|[3-9]\d)日"), r"\1\2天"),
    (re.compile(r"第[二2]天|翌日|隔[天日]|第[二2]日|转天"), "次日"),
    (re.compile(r"元旦节?"), "1月1日"), (re.compile(r"国庆(?:节|当天|日)"), "10月1日"), (re.compile(r"(?:五一|国际)?劳动节"), "5月1日"), (re.compile(r"圣诞(?:节|日)"), "12月25日"),
    (re.compile(r"平安夜"), "12月24日"), (re.compile(r"(?:六一|国际)?儿童节"), "6月1日"), (re.compile(r"教师节"), "9月10日"), (re.compile(r"情人节"), "2月14日"), (re.compile(r"(?:三八)?妇女节"), "3月8日"),
    (re.compile(r"(?i)\bnew year['’]s day\b"), "January 1"), (re.compile(r"(?i)\bnew year['’]s eve\b"), "December 31"), (re.compile(r"(?i)\bchristmas (?:day\b|(?!eve))"), "December 25 "), (re.compile(r"(?i)\bchristmas eve\b"), "December 24"),
    (re.compile(r"(?<![〇零一二三四五六七八九十百千万\d.])([一二两三四五六七八九]|\d{1,2})(?:[、和或至]第?)?(?<!\d)([一二三四五六七八九]|(?<=[、和或至第])\d{1,2})(?=(两)?个?(年级|月|天|日|号|楼|层|期|次|班|栋|座|人|名|位|小时|周|年(?!代)))"), r"\1\4、\2"),
)  # fmt: skip
_EVERYDAY_BY = _by_script(_EVERYDAY)
_WEEKDAY_NUMERAL = re.compile(rf"((?:周|星期|礼拜)[一二三四五六日天])(?=[{_CN}])")  # 周五九点 is not 59
_PERCENT_RANGE = re.compile(rf"百分之([{_CN}\d.]+)(到|至)(?:百分之)?([{_CN}\d.]+)")
# A numeral of several characters is a number whatever follows; a single one only where it counts something.
_LONG_NUMERAL = re.compile(
    rf"(?<![{_CN}几数第])(?:[一二两三四五六七八九][十百千万亿]|十[一二三四五六七八九])[{_CN}]*|[零〇一二三四五六七八九]{{4}}(?=年)"
)
_COUNTED = re.compile(
    r"(?<![第星期礼拜周初高小大])[二两三四五六七八九十](?=[名票册架辆棵头座家所户栋艘门科节讲场届期批轮局盏把支根颗块张页行排层楼级步项款章篇首句字部集季队班组档类样处点局胎口匹扇环股篮桶袋包勺碗盘壶罐遍趟圈滴粒夜%]|摄氏度|华氏度)"
)
_RANGE = re.compile(r"^\s?(?:至|到|-|–|~|to|or|或)\s?\d[\d.,]*")
_FRACTION = re.compile(r"([一二三四五六七八九十\d]+)分之([一二三四五六七八九十\d]+)")
_TENTHS = re.compile(r"(?<!\d)([1-9])成([一二三四五六七八九半])")  # 六成二 is 62 %
_DISCOUNT = re.compile(r"(?<!\d)(\d\.\d)折")
_SMALL_WORDS = re.compile(
    r"and|but|for|from|the|per|with|within|before|after|into|onto|than|that|this|over|under|are|was|were|has|had|not|out|off"
)
_BESIDE = re.compile(r"\s([a-z]{3,})(?=\s[a-z])")  # 20 new miles are miles
_ROUND = re.compile(
    r"约|近(?=\d)|左右|大约|将近|上下|\babout\b|\baround\b|\bnearly\b|\balmost\b|\broughly\b|\bapproximately\b|\bsome(?= \d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Measure:
    """``value`` in the base unit of ``kind`` (empty for a bare number); ``number`` as written, at ``start``."""

    kind: str
    value: float
    number: float
    start: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, a weekday or a time of day; what is not said is ``None``. ``minute`` counts from midnight."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    minute: int | None = None
    half_day_known: bool = True

    def agrees(self, other: Moment) -> bool:
        """Whether both name the same part, and none that contradicts."""
        pairs = (
            (self.year, other.year),
            (self.month, other.month),
            (self.day, other.day),
            (self.weekday, other.weekday),
        )
        if self.minute is not None and other.minute is not None:
            exact = self.half_day_known and other.half_day_known
            return self.minute == other.minute if exact else (self.minute - other.minute) % 720 == 0
        both = [a == b for a, b in pairs if a is not None and b is not None]
        return bool(both) and all(both)


@dataclass(frozen=True, slots=True)
class Quantities:
    measures: tuple[Measure, ...]
    moments: tuple[Moment, ...]
    rounded: bool


@lru_cache(maxsize=4096)
def quantities(text: str) -> Quantities:
    """All quantities of ``text``.

    >>> [(m.kind, round(m.value)) for m in quantities("两周内退货，运费 8 元").measures]
    [('minutes', 20160), ('yuan', 8)]
    >>> quantities("Open from 9 am on March 5th").moments[0].minute
    540
    """
    text = plain(text)
    moments: list[Moment] = []
    taken: list[tuple[int, int]] = []

    def free(span: tuple[int, int]) -> bool:
        return all(span[1] <= a or span[0] >= b for a, b in taken)

    for match in _CLOCK.finditer(text):
        found = match.groupdict()
        if not (
            found["minute"]
            or "点" in match[0]
            or "时" in match[0]
            or "o'clock" in match[0].lower()
            or found["half_day"]
        ):
            continue
        if int(found["hour"]) <= 24 and not re.match(r"\s?(?:小时|倍|%)", text[match.end() :]):
            moments.append(_clock(found))
            taken.append(match.span())
    for match in _NOON.finditer(text):
        moments.append(Moment(minute=720 if (match[1] or match[2]).lower() in ("noon", "正午") else 0))
    for pattern in _DATES:
        for match in pattern.finditer(text):
            date = _date(match.groupdict())
            if date and free(match.span()):
                moments.append(date)
                taken.append(match.span())
    for match in _WEEKDAY.finditer(text):
        name = (match[1] or match[2]).lower()
        moments.append(
            Moment(weekday=_WEEKDAYS.index(name) if match[1] else "一二三四五六日".find(name.replace("天", "日")))
        )
    measures = [_measure(match, text) for match in _NUMBER.finditer(text) if free(match.span("number"))]
    return Quantities(tuple(_added_up(measures, text)), tuple(moments), bool(_ROUND.search(text)))


@lru_cache(maxsize=2_048)  # the same sources answer again and again, and each check reads their sentences several times
def plain(text: str) -> str:
    """``text`` with numbers in digits and everyday fractions written out."""
    text = _NO_NUMBER.sub(lambda m: _WRITTEN[m[0]], unicodedata.normalize("NFKC", text))
    han = any(c > "\u4e00" for c in text)
    script = (han, _LATIN.search(text) is not None)
    for pattern, written in _EVERYDAY_BY[script]:
        text = pattern.sub(written, text)
    text = _numerals(text) if han else english_digits(text)
    for pattern, written in _HALVES_BY[script]:
        text = pattern.sub(written, text)
    return text


def _numerals(text: str) -> str:
    """``text`` with Chinese numerals, shares and discounts in digits."""
    text = _WEEKDAY_NUMERAL.sub(r"\1 ", text)
    text = _PERCENT_RANGE.sub(lambda m: f"{_value(m[1])}%{m[2]}{_value(m[3])}%", text)
    text = _PERCENT.sub(lambda m: f"{_value(m[1])}%", text)
    text = _PER_MILLE.sub(lambda m: f"{numerals.canonical(float(_value(m[1])) / 10)}%", text)
    text = _FRACTION.sub(lambda m: f"{_fraction(m[1], m[2]):.1f}%".replace(".0%", "%"), text)
    text = _LONG_NUMERAL.sub(_long, text)
    text = _COUNTED.sub(lambda m: _value(m[0]), numerals.with_digits(text))
    text = english_digits(text) if _LATIN.search(text) else text
    text = re.sub(
        r"([一二两三四五六七八九])([成折])(?!立|为|功|本|员|人|年|果)",
        lambda m: f"{int(numerals.chinese_value(m[1]) or 0)}{m[2]}",
        text,
    )
    text = _TENTHS.sub(lambda m: f"{m[1]}{_value(m[2]) if m[2] != '半' else 5}%", text)
    text = _DISCOUNT.sub(lambda m: f"{float(m[1]) * 10:.0f}%", text)
    return text


def _long(match: re.Match[str]) -> str:
    value = numerals.chinese_value(match[0])
    return match[0] if value is None else numerals.canonical(value)


def _value(written: str) -> str:
    value = numerals.chinese_value(written)
    return written if value is None else numerals.canonical(value)


def english_digits(text: str) -> str:
    """English number words as digits; ``one`` alone stays, because it is mostly a pronoun.

    >>> english_digits("Twenty-one days or two hundred and five pages, one of them")
    '21 days or 205 pages, one of them'
    """
    return _ENGLISH.sub(_digits, text)


_WORD = "|".join(sorted(numerals.WORDS, key=len, reverse=True))
_ENGLISH = re.compile(
    rf"\b(?:{_WORD})(?:[- ](?:{_WORD}|hundred|thousand|million|billion)|(?<=hundred) and (?:{_WORD})|(?<=hundred) (?:{_WORD}))*\b", re.IGNORECASE
)  # fmt: skip


def _digits(match: re.Match[str]) -> str:
    words = re.findall(r"[a-z]+", match[0].lower())
    if words == ["one"]:
        return match[0]
    total = part = 0.0
    for word in words:
        if word in numerals.WORDS:
            value = numerals.WORDS[word]
            if part % 10 and value < 100 and part % 100:  # "two three": not one number
                return match[0]
            part += value
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in ("thousand", "million", "billion"):
            total += (part or 1) * _LARGE[word]
            part = 0
    return numerals.canonical(total + part)


def _fraction(parts: str, of: str) -> float:
    low, high = (float(p) if p.isdigit() else numerals.chinese_value(p) or 1.0 for p in (parts, of))
    return 100 * high / low


def _clock(found: dict[str, str | None]) -> Moment:
    hour = int(found["hour"] or 0)
    minute = int(found["minute"] or found["minutes"] or (30 if found["half"] else 0))
    part, half = found["part"] or "", (found["half_day"] or "").lower()
    late = part in ("下午", "傍晚", "晚上", "晚间", "夜里") or half.startswith("p") or (part == "中午" and hour < 11)
    known = (
        bool(part or half) or hour > 12 or hour == 0 or bool(found["minute"] and (found["hour"] or "").startswith("0"))
    )
    if late and hour < 12:
        hour += 12
    elif half.startswith("a") and hour == 12:
        hour = 0
    return Moment(minute=hour * 60 + minute, half_day_known=known)


def _date(found: dict[str, str | None]) -> Moment | None:
    month = int(written) if (written := found.get("month")) else None
    if name := found.get("name"):
        month = next(i for i, full in enumerate(_MONTHS, 1) if full.startswith(name.lower().rstrip(".")[:3]))
    year, day = (int(value) if (value := found.get(part)) else None for part in ("year", "day"))
    if (month is not None and not 1 <= month <= 12) or (day is not None and not 1 <= day <= 31):
        return None
    return Moment(year, month, day)


def _measure(match: re.Match[str], text: str) -> Measure:
    number = float(match["number"].replace(",", "")) * _LARGE.get((match["large"] or "").lower(), 1.0)
    rest = text[match.end() :]
    if match["sign"]:
        kind = _SIGNS[match["sign"].lower()]
        return Measure(kind, number, number, match.start())
    rest = re.sub(r"^(?:多|余|几)", "", rest)
    rest = _RANGE.sub("", rest)  # the unit of 5 to 7 days is that of both
    if unit := _ANY_UNIT.match(rest):
        _, kind, size, _ = _UNITS[(unit.lastindex or 1) - 1]
        often = bool(re.search(r"(?:每隔?|every )$", text[: match.start()]))
        return Measure(f"every {kind}" if often else kind, number * size, number, match.start())
    beside = _BESIDE.match(rest)
    if beside and not _SMALL_WORDS.fullmatch(beside[1].lower()) and (unit := _ANY_UNIT.match(rest, beside.end(1))):
        _, kind, size, _ = _UNITS[(unit.lastindex or 1) - 1]
        return Measure(kind, number * size, number, match.start())
    return Measure("", number, number, match.start())


def _added_up(measures: list[Measure], text: str) -> list[Measure]:
    """1 hour 30 minutes is one measure of 90 minutes, beside its two parts."""
    found = list(measures)
    for one, two in itertools.pairwise(measures):
        between = text[one.start : two.start]
        if one.kind == two.kind and one.kind in _ADD_UP and one.value > two.value and _JOINED.fullmatch(between):
            found.append(Measure(one.kind, one.value + two.value, one.value + two.value, one.start))
    return found
