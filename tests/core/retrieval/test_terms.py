"""Text to terms: Chinese without a dictionary, English stems, numbers, codes; and what sentences and numbers are."""

from __future__ import annotations

import doctest
import random
import unicodedata
from importlib import import_module

import pytest

from core.retrieval import numerals, sentences, tokens
from core.retrieval.concepts import concepts
from core.retrieval.postings import hashed
from core.retrieval.simplified import PAIRS, SIMPLIFIED
from core.retrieval.stem import stem

MODULES = [
    f"core.retrieval.{name}"
    for name in ("answerer", "check", "concepts", "fuse", "numerals", "sentences", "stem", "tokens")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    tried = doctest.testmod(import_module(name))
    assert tried.attempted > 0
    assert tried.failed == 0


def test_the_short_way_normalizes_every_character_alike() -> None:
    def long_way(text: str) -> str:
        return unicodedata.normalize("NFKC", text).lower().translate(SIMPLIFIED)

    characters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    assert [c for c in characters if tokens.normalized(c) != long_way(c)] == []
    usual = [c for c in characters if not tokens._UNUSUAL.search(c)]
    assert len(usual) > 21_000, "the short way is the usual one"
    rng = random.Random(3)
    for _ in range(300):  # none of them joins with what stands beside it
        text = "".join(rng.choices(usual, k=200))
        assert tokens.normalized(text) == long_way(text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("退货", "七天无理由退货"),
        ("7天", "七天无理由退货"),
        ("兩週退貨", "两周退货"),
        ("退货运费", "退貨運費由買家承擔"),
        ("ＫＴ－２１０", "the KT-210 kettle"),
        ("kt210", "the KT-210 kettle"),
        ("kt 210", "the KT-210 kettle"),
        ("KT-210", "kt210电水壶"),
        ("returning policies", "Returned under our policy"),
        ("1000 元", "满 1,000 元"),
        ("fifteen days", "15 days"),
        ("café", "cafe"),
        ("naïve approach", "naive approaches"),
    ],
)
def test_question_and_text_meet(question: str, text: str) -> None:
    assert set(tokens.query_terms(question)) & set(tokens.tokens(text)) - {"的"}
    assert len(set(tokens.query_terms(question)) & set(tokens.tokens(text))) >= len(tokens.query_terms(question)) / 3


def test_question_words_carry_no_weight() -> None:
    assert "怎么" not in tokens.query_terms("怎么退货")
    assert set(tokens.query_terms("How do I do the return?")) == {"return"}
    assert tokens.query_terms("什么") == ["什", "什么", "么"]  # nothing else is left
    assert tokens.content_terms("请问可以退货吗") == ["退货"]


def test_names_of_products_are_told_from_words_before_numbers() -> None:
    text = "买TW5 pro吗, KT-310 or kt 210, TW-5 product: in 30 days, on 8 May, USD 30, pay in 3, PW26110005"
    assert tokens.PRODUCT.findall(text) == ["TW5 pro", "KT-310", "kt 210", "TW-5"]


def test_codes_are_told_from_measures() -> None:
    assert tokens.codes("A 30min walk, 230 V, 10th of May, KT-310, TW-5 Pro, RV8, E2") == {"kt310", "tw5", "rv8", "e2"}


def test_terms_stay_apart() -> None:
    terms = ["kt-210", "kt_210", "kt210", "3.5", "35", "c++", "退货", "é", "e", "\ud800"]
    assert len({hashed(term) for term in terms}) == len(terms)
    assert hashed("退货") == 4943924484087360791  # the same in every process: it is stored


def test_simplified_is_a_map_of_single_characters() -> None:
    assert len(PAIRS) % 2 == 0
    assert len(SIMPLIFIED) == len(PAIRS) // 2
    assert not [c for c in SIMPLIFIED.values() if ord(c) in SIMPLIFIED]  # one step is enough
    assert "優惠碼請輸入".translate(SIMPLIFIED) == "优惠码请输入"
    assert "變更註冊、賠償、減價、連線、介紹、貼紙".translate(SIMPLIFIED) == "变更注册、赔偿、减价、连线、介绍、贴纸"


