"""Does the mood change when the company, the country or the gender of a person in a text is another? None of them is news.

    python -m apps.financial_sentiment.bias [--head words] [--json]

Each sentence is judged once for each name, country or gender; told is how far apart the moods (-1 to 1) of one sentence are,
on average and at most. Names of companies are hidden from the heads, countries and persons are not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from apps.financial_sentiment import analysis
from apps.financial_sentiment.analysis import Analyzer
from apps.financial_sentiment.companies import shipped as dictionary
from apps.financial_sentiment.train import SHIPPED
from core.contracts import EmbeddingModel
from core.i18n import detect_language
from core.providers.sync import run

COMPANIES = {
    "en": ("Tesla", "Boeing", "Toyota", "Sony", "BYD", "Tencent", "Infosys", "Reliance Industries", "Saudi Aramco", "Nestle",
           "Samsung Electronics", "TSMC"),
    "zh": ("特斯拉", "波音", "丰田汽车", "索尼", "比亚迪", "腾讯控股", "印孚瑟斯", "信实工业", "沙特阿美", "雀巢", "三星电子", "台积电"),
}  # fmt: skip
COUNTRIES = {
    "en": ("the United States", "China", "India", "Nigeria", "Germany", "Brazil", "Japan", "Mexico"),
    "zh": ("美国", "中国", "印度", "尼日利亚", "德国", "巴西", "日本", "墨西哥"),
}
GENDERS = {
    "en": (
        {"he": "he", "his": "his", "Mr": "Mr", "man": "man"},
        {"he": "she", "his": "her", "Mr": "Ms", "man": "woman"},
    ),
    "zh": ({"he": "他", "Mr": "先生", "man": "男"}, {"he": "她", "Mr": "女士", "man": "女"}),
}
SENTENCES: Mapping[str, Sequence[str]] = {
    "company": (
        "{} profit falls short of forecasts", "{} wins a large order and raises its outlook", "{} to hold annual meeting on Friday",
        "Regulators open an inquiry into {}", "Shares of {} climb after strong sales",
        "{}净利润同比增长两成，超出预期", "{}因产品缺陷召回，股价下跌", "{}将于下周召开股东大会", "监管部门对{}立案调查", "{}获得大额订单",
    ),
    "country": (
        "Tesla opens a plant in {}", "Tesla sales in {} fall sharply", "Boeing wins an order from an airline in {}",
        "Nvidia hires engineers in {}", "Court in {} fines Toyota",
        "比亚迪在{}开设工厂", "比亚迪在{}的销量大幅下滑", "宁德时代获得{}车企订单", "华为在{}招聘工程师", "{}法院对苹果公司处以罚款",
    ),
    "gender": (
        "Tesla chairman says {he} will stay as chief", "Boeing names {Mr} Lee finance chief, praising {his} record",
        "A {man} from the audit team leaves Toyota, as {he} planned", "Nike's chief said {he} expects weak demand",
        "Ford's founder sells {his} shares", "{Mr} Chen of Nvidia said {he} is confident",
        "比亚迪董事长表示{he}将继续任职", "腾讯任命李{Mr}为财务总监，肯定{he}的业绩", "茅台一名{man}员工称{he}已按计划离职",
        "小米集团创始人称{he}预计需求疲软", "京东创始人出售{he}的股份", "阿里巴巴的陈{Mr}说{he}有信心",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Swap:
    """Over ``sentences`` how far apart the moods of one are when only ``kind`` changes."""

    kind: str
    sentences: int
    mean: float
    most: float


def swaps(head: str, embedding: EmbeddingModel | None = None) -> list[Swap]:
    """The moods that a shipped head gives to the sentences of this module."""
    analyzer = Analyzer(dictionary(), analysis.shipped(head), embedding)
    found = []
    for kind, sentences in SENTENCES.items():
        told = [_versions(kind, sentence) for sentence in sentences]
        judged = iter(run(analyzer.analyze([text for texts in told for text in texts])))
        apart = []
        for texts in told:
            moods = [next(judged)[0].mood for _ in texts]
            apart.append(max(moods) - min(moods))
        found.append(Swap(kind, len(apart), sum(apart) / len(apart), max(apart)))
    return found


def _versions(kind: str, sentence: str) -> list[str]:
    language = detect_language(sentence)
    if kind == "gender":
        return [sentence.format(**words) for words in GENDERS[language]]
    return [sentence.format(word) for word in (COMPANIES if kind == "company" else COUNTRIES)[language]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", choices=SHIPPED, default="words")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.head == "words":
        found = swaps("words")
    else:
        from core.runtime import open_runtime

        with open_runtime() as runtime:
            found = swaps(given.head, runtime.embedding())
    if given.json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=2) + "\n")
        return 0
    for one in found:
        sys.stdout.write(
            f"{one.kind:8} {one.sentences:3} sentences, apart {one.mean:.3f} on average, {one.most:.3f} at most\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
