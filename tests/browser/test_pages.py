"""Every page in a real browser: our theme, nothing asked from outside, nothing wider than a phone, both languages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from apps.ui.launch import THEME
from tests.browser.screenshots import PATHS, SIZES
from tests.browser.serving import CHROMIUM, chromium, quiet, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]
TITLES = {
    "/": {"zh": "试金石", "en": "Touchstone"},
    "/models": {"zh": "模型", "en": "Models"},
    "/recommend": {"zh": "个性化推荐", "en": "Recommendations"},
    "/support": {"zh": "智能客服", "en": "Customer service"},
    "/sentiment": {"zh": "金融舆情", "en": "Financial sentiment"},
    "/search": {"zh": "搜索", "en": "Search"},
    "/training": {"zh": "训练", "en": "Training"},
    "/manager": {"zh": "智能客服：管理", "en": "Customer service: manager"},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pages")
    with served(folder / "home", folder, TOUCHSTONE_CHAT="scripted:demo", TOUCHSTONE_EMBEDDING="scripted:hash") as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def rgb(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"


@pytest.mark.parametrize("path", TITLES)
@pytest.mark.parametrize(("size", "scheme"), [("desk", "dark"), ("phone", "light")])
def test_a_page_as_people_see_it(browser: Browser, address: str, path: str, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]  # a parameter is a plain string
        locale="zh-CN",
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}{path}?lang=zh")
    title = page.get_by_role("heading", level=1)
    title.wait_for(timeout=60_000)
    quiet(page)
    assert title.inner_text() == TITLES[path]["zh"]
    assert page.title() == f"{'首页' if path == '/' else TITLES[path]['zh']} · 试金石"
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    ground = page.get_by_test_id("stApp").evaluate("node => getComputedStyle(node).backgroundColor")
    theme = tomllib.loads(THEME.read_text("utf-8"))["theme"]
    assert ground == rgb(theme[scheme]["backgroundColor"])
    assert "PingFang SC" in title.evaluate("node => getComputedStyle(node).fontFamily")
    page.get_by_test_id("stButtonGroup").get_by_text("English").first.click()
    page.get_by_role("heading", level=1, name=TITLES[path]["en"], exact=True).wait_for(timeout=30_000)
    assert "lang=en" in page.url
    assert not page.get_by_test_id("stException").count()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))]
    context.close()


def test_every_page_is_looked_at() -> None:
    assert set(PATHS.values()) == set(TITLES)
