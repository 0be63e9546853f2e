"""The Training page in a real browser: upload a CSV, train a head, compare, promote, roll back, correct."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.serving import CHROMIUM, chromium, served
from tests.core.training.conftest import rows, table

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_from_an_upload_to_a_model_that_serves_and_back(tmp_path: Path) -> None:
    variables = {"TOUCHSTONE_CHAT": "scripted:demo", "TOUCHSTONE_EMBEDDING": "scripted:hash"}
    headlines = table(tmp_path / "headlines.csv", rows())
    other = table(tmp_path / "noise.csv", rows(noise=True))
    with served(tmp_path / "home", tmp_path, **variables) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
        page.set_default_timeout(30_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        def train(file: Path, name: str) -> None:
            page.goto(f"{address}/training?lang=en")
            page.locator("input[type=file]").set_input_files(file)
            page.get_by_label("Name under which it can serve").fill(name)
            page.get_by_role("button", name="Check and train").click()
            page.get_by_role("button", name="Compare and promote").wait_for()

        train(headlines, "stock")
        page.get_by_text("Nothing to complain about").wait_for()
        page.get_by_role("button", name="Compare and promote").click()
        page.get_by_text("is version 1 now").wait_for()
        page.screenshot(path=tmp_path / "promoted.png", full_page=True)
        train(other, "stock")
        page.get_by_role("button", name="Promote all the same").click()
        page.get_by_text("is version 2 now").wait_for()
        page.get_by_role("button", name="Roll back").click()
        page.get_by_text("is version 1 again").wait_for()
        page.get_by_label("The text to classify.").fill("Acme stock soars")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Keep as correction").click()
        page.get_by_text("Corrections to learn from: 1").wait_for()
        page.screenshot(path=tmp_path / "corrected.png", full_page=True)
        page.goto(f"{address}/training?lang=zh")
        page.get_by_text("比较并投入使用").wait_for()
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=tmp_path / "phone.png")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.screenshot(path=tmp_path / "zh.png")
        assert not problems
