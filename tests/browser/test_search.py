"""The search page in a real browser: type, open a source, filter, reload, save, and a slip with its way back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.serving import CHROMIUM, chromium, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
WORDS_ONLY = {"TOUCHSTONE_CHAT": "scripted:demo", "TOUCHSTONE_EMBEDDING": "scripted:none"}


def test_from_the_first_key_to_the_saved_table(tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with served(tmp_path / "home", tmp_path, **WORDS_ONLY) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-US")
        page.set_default_timeout(60_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        # What is typed is searched as it is typed: nobody presses Enter.
        page.goto(f"{address}/search?lang=en")
        field = page.get_by_placeholder("Search by words or meaning")
        field.press_sequentially("annual leave in Leeds", delay=30)
        page.locator(".st-key-card_1", has_text="Annual leave (Leeds)").wait_for()
        page.get_by_text("Quoted from the documents").wait_for()

        # A source opens at its passage.
        page.locator(".st-key-open_1 button").click()
        dialog = page.get_by_role("dialog")
        dialog.locator(".stMarkdownColoredBackground").first.wait_for()
        assert "25 days" in dialog.inner_text()
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")

        # A filter stands in the address, and a reload keeps it and the query.
        page.get_by_role("button", name="Filter").click()
        page.get_by_role("button", name="Table", exact=True).click()
        page.locator(".st-key-card_1", has_text=".csv").wait_for()
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["kind"], asked["q"]) == (["table"], ["annual leave in Leeds"])
        page.reload()
        page.locator(".st-key-card_1", has_text=".csv").wait_for()
        expect(field).to_have_value("annual leave in Leeds")
        page.get_by_role("button", name="Filter (1)").wait_for()

        # The table that is saved holds what is shown.
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as saved:
            page.get_by_role("button", name="CSV").click()
        table = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8-sig"))))
        assert table
        assert all(row["source"].endswith(".csv") for row in table)
        page.keyboard.press("Escape")

        # A slip is corrected, and a click takes it as it was typed.
        page.goto(f"{address}/search?lang=zh&q=chuchai%20canbu")
        page.get_by_text("出差餐补").first.wait_for()
        page.get_by_role("button", name="仍然搜索").click()
        page.get_by_role("button", name="仍然搜索").wait_for(state="detached")
        assert not problems
        assert page.get_by_test_id("stException").count() == 0
