"""The customer-service page in a real browser: stream, stop, sources, thumbs, and a document added while it is open."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apps.customer_service.shop.data import RETURNS
from core.conversations import Conversations
from core.types import LOCAL
from core.workspace import Workspace
from tests.browser.serving import CHROMIUM, ROOT, chromium, quiet, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

STEPS = [f"清洗月光灯的第{n}步是{what}。" for n, what in zip("一二三四五六七八", (
    "拔下电源插头", "等待十分钟冷却", "取下玻璃灯罩", "用温水冲洗灯罩", "擦干灯罩内侧", "检查橡胶密封圈", "装回玻璃灯罩", "插上电源试灯",
), strict=True)]  # fmt: skip
LAMP = "# 月光灯清洗说明\n\n" + "".join(STEPS) + "\n"
ANSWER = "".join(step + "[1]" for step in STEPS)
# The first answer takes minutes, so that Stop is pressed in the middle of it on any machine; asked again, it comes at once.
SCRIPT = f"""
rules:
  - match: 月光灯
    reply: "{ANSWER * 20}"
    delay_s: 0.3
    chunk: 4
    times: 1
  - match: 月光灯
    reply: "{ANSWER}"
  - match: '(?s)<source n="1"[^>]*>.*?(?P<first>[^\\n。]*密码[^\\n。]*。)'
    reply: "{{first}}[1]"
"""
BIKE = "# 员工自行车\n\n员工自行车的车锁密码是 4711。自行车停放在地下二层 B 区。\n"


def index(home: Path, folder: Path, name: str, text: str) -> None:
    """``touchstone index FILE``, in a terminal of its own."""
    (folder / name).write_text(text, "utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TOUCHSTONE_HOME": str(home),
        "TOUCHSTONE_EMBEDDING": "scripted:none",
    }
    subprocess.run(
        [sys.executable, "-m", "apps.cli", "index", str(folder / name)],
        cwd=folder,
        env=environment,
        check=True,
        timeout=120,
    )


def bare(sentence: str) -> str:
    return sentence.rstrip("。")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def quoting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server for the journeys in which nothing is written, its desk open at any hour."""
    folder = tmp_path_factory.mktemp("quoting")
    variables = {"TOUCHSTONE_CHAT": "embedded:smollm2", "TOUCHSTONE_EMBEDDING": "scripted:none"}
    variables["PYTHONPATH"] = os.pathsep.join([always_open(folder), str(ROOT)])
    with served(folder / "home", folder, **variables) as address:
        yield address


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """A page of somebody who comes for the first time."""
    with browser.new_context(viewport={"width": 1280, "height": 800}, locale="zh-CN") as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield page
        assert page.get_by_test_id("stException").count() == 0


def test_a_conversation_from_the_first_question_to_the_thumb(tmp_path: Path, browser: Browser) -> None:
    home = tmp_path / "home"
    (tmp_path / "slow.yaml").write_text(SCRIPT, "utf-8")
    index(home, tmp_path, "lamp.md", LAMP)
    variables = {"TOUCHSTONE_CHAT": "scripted:slow.yaml", "TOUCHSTONE_EMBEDDING": "scripted:none"}
    with served(home, tmp_path, **variables) as address, opened(browser) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        # It streams, and Stop keeps what has come.
        page.goto(f"{address}/support")
        quiet(page)  # Streamlit takes Stop away when the run before the question ends after it was sent
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("怎么清洗月光灯？")
        field.press("Enter")
        answer = page.get_by_test_id("stChatMessage").nth(1).get_by_test_id("stMarkdown").first
        answer.get_by_text(bare(STEPS[1])).wait_for()
        assert bare(STEPS[6]) not in answer.inner_text(), "not all at once"
        page.get_by_test_id("stChatInputStopButton").click()
        page.get_by_text("已停止").wait_for()
        assert bare(STEPS[1]) in answer.inner_text()
        page.wait_for_timeout(1500)
        assert bare(STEPS[7]) not in answer.inner_text(), "the model went on after Stop"
        assert page.get_by_test_id("stChatInputStopButton").count() == 0

        # It is there after a reload, and can be asked again to its end.
        assert re.search(r"[?&]c=[\w-]{8,}", page.url)
        page.reload()
        page.get_by_text("已停止").wait_for()
        assert bare(STEPS[1]) in answer.inner_text()
        page.get_by_role("button", name="再问一次").click()
        page.get_by_text("由模型撰写").wait_for()
        assert bare(STEPS[7]) in answer.inner_text()

        # The sources open in place, with the quote marked in its passage.
        page.get_by_test_id("stExpander").get_by_text("出处").click()
        page.locator(".stMarkdownColoredBackground", has_text=bare(STEPS[0])).first.wait_for()

        # A thumb with a reason, stored beside trace, model and prompt.
        page.get_by_test_id("stFeedback").locator("button").nth(1).click()
        reason = page.get_by_role("textbox", name="哪里不对？（可不填）")
        reason.fill("少了图")
        reason.press("Enter")
        page.get_by_text("谢谢。").first.wait_for()

        # A document that a terminal adds while the page is open is found by the next question.
        index(home, tmp_path, "bike.md", BIKE)
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("员工自行车的车锁密码是多少？")
        field.press("Enter")
        page.get_by_text("员工自行车的车锁密码是 4711").first.wait_for()
        assert not problems

    workspace = Workspace.open(home)
    (feedback,) = Conversations(workspace, "customer_service").feedback(LOCAL)
    workspace.close()
    assert (feedback.up, feedback.comment) == (False, "少了图")
    assert feedback.trace_id
    assert feedback.model
    assert feedback.prompt
    assert feedback.prompt.startswith("grounded_answer@")


