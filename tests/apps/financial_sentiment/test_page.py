"""The sentiment desk's page in both languages: overview, a company with its evidence, alerts, import, corrections."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from apps.financial_sentiment.views import state
from core.i18n import message
from core.types import LOCAL
from tests.apps.conftest import Open, words

PAGE = "financial_sentiment/views/desk.py"


def text(key: str, language: str, **params: object) -> str:
    return message(f"financial_sentiment.{key}", language, **params)


def whole(at: AppTest) -> None:
    assert not at.exception, at.exception
    assert "financial_sentiment." not in words(at)
    for language in ("zh", "en"):
        assert message("ui.error.unexpected", language, trace_id="").rstrip("：: ") not in words(at)


def look_at(at: AppTest, tab: str) -> AppTest:
    return at.button_group(key="sentiment_tab").set_value(tab).run()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_part_of_the_page(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language)
    whole(at)
    shown = at.dataframe[0].value
    name = {"zh": "天枢芯片", "en": "Tianshu Semi"}[language]
    assert name in list(shown.iloc[:, 0])

    at.session_state["sentiment_company"] = "x-changqiao"
    at = look_at(at, "company")
    whole(at)
    said = words(at)
    assert "十五亿元债券" in said
    assert text("event.default", language) in said
    assert "潮汐网" in said, "the copy is named"

    at = look_at(at, "alerts")
    whole(at)
    assert text("reason.burst", language, count=4, expected="0.3") in words(at)

    at = look_at(at, "news")
    whole(at)
    at.text_area(key="sentiment_try").set_value("贵州茅台净利润大增").run()
    whole(at)
    assert {"zh": "贵州茅台", "en": "Kweichow Moutai"}[language] in words(at)


def test_a_correction_is_kept_and_counts(open_page: Open) -> None:
    at = open_page(PAGE, "en")
    at.session_state["sentiment_company"] = "x-tianshu"
    at = look_at(at, "company")
    desk = state.desk()
    item = desk.reported("x-tianshu")[0]
    at.button_group(key=f"sentiment_label_{item.item.id}_x-tianshu").set_value("negative").run()
    assert desk.labels(LOCAL) == [(item.item.body, "x-tianshu", "negative")]
    assert desk.reported("x-tianshu")[0].mood.mood == -1.0
