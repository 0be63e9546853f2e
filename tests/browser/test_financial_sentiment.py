"""The sentiment desk in a real browser: from an alert to the marked sentence, a correction, and news of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.serving import CHROMIUM, chromium, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the journeys of this file."""
    place = tmp_path_factory.mktemp("desk")
    variables = {"TOUCHSTONE_CHAT": "scripted:demo", "TOUCHSTONE_EMBEDDING": "scripted:hash"}
    with served(place / "home", place, **variables) as found:
        yield found


def test_from_an_alert_to_its_evidence_and_a_file_of_news(address: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("title,source\n紫金矿业金矿发生事故，股价大跌,自有\n,自有\n", "utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="zh-CN")
        page.set_default_timeout(30_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        page.goto(f"{address}/sentiment?lang=zh")
        switch = page.get_by_test_id("stButtonGroup")
        page.get_by_test_id("stDataFrame").first.wait_for()
        switch.get_by_text("预警与简报", exact=True).click()
        alert = page.get_by_text("风险事件：破产重整").first
        alert.wait_for()
        page.locator("[class*=st-key-sentiment_alert_]").filter(has_text="查看").first.click()
        page.get_by_text("情绪及其不确定度").wait_for()
        assert "company=" in page.url

        page.goto(f"{address}/sentiment?lang=zh&company=x-changqiao")
        switch.get_by_text("公司", exact=True).click()
        page.get_by_text("违约", exact=False).first.wait_for()
        bars = page.get_by_test_id("stVegaLiteChart").nth(1).locator("svg.marks .mark-rect path")
        bars.first.wait_for(state="attached")
        boxes = [box for bar in bars.all() if (box := bar.bounding_box())]
        spike = max(boxes, key=lambda box: box["height"])
        page.mouse.click(spike["x"] + spike["width"] / 2, spike["y"] + spike["height"] / 2)
        page.get_by_role("heading", name=re.compile(r"\d{4}-\d\d-\d\d 的原因")).wait_for()
        page.get_by_text("多只存续债").first.wait_for()
        page.get_by_text("债权人会议召开").wait_for(state="detached")  # of another day

        switch.get_by_text("导入", exact=True).click()
        page.locator(".st-key-sentiment_files input[type=file]").set_input_files(tmp_path / "mine.csv")
        page.get_by_text("新增 1 条").wait_for()
        page.get_by_text("mine.csv").first.wait_for()
        (tmp_path / "companies.csv").write_text("id,zh,en\nq,夸文金属,Quorvane\n", "utf-8")
        page.locator(".st-key-sentiment_companies input[type=file]").set_input_files(tmp_path / "companies.csv")
        page.get_by_text("已收下 1 家公司").wait_for()
        switch.get_by_text("总览", exact=True).click()
        page.get_by_text("被报道的公司").wait_for()
        page.goto(f"{address}/sentiment?lang=zh&company=zijin")
        switch.get_by_text("公司", exact=True).click()
        page.get_by_text("金矿发生").first.wait_for()
        assert not problems


def test_a_rule_is_made_and_fires_on_the_past(address: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
        page.set_default_timeout(30_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        page.goto(f"{address}/sentiment?lang=en")
        page.get_by_test_id("stDataFrame").first.wait_for()
        switch = page.get_by_test_id("stButtonGroup")
        switch.get_by_text("Alerts", exact=True).click()
        heading = page.get_by_role("heading", name=re.compile(r"Alerts of 30 days \(\d+\)"))
        heading.wait_for()
        before = int(heading.inner_text().rpartition("(")[2].rstrip(")"))

        switch.get_by_text("Rules", exact=True).click()
        page.locator(".st-key-sentiment_rule input").first.click()
        page.get_by_role("option", name="A new one").first.click()
        name = page.get_by_label("Name of the rule")
        name.fill("lively")
        name.press("Enter")
        least = page.get_by_label("At least so many items in 24 hours")
        least.fill("3")
        least.press("Enter")
        page.get_by_text(re.compile(r"It would have fired [1-9]\d* times")).wait_for()
        page.wait_for_timeout(1500)
        page.locator(".st-key-sentiment_rule_save button").click()
        page.locator(".st-key-sentiment_rule_delete").wait_for()  # there for rules that are kept

        switch.get_by_text("Alerts", exact=True).click()
        heading.wait_for()
        page.wait_for_function(
            "before => [...document.querySelectorAll('h4')].some(h => Number((h.innerText.match(/\\((\\d+)\\)/) || [0, 0])[1]) > before)",
            arg=before,
        )
        switch.get_by_text("Replay", exact=True).click()
        page.get_by_text("None yet.").wait_for()
        page.locator(".st-key-sentiment_replay_play button").first.click()
        page.get_by_text("2 / 124").wait_for()  # the clock goes on by itself
        page.locator(".st-key-sentiment_replay_last button").first.click()
        page.get_by_text("· lively").first.wait_for()
        page.locator("[class*=st-key-sentiment_replay_lively] button").first.click()
        page.wait_for_url("**company=**")
        page.get_by_text("Mood, with its uncertainty").first.wait_for()
        assert not problems