def test_conversations_and_documents_at_the_side(quoting: str, browser: Browser) -> None:
    """Dialogs, which the page tests without a browser cannot click through."""
    with opened(browser) as page:
        page.goto(f"{quoting}/support?lang=en")
        say(page, "hello")
        page.get_by_text("Ask me anything").wait_for()

        page.get_by_role("button", name="My documents").click()
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            [
                {"name": "bike.md", "mimeType": "text/markdown", "buffer": BIKE.encode()},
                {"name": "bad.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 nothing"},
            ]
        )
        page.get_by_text("bike.md can be asked about now.").wait_for()
        page.get_by_text("'bad.pdf' cannot be read").wait_for()
        page.get_by_test_id("stDialog").get_by_role("button", name="Close").click()
        say(page, "员工自行车的车锁密码是多少？")
        page.get_by_text("员工自行车的车锁密码是 4711").first.wait_for()

        menu = page.get_by_test_id("stMenuButton").get_by_role("button").first
        menu.click()
        page.get_by_text("Rename", exact=True).click()
        title = page.get_by_test_id("stDialog").get_by_role("textbox", name="Title")
        title.fill("A greeting")
        title.press("Enter")
        page.get_by_test_id("stDialog").get_by_role("button", name="Save").click()
        page.get_by_test_id("stSidebar").get_by_text("A greeting").wait_for()
        menu.click()
        page.get_by_text("Delete", exact=True).click()
        page.get_by_test_id("stDialog").get_by_role("button", name="Delete").click()
        page.get_by_text("What would you like to know?").wait_for()
        assert page.get_by_test_id("stSidebar").get_by_text("A greeting").count() == 0


def test_a_return_and_a_person(quoting: str, browser: Browser) -> None:
    """Ask, look up an order, start a return, confirm, ask for a person, be answered, come back to the assistant."""
    with opened(browser) as page, opened(browser) as desk:
        page.goto(f"{quoting}/support?lang=zh")
        say(page, "KT-210 几天内可以退货？")
        page.get_by_text("15 天").first.wait_for()
        say(page, "查订单 PW26110001")
        page.get_by_text("手机号的后四位").first.wait_for()
        say(page, "2468")
        page.get_by_text("¥998.00").wait_for()
        say(page, "TW-5 Pro 我要退货")
        page.get_by_test_id("stButtonGroup").get_by_text("不想要了").click()
        page.get_by_role("button", name="确认办理").click()
        page.get_by_text(f"退货单号 RT{len(RETURNS) + 1:06d}").wait_for()
        assert page.get_by_role("button", name="确认办理").count() == 0
        page.get_by_role("button", name="转人工").click()
        page.get_by_text("在此期间我不再插话").wait_for()

        desk.goto(f"{quoting}/desk?lang=zh")
        desk.get_by_role("button", name="打开").click()
        desk.get_by_role("button", name="接手").click()
        page.get_by_text("人工客服已加入对话").wait_for()  # without a click of the customer
        say(page, "取件员什么时候来？")
        desk.get_by_text("取件员什么时候来？").first.wait_for()
        desk.get_by_role("textbox", name="您的回复").fill("明天上午。")
        desk.get_by_role("button", name="发送").click()
        page.get_by_text("明天上午。").wait_for()
        desk.get_by_role("button", name="交还智能助手").click()
        page.get_by_text("由我继续为您服务").wait_for()
        say(page, "HP-70 有货吗")
        page.get_by_text("缺货").first.wait_for()


