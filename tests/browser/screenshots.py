"""Pictures of the real pages: ``python -m tests.browser.screenshots`` writes those of the README into docs/images.

The Models page shows a test in light pictures and a hosted service in dark ones. ``--all FOLDER`` draws every page in
both languages, light and dark, at desk and phone width, to look at.
A question is asked with the embedded models over the sample shop, so the first run takes some minutes.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.recommendation import sample as taste_sample
from apps.search.service import SAMPLE
from core.i18n import message
from tests.browser.serving import ROOT, chromium, quiet, served
from tests.browser.trained import train_for_pictures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

IMAGES = ROOT / "docs" / "images"
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
PATHS = {
    "customer-service": "/support",
    "customer-acting": "/support",
    "desk": "/support",
    "manager": "/manager",
    "sentiment": "/sentiment",
    "recommendation": "/recommend",
    "models": "/models",
    "training": "/training",
    "home": "/",
}
WIDE = (1440, 1000)
SEARCHES = {  # what the search page is asked, by the name of its picture
    "search": {"zh": "出差住宿标准是多少", "en": "How many days of annual leave in Leeds"},
    "search-slip": {"zh": "chuchai canbu", "en": "secuirty key lost"},
    "search-refused": {"zh": "公司有没有健身房", "en": "Does the company have a gym for staff"},
    "search-empty": {"zh": "", "en": ""},
    "search-open": {"zh": "出差住宿标准是多少", "en": "What is the limit for hotels"},
    "search-filter": {"zh": "出差住宿标准是多少", "en": "annual leave"},
    "search-why": {"zh": "出差住宿标准是多少", "en": "annual leave in Leeds"},
    "search-judged": {"zh": "年假", "en": "annual leave"},
}
PARTS = ("saved", "compare", "documents")  # other parts of the search page
NEWS = {  # a document that comes after a search was saved
    "zh": ("补贴.md", "# 出差餐补\n\n2027 年起，出差餐补每天 120 元。\n"),
    "en": ("keys.md", "# Security key lost\n\nWho lost a security key tells the IT desk at once.\n"),
}
OWN_SHOP = "my-shop"  # a folder to import from; a copy of the sample
OF_TASTE = ("taste", "find", "one", "shop", "beside", "measured", "data")  # other parts of the recommendation page
PATHS |= dict.fromkeys((f"recommendation-{part}" for part in OF_TASTE), "/recommend")
PATHS |= dict.fromkeys(SEARCHES, "/search") | dict.fromkeys((f"search-{part}" for part in PARTS), "/search")
MANAGED = ("gaps", "answers", "policy", "intents", "try")  # other parts of the manager's page
PATHS |= dict.fromkeys((f"manager-{part}" for part in MANAGED), "/manager")
DESK_PARTS = (
    "company",
    "live",
    "groups",
    "alerts",
    "rules",
    "replay",
    "model",
    "news",
)  # other parts of the sentiment desk
PATHS |= dict.fromkeys((f"sentiment-{part}" for part in DESK_PARTS), "/sentiment")
TALL = 1500  # of a picture of the sentiment desk at phone width, and of a company with its items
QUESTIONS = {"zh": "KT-310 水壶的保修期是多久？", "en": "How long is the warranty of the KT-310 kettle?"}
WISHES = {  # the second goes on from the first
    "zh": ("像《星环信使》但轻松一点", "不要电影，关于太空的"),
    "en": ("Like “Courier of the Ring” but lighter", "no films, about space"),
}
RETURNS = {  # said one after another, so that the confirmation's card shows
    "zh": ("查订单 PW26110001，尾号 2468", "TW-5 Pro 我要退货，不想要了"),
    "en": ("track order PW26110005, ending 0312", "I want to return the TW-5 Pro, I changed my mind"),
}
DESK = {"zh": ("打开", "接手"), "en": ("Open", "Take over")}
TICKET = "where is the kettle I bought last week"  # what the model of the Training page is asked; it reads English
TRIED = {"zh": "订单 PW26110001 的耳机我要退货", "en": "I want to return the earbuds of order PW26110001"}
ANSWER_MS = 600_000


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture. Light and desk width go without saying in its name."""

    page: str  # of PATHS
    language: Literal["zh", "en"]
    scheme: Literal["light", "dark"] = "light"
    size: Literal["desk", "phone"] = "desk"

    @property
    def name(self) -> str:
        marks = [self.page, self.language]
        marks += [mark for mark in (self.scheme, self.size) if mark not in ("light", "desk")]
        return "-".join(marks) + ".png"


