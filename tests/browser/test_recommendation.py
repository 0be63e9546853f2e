"""Somebody new in a real browser: three clicks, a sentence in Chinese, a dislike; the list changes each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.screenshots import settle
from tests.browser.serving import CHROMIUM, chromium, served

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


def test_new_here(tmp_path: Path) -> None:
    with served(tmp_path / "home", tmp_path, TOUCHSTONE_CHAT="scripted:demo") as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="zh-CN")
        page.goto(f"{address}/recommend?lang=zh")

        def shelf() -> list[str]:
            settle(page)
            heads = (box.inner_text() for box in page.locator("strong").all())
            return [head for head in heads if head[:1].isdigit()]  # "1. Title"

        page.locator("[class*=st-key-start_]").first.wait_for(timeout=60_000)
        popular = shelf()
        assert len(popular) == 9
        for _ in range(3):
            page.locator("[class*=st-key-start_] button").first.click()
            settle(page)
        assert page.locator("[class*=st-key-start_]").count() == 0
        mine = shelf()
        assert mine != popular
        box = page.get_by_test_id("stTextInput").locator("input").first
        box.fill("像《星环信使》但轻松一点")
        box.press("Enter")
        page.locator(".st-key-chip_concept_light").wait_for(timeout=30_000)
        wished = shelf()
        assert wished != mine
        page.locator("[class*=st-key-answer_]").first.get_by_text("少些").click()
        settle(page)
        assert wished[0].partition(". ")[2] not in [title.partition(". ")[2] for title in shelf()]