def test_everyday_traditional_characters_are_simplified() -> None:
    """Of the 5,401 characters of Big5's first level, in everyday use in Taiwan, those that GB 2312 does not have."""
    rows = [bytes((high, low)) for high in range(0xA4, 0xC7) for low in (*range(0x40, 0x7F), *range(0xA1, 0xFF))]
    everyday = {row.decode("big5", "ignore") for row in rows if row <= b"\xc6\x7e"} - {""}
    different = {c for c in everyday if not c.encode("gb2312", "ignore")}
    left = {c for c in different if ord(c) not in SIMPLIFIED}
    assert len(different) > 1500
    assert len(left) < 0.12 * len(different), f"rare ones, the same in both: {''.join(sorted(left))}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("保价 30 天。超过不补！可以吗？", ["保价 30 天。", "超过不补！", "可以吗？"]),
        ("他说：“可以。”然后走了。", ["他说：“可以。”", "然后走了。"]),
        ("It costs 3.5 GBP, i.e. little. Write to a.b@c.example. See No. 5.", ["It costs 3.5 GBP, i.e. little.", "Write to a.b@c.example.", "See No. 5."]),
        ("Dr. Wu, U.S. office. 24 hours.", ["Dr. Wu, U.S. office.", "24 hours."]),
        ("one\ntwo", ["one", "two"]),
        ("没有标点", ["没有标点"]),
        ("", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentences.spans(text)] == expected


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("自签收之日起十五天内，满两千元打九折", {"15", "2000", "9"}),
        ("一般情况下万一不行", set()),
        ("二〇二六年三月", {"2026", "3"}),
        ("3万5千", {"30000", "5000"}),
        ("百分之五", {"5"}),
        ("within twenty-one days, one of them", {"21"}),
        ("US$1,234.50 and 0.5 %", {"1234.5", "0.5"}),
    ],
)
def test_numbers(text: str, values: set[str]) -> None:
    assert values <= numerals.numbers(text)
    assert numerals.numbers(text) - values <= {"3", "5"}


def test_porter() -> None:
    words = {"caresses": "caress", "ponies": "poni", "agreed": "agre", "hopping": "hop", "filing": "file",
             "relational": "relat", "sensibiliti": "sensibl", "electricity": "electr", "adjustment": "adjust",
             "controlling": "control", "cease": "ceas", "by": "by"}  # fmt: skip
    assert {word: stem(word) for word in words} == words


def test_concepts_bridge_words_and_languages() -> None:
    assert "price_drop" in concepts("刚买就降价了，能退差价吗") & concepts(
        "we refund the difference when the price drops"
    )
    assert concepts("石头剪刀布") == frozenset()


@pytest.mark.parametrize(
    ("asked", "told", "name"),
    [
        ("寄拉萨也包邮吗", "偏远地区的包邮门槛为 199 元", "remote"),
        ("do you ship to Hawaii", "a surcharge applies in remote areas", "remote"),
        ("we use the kettles in our B&B", "products used in hotels are covered for 6 months", "business_use"),
        ("咖啡馆里用的保修多久", "商用的保修 6 个月", "business_use"),
        ("can I spend a dollar gift card here", "only in the currency printed on it", "currency"),
        ("下午五点付的钱", "16:00 以后付款的", "payment"),
        ("when is my card actually charged", "we take the payment on dispatch", "payment"),
        ("今天发得出来吗", "当天发货", "delivery"),
        ("a soundbar that was given to me", "a gift recipient is the first owner", "gift"),
    ],
)
def test_what_customers_say_and_what_documents_say_is_one_concept(asked: str, told: str, name: str) -> None:
    assert name in concepts(asked) & concepts(told)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("orders may travel in two parcels on different days", "price_drop"),
        ("how do you say good morning", "error"),
    ],
)
def test_a_word_of_many_uses_is_no_concept(text: str, name: str) -> None:
    assert name not in concepts(text)