CURATED: tuple[tuple[Literal["zh", "en"], tuple[str, ...], str, int], ...] = (
    ("zh", ("可以在水壶上刻名字吗？", "支持刻字吗？"), "可以，最多 12 个字，另收 30 元，发货晚两天。", 23),
    (
        "en",
        ("Can you engrave a name on a kettle?",),
        "Yes: up to 12 letters, for 5 euros; it is sent two days later.",
        9,
    ),
    ("en", ("Is there a student discount?",), "Not at the moment; the autumn sale begins on 9 November.", 4),
)
PROPOSED: tuple[tuple[Literal["zh", "en"], str, str], ...] = (
    (
        "en",
        "Do you have a shop in Lisbon?",
        "Not yet. Our partner in Porto has all kettles on show; a visit needs no appointment.",
    ),
    ("zh", "公司采购可以开专票吗？", "可以，请把税号和抬头发到客服邮箱，当天开出。"),
)
FORTNIGHT: tuple[tuple[str, str | None, Any], ...] = (
    ("KT-210 几天内可以退货？", "question", "answered"),
    ("How long is the warranty on the TW-5 Pro?", "question", "answered"),
    ("When is the London store open on Sundays?", "question", "answered"),
    ("怎么开发票？", "question", "answered"),
    ("查订单 PW26110001", "track_order", "said"),
    ("2468", None, "done"),
    ("where is my order PW26110005", "track_order", "said"),
    ("我要退货", "start_return", "said"),
    ("I want to cancel PW26110003", "cancel_order", "done"),
    ("TN-3 还有货吗", "stock", "done"),
    ("谢谢", None, "small_talk"),
    ("转人工", None, "handed_over"),
    ("水壶上可以刻字吗", "question", "refused"),
    ("Can you engrave a name on the kettle?", "question", "refused"),
    ("里斯本有你们的店吗", "question", "refused"),
)
README = (
    Shot("customer-acting", "en"),
    Shot("customer-acting", "zh"),
    Shot("desk", "en"),
    Shot("desk", "zh"),
    Shot("manager", "en"),
    Shot("manager", "zh"),
    Shot("manager-policy", "en"),
    Shot("manager-answers", "en"),
    Shot("manager-answers", "zh"),
    Shot("manager-try", "zh"),
    Shot("manager", "zh", "light", "phone"),
    Shot("customer-acting", "en", "light", "phone"),
    Shot("desk", "zh", "light", "phone"),
    Shot("customer-service", "en"),
    Shot("customer-service", "zh"),
    Shot("customer-service", "zh", "dark", "phone"),
    Shot("search", "en"),
    Shot("search", "zh", "dark"),
    Shot("sentiment", "zh", "dark"),
    *(
        Shot(f"sentiment{part and '-'}{part}", language, "light", size)
        for part in ("", *DESK_PARTS)
        for language in ("en", "zh")
        for size in ("desk", "phone")
    ),
    Shot("recommendation", "en"),
    Shot("recommendation", "zh", "dark"),
    Shot("training", "en"),
    Shot("training", "zh"),
    Shot("training", "en", "light", "phone"),
    Shot("training", "zh", "dark", "phone"),
    *(
        Shot(f"recommendation-{part}", language, "light", size)
        for part in ("find", "beside", "measured", "data")
        for language in ("en", "zh")
        for size in ("desk", "phone")
    ),
    Shot("models", "en"),
    Shot("models", "zh", "dark"),
    Shot("home", "en"),
    Shot("home", "zh", "dark"),
)
ALL = tuple(
    Shot(*parts)  # type: ignore[arg-type]  # product gives plain strings
    for parts in itertools.product(PATHS, QUESTIONS, ("light", "dark"), SIZES)
)