def test_a_manager_changes_the_policy_and_an_open_conversation_feels_it(quoting: str, browser: Browser) -> None:
    """Figures, a line of the policy, the test box, and the customer's next message."""
    before, after = "Which product is it?", "Which of our products is it?"
    with opened(browser) as page, opened(browser) as manager:
        page.goto(f"{quoting}/support?lang=en")
        say(page, "How many days do I have to return a KT-210?")
        page.get_by_text("21 days").first.wait_for()

        manager.goto(f"{quoting}/manager?lang=en")
        figure = manager.get_by_test_id("stMetric").filter(has_text="Conversations").get_by_test_id("stMetricValue")
        figure.wait_for()
        assert int(figure.inner_text()) >= 1
        parts = manager.get_by_test_id("stButtonGroup")
        parts.get_by_text("Policy", exact=True).click()
        policy = manager.get_by_test_id("stTextArea").locator("textarea")
        policy.wait_for()
        policy.fill(policy.input_value().replace(before, after))
        policy.press("Control+Enter")
        manager.get_by_role("button", name="Check and use").click()
        manager.get_by_text("In use from the next message on.").wait_for()
        manager.get_by_text("Version 1").wait_for()
        parts.get_by_text("Test box", exact=True).click()
        box = manager.get_by_placeholder("A customer's message")
        box.fill("is it in stock?")
        box.press("Enter")
        manager.get_by_test_id("stMarkdown").get_by_text(after).wait_for()

        say(page, "is it in stock?")
        page.get_by_text(after).wait_for()
        assert page.get_by_text(before).count() == 0


def test_an_order_is_remembered_and_then_everything_is_forgotten(quoting: str, browser: Browser) -> None:
    with opened(browser) as page:
        page.goto(f"{quoting}/support?lang=en")
        page.get_by_role("button", name="My data").click()
        own = page.get_by_test_id("stDialog")
        own.get_by_text("Remember my orders").click()
        quiet(page)  # what closes sooner was not yet agreed to
        own.get_by_role("button", name="Close").click()
        say(page, "track order PW26110005, ending 0312")
        page.get_by_text("Order PW26110005:").wait_for()

        page.get_by_role("button", name="New conversation").click()
        page.get_by_text("What would you like to know?").wait_for()  # sooner, it would be said in the old one
        say(page, "I want to return something")
        page.get_by_test_id("stButtonGroup").get_by_text("PW26110005", exact=True).click()
        page.get_by_text("last four digits").first.wait_for()

        page.get_by_role("button", name="My data").click()
        own.get_by_text("Remembered: PW26110005").wait_for()
        own.get_by_text("Yes, this cannot be undone").click()
        own.get_by_role("button", name="Delete everything of mine").click()
        page.get_by_text("Everything of yours is deleted.").wait_for()
        page.get_by_text("What would you like to know?").wait_for()
        assert page.get_by_test_id("stSidebar").get_by_text("I want to return").count() == 0
        page.get_by_role("button", name="My data").click()
        own.get_by_text("Remember my orders").wait_for()
        assert not own.get_by_role("switch", name="Remember my orders").is_checked()


def say(page: Page, text: str) -> None:
    field = page.get_by_test_id("stChatInputTextArea")
    field.fill(text)
    field.press("Enter")


def always_open(folder: Path) -> str:
    """A folder for the path of Python that keeps the desk open, so that the test does not depend on the hour."""
    (folder / "path").mkdir()
    (folder / "path" / "sitecustomize.py").write_text(
        "from apps.customer_service.hours import Hours\nHours.is_open = lambda self, at: True\n", "utf-8"
    )
    return str(folder / "path")
