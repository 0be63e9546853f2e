"""The sentiment desk in a real browser: from an alert to the marked sentence, a correction, and news of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.serving import CHROMIUM, chromium, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_from_an_alert_to_its_evidence_and_a_file_of_news(tmp_path: Path) -> None:
    variables = {"TOUCHSTONE_CHAT": "scripted:demo", "TOUCHSTONE_EMBEDDING": "scripted:hash"}
    (tmp_path / "mine.csv").write_text("title,source\n紫金矿业金矿发生事故，股价大跌,自有\n,自有\n", "utf-8")
    with served(tmp_path / "home", tmp_path, **variables) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="zh-CN")
        page.set_default_timeout(30_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        page.goto(f"{address}/sentiment?lang=zh")
        switch = page.get_by_test_id("stButtonGroup")
        page.get_by_test_id("stDataFrame").first.wait_for()
        switch.get_by_text("预警与简报", exact=True).click()
        alert = page.get_by_text("风险事件：违约").first
        alert.wait_for()
        page.locator("[class*=st-key-sentiment_alert_]").filter(has_text="查看").first.click()
        page.get_by_text("情绪及其不确定度").wait_for()
        assert "company=" in page.url

        page.goto(f"{address}/sentiment?lang=zh&company=x-changqiao")
        switch.get_by_text("公司", exact=True).click()
        marked = page.get_by_text("违约", exact=False).first
        marked.wait_for()

        switch.get_by_text("导入", exact=True).click()
        page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.csv")
        page.get_by_text("新增 1 条").wait_for()
        page.get_by_text("mine.csv").first.wait_for()
        (tmp_path / "companies.csv").write_text("id,zh,en\nq,夸文金属,Quorvane\n", "utf-8")
        page.locator("input[type=file]").last.set_input_files(tmp_path / "companies.csv")
        page.get_by_text("已收下 1 家公司").wait_for()
        switch.get_by_text("总览", exact=True).click()
        page.get_by_text("被报道的公司").wait_for()
        page.goto(f"{address}/sentiment?lang=zh&company=zijin")
        switch.get_by_text("公司", exact=True).click()
        page.get_by_text("金矿发生").first.wait_for()
        assert not problems