def take(shots: Sequence[Shot], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if any(shot.page == "training" for shot in shots):
            train_for_pictures(place / ".touchstone")
        (place / OWN_SHOP).mkdir()
        for table in (taste_sample.ITEMS, taste_sample.INTERACTIONS):
            shutil.copy(table, place / OWN_SHOP)
        if any(shot.page.startswith("manager") for shot in shots):
            fortnight(place / ".touchstone")
        with served(place / ".touchstone", place, HOME=scratch) as address, chromium() as browser:
            for shot in shots:
                draw(browser, address, shot, folder / shot.name)


def fortnight(home: Path) -> None:
    """Two weeks of invented messages, so that the manager has something to see."""
    from apps.customer_service import CustomerService
    from apps.customer_service.turns import Noting, Turns
    from core.settings import load_settings, override
    from core.types import LOCAL, Caller

    shop = CustomerService.open(override(load_settings(), home=str(home)))
    draws, now = random.Random(4), time.time()
    for _ in range(70):
        talk, at = shop.conversations.create(LOCAL).id, now - draws.triangular(0, 7, 2) * 86_400
        for _ in range(draws.randint(1, 4)):
            asked, intent, outcome = draws.choice(FORTNIGHT)
            draft = shop.conversations.ask(LOCAL, talk, asked)
            draft.finish("done", "…")
            language: Literal["zh", "en"] = "en" if asked.isascii() else "zh"
            noting = Noting(0.0, language, intent, 0.9, outcome, draws.uniform(0.02, 0.4))
            Turns(shop.runtime.workspace).note(LOCAL, talk, draft.question_id, noting)
            times = [(at, draft.question_id)]
            cause = (
                "misses"
                if outcome == "refused" and draws.random() < 0.3
                else "asked"
                if outcome == "handed_over"
                else None
            )
            with shop.runtime.workspace.write() as db:
                db.executemany("UPDATE support_turns SET at=? WHERE question_id=?", times)
            if cause:
                case = shop.assistant.cases.open(LOCAL, talk, cause=cause, language=language, intent=intent, brief={})  # type: ignore[arg-type]
                with shop.runtime.workspace.write() as db:
                    db.execute(
                        "UPDATE desk_cases SET created_at=?, taken_at=?, closed_at=?, state='closed' WHERE id=?",
                        (at + 5, at + draws.uniform(30, 300), at + draws.uniform(400, 1500), case.id),
                    )
                break
            at += 40
    for language, asked, text, hits in CURATED:
        answer_id = shop.curated.save(LOCAL, questions=asked, text=text, language=language)
        for _ in range(hits):
            shop.curated.hit(LOCAL, answer_id)
    for language, question, text in PROPOSED:
        shop.curated.propose(Caller("local", "Lin"), shop.conversations.create(LOCAL).id, question, text, language)
    shop.close()


def draw(browser: Browser, address: str, shot: Shot, target: Path) -> None:
    width, height = WIDE if shot.page.startswith(("search", "manager")) and shot.size == "desk" else SIZES[shot.size]
    if shot.page.startswith("sentiment") and (shot.size == "phone" or shot.page.endswith("company")):
        height = TALL
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=shot.scheme,
        locale="zh-CN" if shot.language == "zh" else "en-US",
        device_scale_factor=1,
    )
    page = context.new_page()
    part = shot.page.partition("-")[2]
    more = f"&view={part}" if part in (*PARTS, *MANAGED) else ""
    page.goto(f"{address}{PATHS[shot.page]}?lang={shot.language}&role=embedding{more}")
    page.get_by_test_id("stHeading").first.wait_for(timeout=60_000)
    settle(page)
    if shot.page == "manager-try":
        page.locator(".st-key-try_message input").fill(TRIED[shot.language])
        page.keyboard.press("Enter")
        page.locator(".st-key-try_decision").wait_for(timeout=60_000)
    elif shot.page == "models" and shot.scheme == "light":
        page.locator(".st-key-models_test button").click()
        page.get_by_test_id("stMetric").first.wait_for(timeout=ANSWER_MS)
    elif shot.page == "models":
        page.get_by_test_id("stButtonGroup").get_by_text(
            {"zh": "对话", "en": "Chat"}[shot.language], exact=True
        ).click()
        settle(page)
        page.locator(".st-key-models_provider_chat").locator("input, button, [role=combobox]").first.focus()
        page.keyboard.type("DeepSeek")
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")
        page.get_by_label("API").first.wait_for(timeout=60_000)
    elif (of_taste := shot.page.removeprefix("recommendation-")) in OF_TASTE:
        taste(page, of_taste, shot.language)
    elif shot.page == "recommendation" and shot.scheme == "light":
        box = page.get_by_test_id("stTextInput").locator("input").first
        for said in WISHES[shot.language]:
            before = page.locator("[class*=st-key-chip_]").count()
            box.fill(said)
            box.press("Enter")
            page.locator("[class*=st-key-chip_]").nth(before).wait_for(timeout=60_000)
            settle(page)
    elif shot.page == "customer-service":
        box = page.get_by_test_id("stChatInputTextArea")
        box.fill(QUESTIONS[shot.language])
        box.press("Enter")
        page.get_by_test_id("stFeedback").first.wait_for(timeout=ANSWER_MS)
        page.get_by_test_id("stChatMessage").locator("summary").last.click()
    elif shot.page in ("customer-acting", "desk"):
        act(page, shot, address)
    elif asked := SEARCHES.get(shot.page, {}).get(shot.language):
        field = page.get_by_test_id("stTextInput").first.locator("input")
        field.fill(asked[:-1])  # the first search of a process opens the models and reads the words for query help
        card_button(page, "open").wait_for(timeout=ANSWER_MS)
        settle(page)
        field.fill(asked)
        settle(page)
        quiet(page, ANSWER_MS)
        if shot.page == "search":
            sources = page.locator(".st-key-search_answer").get_by_test_id("stExpander").first
            sources.locator("summary").click(timeout=ANSWER_MS)
        if shot.page == "search-slip":  # for the picture of what is saved
            page.get_by_test_id("stPopover").nth(1).locator("button").click()
            page.locator(".st-key-search_saved_keep button").click()
            settle(page)
            page.keyboard.press("Escape")
        opened(page, shot.page)
    elif shot.page == "search-saved":
        alert(page, shot.language)
    elif shot.page == "training":
        train(page)
    elif shot.page.startswith("sentiment-"):
        news(page, shot)
    elif shot.page == "search-compare":
        page.locator(".st-key-compare_q input").fill(SEARCHES["search"][shot.language])
        settle(page)
        page.locator(".st-key-compare_measure button").first.click()
        page.get_by_text("recall@100").first.wait_for(timeout=ANSWER_MS)
    elif shot.page == "search-documents":
        path = page.locator(".st-key-documents_path input")
        path.fill(str(SAMPLE / shot.language / "handbook"))
        path.press("Enter")
        page.locator(".st-key-documents_sync button").first.click()
        page.get_by_test_id("stAlert").first.wait_for(timeout=ANSWER_MS)
    settle(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # until a tip is gone
    page.screenshot(path=target)
    if shot.page == "training":  # as it was for the next picture
        page.locator(".st-key-training_rollback button").click()
        settle(page)
    context.close()


def opened(page: Page, name: str) -> None:
    """What a click on the search page opens: the document beside it, the filters with their counts, reasons, a judgment."""
    if name == "search-open":
        card_button(page, "open").click()
        page.get_by_role("dialog").locator(".stMarkdownColoredBackground").first.wait_for(timeout=ANSWER_MS)
    elif name == "search-filter":
        page.get_by_test_id("stPopover").first.locator("button").click()
    elif name == "search-why":
        card_button(page, "why").click()
        page.get_by_role("dialog").locator("table").first.wait_for(timeout=ANSWER_MS)
    elif name == "search-judged":
        card_button(page, "good").click()  # it answers; the result says so
        settle(page)


def card_button(page: Page, action: str) -> Locator:
    """A button of the first result."""
    return page.get_by_role("listitem").locator(f"button.{action}").first


def alert(page: Page, language: str) -> None:
    """A saved search with something new in it."""
    asked = SEARCHES["search-slip"][language]
    page.goto(page.url.replace("view=saved", f"q={asked}"))
    card_button(page, "open").wait_for(timeout=ANSWER_MS)
    settle(page)
    page.reload()  # by now the words for query help are read
    page.locator(".st-key-search_as_typed_button").wait_for(timeout=ANSWER_MS)
    settle(page)
    page.get_by_test_id("stPopover").nth(1).locator("button").click()
    page.locator(".st-key-search_saved_keep button").click()
    settle(page)
    page.keyboard.press("Escape")
    name, text = NEWS[language]
    page.locator(".st-key-search_view").get_by_text(message("search.view.documents", language), exact=True).click()
    page.locator(".st-key-documents_tab").get_by_text(message("search.documents.tab.uploads", language)).click()
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/markdown", "buffer": text.encode()}
    )
    settle(page)
    page.locator(".st-key-search_view").get_by_text(message("search.view.saved", language)).click()


