"""The search page in a real browser: type, open a source, filter, reload, save, and a slip with its way back."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.serving import CHROMIUM, chromium, quiet, served

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
WORDS_ONLY = {"TOUCHSTONE_CHAT": "scripted:demo", "TOUCHSTONE_EMBEDDING": "scripted:none"}


def first_card(page: Page, says: str = "") -> Locator:
    return page.get_by_role("list", name="Results").get_by_role("listitem").first.filter(has_text=says)


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
        first_card(page, "Annual leave (Leeds)").wait_for()
        page.get_by_text("Quoted from the documents").wait_for()

        # A key gets its cards from the server, and the run of the page brings those that stay.
        first_card(page, "Annual leave (Leeds)").wait_for()
        early = {"id": "p", "rank": 1, "title": "Early", "before": "", "marked": "", "after": "", "facts": []}
        told = {"typed": "", "count": "", "cards": [{**early, "folded": "", "verdict": None}]}
        page.route("**/direct", lambda route: route.fulfill(json=told))
        field.press_sequentially(" d")
        first_card(page, "Early").wait_for()
        first_card(page, "Annual leave (Leeds)").wait_for()
        page.unroute("**/direct")

        # Where the server does not answer, the run brings the cards.
        page.route("**/direct", lambda route: route.abort())
        field.fill("security key")
        first_card(page, "key").wait_for()
        page.unroute("**/direct")
        field.fill("annual leave in Leeds")
        first_card(page, "Annual leave (Leeds)").wait_for()
        quiet(page)

        # A source opens at its passage.
        first_card(page).get_by_role("button", name="Open").click()
        dialog = page.get_by_role("dialog")
        dialog.locator(".stMarkdownColoredBackground").first.wait_for()
        assert "25 days" not in dialog.inner_text(), "a section of the document"
        dialog.get_by_text("Whole document").click()
        dialog.get_by_text("25 days").first.wait_for()
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")

        # A filter stands in the address, and a reload keeps it and the query.
        page.get_by_role("button", name="Filter").click()
        page.get_by_role("button", name=re.compile(r"^Table( \(\d+\))?$")).click()
        first_card(page, ".csv").wait_for()
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["kind"], asked["q"]) == (["table"], ["annual leave in Leeds"])
        page.reload()
        first_card(page, ".csv").wait_for()
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


def test_upload_watch_search_open_ask_on_and_compare(tmp_path: Path) -> None:
    """A day's work: a folder and an upload come in, are searched, filtered, opened, asked about; two settings compared."""
    from playwright.sync_api import expect

    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "shed.md").write_text(
        "# Bicycle shed\n\n## Opening hours\n\nThe bicycle shed is open from six to ten.\n\n## Lock\n\nThe lock has the code 4711.\n",
        "utf-8",
    )
    (folder / "broken.json").write_text("{", "utf-8")
    with served(tmp_path / "home", tmp_path, HOME=str(tmp_path), **WORDS_ONLY) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-US")
        page.set_default_timeout(60_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        # A folder is added, its progress watched, and every file has its reason.
        page.goto(f"{address}/search?lang=en&view=documents")
        path = page.locator(".st-key-documents_path input")
        path.fill(str(folder))
        path.press("Enter")
        page.locator(".st-key-documents_sync button").first.click()
        page.get_by_text("1 added, 0 updated").wait_for()
        page.get_by_text("added 1 · failed 1").wait_for()
        # The table beside it, once it is drawn, has a hidden cell of the same text.
        page.get_by_text("~/handbook/shed.md").filter(visible=True).first.wait_for()

        # A file is uploaded; words find it at once.
        page.get_by_role("radio", name="My uploads").or_(page.get_by_text("My uploads", exact=True)).first.click()
        page.locator("input[type=file]").set_input_files(
            {
                "name": "note.md",
                "mimeType": "text/markdown",
                "buffer": b"# Bicycle pump\n\nThe bicycle pump hangs in the shed.\n",
            }
        )
        page.get_by_text("note.md can be found now.").wait_for()

        # Both are searched, then only the upload.
        page.locator(".st-key-search_view").get_by_text("Search", exact=True).click()
        field = page.get_by_placeholder("Search by words or meaning")
        field.press_sequentially("When is the bicycle shed open?", delay=10)
        first_card(page, "Bicycle shed").wait_for()
        quiet(page)  # a key's cards stand there before its run
        page.get_by_role("button", name="Filter").click()
        page.get_by_role("button", name=re.compile(r"^My uploads( \(\d+\))?$")).click()
        first_card(page, "Bicycle pump").wait_for()
        assert parse_qs(urlsplit(page.url).query)["in"] == ["mine"]
        page.get_by_role("button", name=re.compile(r"^My uploads( \(\d+\))?$")).click()
        page.keyboard.press("Escape")
        first_card(page, "Bicycle shed").wait_for()

        # The evidence opens in place once the answer is that of both, and another question is asked of the same document.
        page.locator(".st-key-search_answer", has_text="six to ten").wait_for()
        quiet(page)
        page.get_by_test_id("stExpander").filter(has_text="Sources").locator("summary").first.click()
        page.get_by_text("The bicycle shed is open from six to ten.").last.wait_for()
        page.locator("[class*=st-key-search_follow_]", has_text="Lock").locator("button").click()
        page.get_by_test_id("stChatMessage").filter(has_text="4711").wait_for()

        # The search is kept, and a document that comes later is news.
        page.get_by_role("button", name="Save search").click()
        page.locator(".st-key-search_saved_keep button").click()
        page.get_by_text("New matches are shown under Saved.").wait_for()
        page.keyboard.press("Escape")
        (folder / "shed-2.md").write_text("# New bicycle shed\n\nThe new bicycle shed is open all day.\n", "utf-8")
        page.goto(f"{address}/search?lang=en&view=documents")
        page.locator(".st-key-folder_again_0 button").first.click()
        page.get_by_text("1 added, 0 updated").wait_for()
        page.goto(f"{address}/search?lang=en&view=saved")
        page.get_by_text("1 new since today").wait_for()

        # Two settings side by side, then on judged queries.
        page.goto(f"{address}/search?lang=en&view=compare")
        page.locator(".st-key-compare_q input").fill("bicycle shed")
        page.get_by_text("New bicycle shed").first.wait_for()
        page.locator(".st-key-compare_A_mode").get_by_text(
            "Words", exact=True
        ).click()  # no embedding model, so no "Both"
        quiet(page)
        page.locator(".st-key-compare_B_help").get_by_text("Typing slips", exact=True).click()
        quiet(page)
        page.locator(".st-key-compare_measure button").first.click()
        page.get_by_text("recall@100").first.wait_for(timeout=120_000)
        expect(page.get_by_text("no difference beyond noise").first).to_be_visible()
        assert not problems
        assert page.get_by_test_id("stException").count() == 0
