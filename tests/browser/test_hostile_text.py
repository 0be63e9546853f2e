"""In a real browser: foreign text loads nothing, links nowhere and shows the characters it is written with."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.ui.inert import JOINER, UNSEEN, plain
from tests.apps.hostile import HOSTILE
from tests.browser.serving import CHROMIUM, chromium, served

PAGE = Path(__file__).parent / "hostile_page.py"
ACTING = "img, a[href], script, iframe, object, embed, video, audio, form, [onerror], [ontoggle], .katex, .mermaid"
DRAWN = "svg:not([data-testid=stElementToolbarButtonIcon]), [data-testid=stIconMaterial], [role=img]"
COLORED = ".stMarkdownColoredText, .stMarkdownColoredBackground, .stMarkdownBadge, .stMarkdownShimmer"
MARKUP = "strong, em, del, sub, sup, code, pre, ul, ol, table, blockquote, hr, h1, h2"
FORBIDDEN = {
    "inert": (ACTING, DRAWN, COLORED, MARKUP),
    "lines": (ACTING, DRAWN, COLORED, MARKUP),
    "marked": (ACTING, DRAWN, MARKUP),
    "formatted": (ACTING, DRAWN, COLORED),
    "label": (ACTING, COLORED, MARKUP),
}
LOOK = """([forbidden, count]) => Object.entries(forbidden).flatMap(([way, selectors]) =>
    [...Array(count).keys()].map(number => {
        const root = document.querySelector(`.st-key-case-${way}-${number}`);
        const found = [...root.querySelectorAll(selectors.join(", "))].map(n => n.outerHTML.slice(0, 200));
        return [way, number, root.innerText, found];
    }))"""

LOOK_AT_CARDS = """selectors => [...document.querySelector("[data-testid=stBidiComponentIsolated]").shadowRoot.querySelectorAll(".card")]
    .map(card => [
        [...card.querySelectorAll(".title, .text, .facts")].map(n => n.innerText),
        [...card.querySelectorAll(selectors.join(", "))].map(n => n.outerHTML.slice(0, 200)),
    ])"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_foreign_text_does_nothing(tmp_path: Path) -> None:
    with served(tmp_path / "home", tmp_path, entry=PAGE) as address, chromium() as browser:
        page = browser.new_page()
        left: list[str] = []
        page.on("request", lambda request: left.append(request.url))
        page.on("dialog", lambda dialog: left.append(f"dialog {dialog.message}"))
        page.goto(address)
        page.get_by_text("done", exact=True).wait_for(timeout=30_000)
        page.wait_for_timeout(500)
        looked = page.evaluate(LOOK, [FORBIDDEN, len(HOSTILE)])
        cards = page.evaluate(LOOK_AT_CARDS, [ACTING, DRAWN, COLORED, MARKUP])
    assert len(looked) == len(FORBIDDEN) * len(HOSTILE)
    for way, number, shown, found in looked:
        text = HOSTILE[number]
        assert not found, (way, text)
        if way in ("inert", "lines"):
            assert letters(shown.replace(JOINER, "")) == letters(UNSEEN.sub("", text))
    assert len(cards) == len(HOSTILE)
    for text, (shown, found) in zip(HOSTILE, cards, strict=True):
        assert not found, text
        said = letters(plain(text))
        assert list(map(letters, shown)) == [f"1{said}", said * 3, said, said]
    assert not [url for url in left if not url.startswith((address, "data:", "blob:"))]


def letters(text: str) -> str:
    return "".join(text.split())