def train(page: Page) -> None:
    """A version compared and promoted, and what it says of a text; the whole page, however long."""
    page.locator(".st-key-training_promote button").click()
    page.get_by_test_id("stAlert").first.wait_for(timeout=ANSWER_MS)
    settle(page)
    page.locator(".st-key-training_text input").fill(TICKET)
    page.keyboard.press("Enter")
    page.locator(".st-key-training_correct_save").wait_for(timeout=ANSWER_MS)
    settle(page)
    height = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})  # type: ignore[index]


def taste(page: Page, part: str, language: str) -> None:
    """Three things liked, so that there is a person to look at; then a part of the page, or one thing closely."""
    begin = page.locator("[class*=st-key-start_] button")
    while begin.count():  # whoever is at the page chose them for the picture before
        begin.first.click()
        settle(page)
    if part == "one":
        page.locator("[class*=st-key-answer_]").first.locator("button").last.click()
        return
    page.get_by_test_id("stButtonGroup").get_by_text(
        message(f"recommendation.view.{part}", language), exact=True
    ).click()
    settle(page)
    if part == "measured":
        if (begin := page.locator(".st-key-recommend_measure button")).count():  # else measured for the picture before
            begin.click()
        page.get_by_test_id("stDataFrame").first.wait_for(timeout=ANSWER_MS)
    elif part == "data":
        path = page.locator(".st-key-recommend_folder input")
        path.fill(f"~/{OWN_SHOP}")
        path.press("Enter")
        page.locator("[class*=st-key-recommend_import] button:enabled").wait_for(timeout=60_000)
        page.locator(".st-key-recommend_import").scroll_into_view_if_needed()


