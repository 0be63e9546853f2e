"""Companies in texts, masks, lexicon, events: pure functions, hand-made cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.financial_sentiment import events, lexicon, masking, zh_rows
from apps.financial_sentiment.companies import Company, Dictionary, parse, read, shipped, written
from apps.financial_sentiment.masking import OTHER, TARGET, mask
from core.errors import InputError, MissingFile

CASES = [
    ("苹果发布新款iPhone，京东方供应面板", ["apple", "boe"]),
    ("今年苹果丰收，果农高兴", []),
    ("Apple shares fell as Tesla (TSLA) rallied", ["apple", "tesla"]),
    ("An apple a day, on target", []),
    ("Visa rules for students changed", []),
    ("Visa Inc and Mastercard raise fees", ["visa", "mastercard"]),
    ("美的集团与格力电器同日涨停", ["midea", "gree"]),
    ("他度过了美的一天", []),
    ("中国石油化工股份有限公司公告", ["sinopec"]),
    ("中国石油宣布分红", ["cnpc"]),
    ("600519放量上涨", ["moutai"]),
    ("SH600519 与 0700.HK", ["moutai", "tencent"]),
    ("$NVDA beats; Nvidias of the world", ["nvidia"]),
    ("JD.com and PDD sink, Ｔｅｓｌａ rises", ["jd", "pdd", "tesla"]),
    ("GMail is not GM", []),
    ("平安夜快乐", []),
    ("平安的保费收入增长", ["pingan"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_companies_are_found_by_name_code_and_context(text: str, wanted: list[str]) -> None:
    assert [mention.company.id for mention in shipped().find(text)] == wanted


def test_places_are_those_of_the_text() -> None:
    text = "Ｔｅｓｌａ beats; tesla? Tesla again, 特斯拉"
    (mention,) = shipped().find(text)
    assert [text[a:b] for a, b in mention.spans] == ["Ｔｅｓｌａ", "Tesla", "特斯拉"]


def test_the_shipped_dictionary_is_sound() -> None:
    companies = shipped().companies.values()
    assert len(companies) >= 150
    owners: dict[str, str] = {}
    for company in companies:
        assert company.zh
        assert company.en
        assert all(code.count(".") >= 1 for code in company.codes), company
        for name, plain in company.names:
            assert owners.setdefault(name, company.id) == company.id, f"{name} has two owners"
            assert not plain or company.context, f"{name} is a plain word: say when {company.id} is meant"


def test_a_dictionary_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,zh,en,aliases\nmine,我的公司,My Firm,MF Group;Firm?\n", "utf-8")
    (mine,) = read(path)
    assert mine.aliases == ("MF Group", "Firm?")
    found = shipped().with_rows([mine]).find("MF Group rises, Tesla falls")
    assert [m.company.id for m in found] == ["mine", "tesla"]


def test_a_dictionary_survives_its_file() -> None:
    listed = list(shipped().companies.values())
    assert parse(written(listed), "companies.csv") == listed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,zh\n1,甲\n", "data_column"),
        ("id,zh,en\n,甲,A\n", "data_row"),
        ("id,zh,en\na,甲,A\na,乙,B\n", "data_duplicate"),
    ],
)
def test_a_bad_dictionary_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.reason == reason
    with pytest.raises(MissingFile):
        read(tmp_path / "none.csv")


def test_the_longest_name_wins() -> None:
    dictionary = Dictionary([Company("a", "平安", ""), Company("b", "平安银行", "")])
    assert [m.company.id for m in dictionary.find("平安银行与平安")] == ["b", "a"]


def test_a_mask_hides_every_name_and_keeps_the_words_around() -> None:
    text = "Acme rose 3.5%, but Bolt, hit by a recall, fell"
    masked = mask(text, [(0, 4)], [(20, 24)])
    assert masked.whole == f"{TARGET} rose 0%, but {OTHER} , hit by a recall, fell"
    assert masked.clause == f"{TARGET} rose 0%"
    assert masked.spoken == "the company rose 3.5%, but another company, hit by a recall, fell"
    other = mask(text, [(20, 24)], [(0, 4)])
    assert other.before.endswith("but")
    assert other.after.startswith(", hit by")


def test_overlapping_names_are_masked_once() -> None:
    assert mask("Tata Motors up", [(0, 11)], [(0, 4)]).whole == f"{TARGET} up"
    assert mask("甲公司涨", [], [(0, 3)]).whole == f"{OTHER} 涨"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("profit surges", 2),
        ("no profit", -1),
        ("公司否认违约", 1),
        ("利润大增，创新高", 3),
        ("shares tumble", -1),
        ("董事会召开会议", 0),
    ],
)
def test_pointing_words_with_negation(text: str, score: int) -> None:
    assert lexicon.score(text) == score


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("未能按期兑付债券，被证监会立案调查", ["default", "investigation"]),
        ("平台提现困难，负责人涉嫌非法集资", ["default", "fraud"]),
        ("公司否认参与传销", []),
        ("公司否认债务违约", []),
        ("CEO resigns amid SEC probe", ["resignation", "investigation"]),
        ("Company cuts full-year guidance after profit warning", ["guidance_cut"]),
        ("Carmaker recalls 3,000 vehicles", ["product_safety"]),
        ("The blast was heard for miles; the best year", ["accident"]),
        ("*ST甲停牌", ["delisting"]),
        ("董事长张三辞职", ["resignation"]),
        ("Judge dismisses lawsuit", []),
        ("The group posted record sales", []),
    ],
)
def test_risk_events(text: str, kinds: list[str]) -> None:
    assert [event.kind for event in events.events(text)] == kinds


def test_the_chinese_rows_are_many_varied_and_masked() -> None:
    rows = zh_rows.rows()
    labels = [row.label for row in rows]
    assert len(rows) >= 300
    assert min(labels.count(name) for name in ("positive", "neutral", "negative")) >= 80
    assert len({row.masked.whole for row in rows}) > 0.97 * len(rows)
    assert all(row.entity not in row.masked.spoken for row in rows)
    assert all(masking.TARGET in row.masked.whole for row in rows)
