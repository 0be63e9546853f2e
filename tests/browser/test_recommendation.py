"""Somebody new in a real browser: three clicks, a sentence in Chinese, a dislike; the list changes each time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.browser.serving import CHROMIUM, chromium, quiet, served

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


def test_new_here(tmp_path: Path) -> None:
    with served(tmp_path / "home", tmp_path, TOUCHSTONE_CHAT="scripted:demo") as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="zh-CN")
        page.goto(f"{address}/recommend?lang=zh")

        def shelf() -> list[str]:
            heads = (box.inner_text() for box in page.locator("strong").all())
            return [head for head in heads if head[:1].isdigit()]  # "1. Title"

        def new_shelf(before: list[str]) -> list[str]:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                quiet(page)
                if (found := shelf()) != before:
                    return found
            raise AssertionError("the list has not changed")

        starts = page.locator("[class*=st-key-start_]")
        starts.first.wait_for(timeout=60_000)
        popular = new_shelf([])
        assert len(popular) == 9
        for _ in range(3):
            known = starts.first.get_attribute("class")  # the thing offered first
            page.locator("[class*=st-key-start_] button").first.click()
            page.wait_for_function(
                "known => document.querySelector('[class*=st-key-start_]')?.className !== known", arg=known
            )
            quiet(page)
        assert starts.count() == 0
        mine = new_shelf(popular)
        box = page.get_by_test_id("stTextInput").locator("input").first
        box.fill("像《星环信使》但轻松一点")
        box.press("Enter")
        page.locator(".st-key-chip_concept_light").wait_for(timeout=30_000)
        wished = new_shelf(mine)
        page.locator("[class*=st-key-answer_]").first.get_by_text("少些").click()
        assert wished[0].partition(". ")[2] not in [title.partition(". ")[2] for title in new_shelf(wished)]