def news(page: Page, shot: Shot) -> None:
    """A part of the sentiment desk: a spike that was clicked, a replay at its end, figures that were measured."""
    part = shot.page.removeprefix("sentiment-")
    page.goto(f"{page.url}&company=x-changqiao")
    name = message(f"financial_sentiment.tab.{part}", shot.language)
    page.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).first.click()
    settle(page)
    if part == "company":
        bars = page.get_by_test_id("stVegaLiteChart").nth(1).locator("svg.marks .mark-rect path")
        spike = max((box for bar in bars.all() if (box := bar.bounding_box())), key=lambda box: box["height"])
        page.mouse.click(spike["x"] + spike["width"] / 2, spike["y"] + spike["height"] / 2)
    elif part == "replay":
        page.locator(".st-key-sentiment_replay_last button").first.click()
    elif part == "model":
        page.locator(".st-key-sentiment_measure button").locator("visible=true").first.click()
        page.get_by_test_id("stMetric").first.wait_for(timeout=ANSWER_MS)


def act(page: Page, shot: Shot, address: str) -> None:
    """An order looked up and a return to confirm; for the desk, the same handed over to a person who took it."""
    box = page.get_by_test_id("stChatInputTextArea")
    for number, said in enumerate(RETURNS[shot.language], 1):
        box.fill(said)
        box.press("Enter")
        page.get_by_test_id("stChatMessage").nth(2 * number - 1).wait_for(timeout=ANSWER_MS)
        settle(page)
    page.locator("[class*=st-key-confirm_True]").first.wait_for(timeout=60_000)
    if shot.page == "desk":
        page.locator(".st-key-support_person button").click()
        page.locator(".st-key-support_back").wait_for(timeout=60_000)
        page.goto(f"{address}/desk?lang={shot.language}")
        for label in DESK[shot.language]:
            page.get_by_role("button", name=label, exact=True).first.click()
            settle(page)
        page.locator(".st-key-desk_send").wait_for(timeout=60_000)


def settle(page: Page) -> None:
    """Wait until no script runs and nothing moves."""
    page.wait_for_timeout(1500)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')", timeout=120_000
    )
    page.wait_for_timeout(500)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", choices=PATHS, nargs="+", help="only these pages")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="draw every combination into FOLDER")
    chosen = parser.parse_args()
    wanted = [shot for shot in (ALL if chosen.all else README) if chosen.page is None or shot.page in chosen.page]
    take(wanted, chosen.all or IMAGES)
