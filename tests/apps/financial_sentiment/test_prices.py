"""Prices beside the mood: what files of them may look like, what is refused, and none of the future."""

from __future__ import annotations

import pytest

from apps.financial_sentiment import Desk
from apps.financial_sentiment.prices import PriceColumns, end_of, guessed
from core.errors import InputError
from core.types import LOCAL, Caller

DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "company", "expected"),
    [
        ("date,close\n2026-03-02,10.5\n2026-03-03,11\n", "tesla", [("tesla", "2026-03-02", 10.5), ("tesla", "2026-03-03", 11.0)]),
        ("日期,股票代码,开盘,收盘\n20260302,600519.SH,1,\"1,432.50\"\n", "", [("moutai", "2026-03-02", 1432.5)]),
        ("Symbol,Date,Close/Last\nTSLA,2026/3/2,$401.2\n", "", [("tesla", "2026-03-02", 401.2)]),
        ("trade_date,price\n2026-03-02T23:30:00-05:00,7\n", "tesla", [("tesla", "2026-03-02", 7.0)]),
    ],
)  # fmt: skip
def test_files_of_several_kinds(desk: Desk, text: str, company: str, expected: list[tuple[str, str, float]]) -> None:
    count, refused = desk.add_prices(text, "p.csv", company=company)
    assert (count, refused) == (len(expected), [])
    kept = desk.prices.of(LOCAL, expected[0][0], 4e9)
    assert [(p.company, p.day, p.close) for p in kept] == expected


def test_a_bad_row_costs_only_itself(desk: Desk) -> None:
    text = "d,c,who\n2026-03-02,10,Tesla\nsoon,10,Tesla\n2026-03-03,-1,Tesla\n2026-03-03,nan,Tesla\n2026-03-03,9,Nobody\n,9,Tesla\n"
    count, refused = desk.add_prices(text, "p.csv", columns=PriceColumns("d", "c", "who"))
    assert count == 1
    assert [r.where for r in refused] == [f"p.csv:{n}" for n in (3, 4, 5, 6, 7)]
    for bad in ("", "a,b\n1,2\n"):
        with pytest.raises(InputError, match="no column"):
            desk.add_prices(bad, "p.csv", columns=PriceColumns(), company="tesla")
    with pytest.raises(InputError):
        desk.add_prices("", "empty.csv", company="tesla")
    assert guessed(["when", "what"]) == PriceColumns("when", "what", "")


def test_no_price_of_the_future_is_shown(desk: Desk) -> None:
    desk.add_prices("date,close\n2026-03-02,10\n2026-03-03,11\n2026-03-04,12\n", "p.csv", company="tesla")
    noon = end_of("2026-03-03") - DAY / 2
    assert [p.close for p in desk.prices.of(LOCAL, "tesla", noon)] == [10.0], "that day's close is not known at noon"
    assert [p.close for p in desk.prices.of(LOCAL, "tesla", noon + DAY, since=noon)] == [11.0]
    desk.add_prices("date,close\n2026-03-03,11.5\n", "p.csv", company="tesla")
    assert [p.close for p in desk.prices.of(LOCAL, "tesla", 4e9)] == [10.0, 11.5, 12.0], "replaced"
    assert not desk.prices.of(Caller(tenant="another"), "tesla", 4e9)
    desk.prices.delete(LOCAL, "tesla")
    assert not desk.prices.of(LOCAL, "tesla", 4e9)
