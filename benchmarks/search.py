"""The search app as people meet it: from the key press to the results in Chromium, and twenty users at once.

The documents are those of ``growth``: real sentences put together anew, with the vectors of embedded:e5, so that the
page embeds every query. Each user has an upload of their own, half of them are of tenants of their own; whoever finds
another's document is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.search import Search
from apps.search.query import Mode, Query
from benchmarks.growing import Writer, pool, questions
from benchmarks.growth import embedded
from benchmarks.report import Result, Table, Target
from core.providers.sync import run as wait
from core.settings import load_settings
from core.types import Caller
from core.workspace import Workspace
from tests.browser.serving import CHROMIUM, chromium, served

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

USERS = 20
SEARCHES = 20  # of each user
PAUSE_S = 2.0  # between two searches of one user, as people have them
KEYS = 40  # key presses that are timed, in each mode
TYPED, LEAST = 28, 6  # characters of a question that are typed
MARKS = "?？.。 "  # at the end of a question, they ask nothing
MODEL = "embedded:e5"
INSTANT_MS, HYBRID_MS, ANSWER_MS = 120.0, 250.0, 1000.0


def run(given: argparse.Namespace) -> Result:
    rows = []
    for size in (int(part) for part in given.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="touchstone-search-") as folder:
            rows.append(_measured(Path(folder), size, given))
        print(
            json.dumps({name: value for name, value in rows[-1].items() if name != "raw"}), file=sys.stderr, flush=True
        )
    return _result(rows)


def _measured(folder: Path, size: int, given: argparse.Namespace) -> dict[str, Any]:
    made, asked = pool(given.data), questions(given.data, 2 * KEYS)
    vectors, _ = asyncio.run(embedded(folder, made, asked[:1], given.real))
    workspace = Workspace.open(folder / "home")
    Writer(workspace, made, vectors, MODEL).write(size)
    workspace.close()
    row: dict[str, Any] = {"passages": size, **_together(folder, asked)}
    print(json.dumps(row), file=sys.stderr, flush=True)
    if CHROMIUM is not None:
        row |= _keys(folder, asked)
    return row


# --- twenty users ---------------------------------------------------------------------------------


def _together(folder: Path, asked: Sequence[str]) -> dict[str, Any]:
    """The same searches by one user and by twenty, each asking now and then for their own document."""
    desk = Search.open(load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_EMBEDDING": MODEL}))
    try:
        desk.prepare()
        wait(desk.places()[0].index.embed_pending())
        people = [Caller("local" if n % 2 else f"tenant{n}", f"user{n}", frozenset()) for n in range(USERS)]
        for number, who in enumerate(people):
            desk.upload(
                "parcel.md",
                f"# Parcel {_token(number)}\n\nThe parcel {_token(number)} lies on shelf {number}.\n".encode(),
                who,
            )
            wait(desk.places(who)[2].index.embed_pending())
        queries = [Query(text) for text in asked]
        for query in queries[:10]:
            _search(desk, query, people[1], _token(1))
        desk.lexicons.of([place.index for place in desk.places(people[1])], wait_s=None)
        desk.runtime.warm().join()  # as a page that is in use
        crossed: list[str] = []
        alone = _user(desk, 1, people, queries, 0.0, crossed)
        found: dict[str, Any] = {"alone_p50_ms": _at(alone, 50), "alone_p95_ms": _at(alone, 95)}
        for name, pause_s in (("paced", PAUSE_S), ("flat_out", 0.0)):
            gate = threading.Barrier(USERS)

            def one(number: int, pause_s: float = pause_s, gate: threading.Barrier = gate) -> list[float]:
                gate.wait()
                time.sleep(pause_s * number / USERS)
                return _user(desk, number, people, queries, pause_s, crossed)

            with ThreadPoolExecutor(USERS) as users:
                began = time.perf_counter()
                times = [ms for part in users.map(one, range(USERS)) for ms in part]
                found |= {f"{name}_p50_ms": _at(times, 50), f"{name}_p95_ms": _at(times, 95)}
                found[f"{name}_per_s"] = len(times) / (time.perf_counter() - began)
        return {**found, "crossed": len(crossed)}
    finally:
        desk.close()


def _user(
    desk: Search, number: int, people: Sequence[Caller], queries: Sequence[Query], pause_s: float, crossed: list[str]
) -> list[float]:
    times: list[float] = []
    for turn in range(SEARCHES):
        own = turn % 5 == 4
        query = Query(f"parcel {_token(number)}") if own else queries[(number * SEARCHES + turn) % len(queries)]
        began = time.perf_counter()
        wrong = _search(desk, query, people[number], _token(number), expected=own)
        times.append((time.perf_counter() - began) * 1e3)
        crossed += wrong
        time.sleep(max(0.0, pause_s - times[-1] / 1e3))
    return times


def _search(desk: Search, query: Query, who: Caller, token: str, *, expected: bool = False) -> list[str]:
    """Search as the page does, without the answer; what was found that is another's, or missed that is one's own."""
    found = desk.find(desk.understood(query, who, wait_s=0.0).query, who, sentences=False)
    wrong = [
        hit.passage.text
        for hit in found.hits
        if (hit.collection.startswith("search-") and token not in hit.passage.text)
        or (who.tenant != "local" and hit.collection == "default")
    ]
    return wrong + ([token] if expected and not any(token in hit.passage.text for hit in found.hits[:3]) else [])


def _token(number: int) -> str:
    return f"QX-{4100 + 37 * number}"


def _at(values: Sequence[float], share: int) -> float:
    return float(np.percentile(values, share))


# --- in the browser -------------------------------------------------------------------------------

_WATCH = """() => {
  const root = () => document.querySelector('.st-key-search_cards [data-testid=stBidiComponentIsolated]').shadowRoot;
  const cards = () => [...root().querySelectorAll('.card')].map(n => n.textContent).join('|');
  const ends = {
    results: seen => cards() !== seen.cards,
    answer: seen => {
      const box = document.querySelector('.st-key-search_answer');
      const waits = box !== null && box.querySelector('.stMarkdownShimmer') !== null;
      seen.waited ||= waits && cards() !== seen.cards;  // not the wait of the query before
      return seen.waited && !waits && box !== null && box.textContent.trim() !== '';
    },
  };
  window.__timed = what => new Promise(resolve => {
    const seen = {cards: cards(), waited: false};
    let began = null;
    const watcher = new MutationObserver(() => {
      if (began !== null && ends[what](seen)) {
        watcher.disconnect();
        requestAnimationFrame(() => resolve(performance.now() - began));
      }
    });
    for (const place of [document.body, root()])
      watcher.observe(place, {subtree: true, childList: true, attributes: true, characterData: true});
    document.addEventListener('input', () => { began = performance.now(); }, {once: true, capture: true});
    setTimeout(() => { watcher.disconnect(); resolve(null); }, 15000);
  });
}"""


def _keys(folder: Path, asked: Sequence[str]) -> dict[str, Any]:
    """Milliseconds from the last key of a query to its results, and to the first words of its answer, on the screen."""
    found: dict[str, Any] = {}
    typed = _typed(folder, asked[::2])  # half of them Chinese
    variables = {"TOUCHSTONE_EMBEDDING": MODEL, "TOUCHSTONE_CHAT": "scripted:demo", "HOME": str(folder)}
    with served(folder / "home", folder, **variables) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-US")
        page.set_default_timeout(120_000)
        for mode, name, what in (
            ("keyword", "instant", "results"),
            ("hybrid", "hybrid", "results"),
            ("hybrid", "answer", "answer"),
        ):
            texts = typed[mode] if what == "results" else [text.rstrip(MARKS) for text in asked[1::4]]
            page.goto(f"{address}/search?lang=en&mode={mode}")
            field = page.get_by_test_id("stTextInput").first.locator("input")
            field.fill(asked[0][:TYPED])
            page.get_by_role("listitem").first.wait_for()
            page.wait_for_timeout(20_000)  # the words of the collections are read once, in the background
            page.evaluate(_WATCH)
            times = [ms for text in texts if (ms := _timed(page, field, text, what)) is not None]
            if len(times) < 0.8 * len(texts):
                raise RuntimeError(f"{len(times)} of {len(texts)} keys changed anything")
            found |= {f"{name}_p50_ms": _at(times, 50), f"{name}_p95_ms": _at(times, 95), f"{name}_raw_ms": times}
    return found


def _typed(folder: Path, asked: Sequence[str]) -> dict[Mode, list[str]]:
    """By mode, what is typed of each question: up to ``TYPED`` characters, the last of which changes the first hit.

    A letter in the middle of a word often changes nothing, and then there is no end to time.
    """
    desk = Search.open(load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_EMBEDDING": MODEL}))
    try:
        desk.prepare()
        desk.lexicons.of([place.index for place in desk.places()], wait_s=None)
        return {
            mode: [part for text in asked if (part := _telling(desk, text, mode))] for mode in ("keyword", "hybrid")
        }
    finally:
        desk.close()


def _telling(desk: Search, text: str, mode: Mode) -> str | None:
    def first(part: str) -> str | None:
        query = desk.understood(Query(part, mode=mode), wait_s=None).query
        return next((hit.passage.id for hit in desk.find(query, sentences=False).hits), None)

    part = text.rstrip(MARKS)[:TYPED].rstrip()
    now = first(part)
    while len(part) > LEAST:
        before = first(part[:-1])
        if before != now and not part[-1].isspace():
            return part
        part, now = part[:-1], before
    return None


def _timed(page: Page, field: Locator, text: str, what: str) -> float | None:
    """Type all but the last character of ``text``, wait, and time the last; ``None`` when it changes nothing."""
    field.fill(text[:-1])
    page.wait_for_timeout(1200)
    page.evaluate("what => { window.__waiting = window.__timed(what); }", what)
    field.press_sequentially(text[-1])
    ms: float | None = page.evaluate("() => window.__waiting")
    return ms


def _result(rows: list[dict[str, Any]]) -> Result:
    largest = rows[-1]
    return Result(
        "search",
        ("The search app", "搜索应用"),
        [
            Table(
                ("From the key press to the results, in Chromium", "从按键到结果，在 Chromium 中"),
                [("passages", "段落"), ("words p50 ms", "词语 p50 ms"), ("words p95 ms", "词语 p95 ms"), ("both p50 ms", "综合 p50 ms"), ("both p95 ms", "综合 p95 ms"), ("answer p50 ms", "回答 p50 ms"), ("answer p95 ms", "回答 p95 ms")],
                [[f"{r['passages']:,}", *(r.get(f"{m}_{p}_ms") for m in ("instant", "hybrid", "answer") for p in ("p50", "p95"))] for r in rows],
            ),
            Table(
                (f"{USERS} users at once, p95 of a search in ms", f"{USERS} 个用户同时搜索，单次搜索 p95（ms）"),
                [
                    ("passages", "段落"), ("one user", "一个用户"), (f"{USERS}, one search every {PAUSE_S:g} s", f"{USERS} 个，每 {PAUSE_S:g} 秒一次"),
                    (f"{USERS}, no pause", f"{USERS} 个，不停"), ("searches/s, no pause", "每秒搜索，不停"), ("found what is another's", "找到他人内容"),
                ],
                [[f"{r['passages']:,}", r["alone_p95_ms"], r["paced_p95_ms"], r["flat_out_p95_ms"], r["flat_out_per_s"], float(r["crossed"])] for r in rows],
            ),
        ],
        [
            Target(("key press to results by words, p95", "按键到结果（词语）p95"), largest.get("instant_p95_ms"), INSTANT_MS, "ms"),
            Target(("key press to results by both, p95", "按键到结果（综合）p95"), largest.get("hybrid_p95_ms"), HYBRID_MS, "ms"),
            Target(("last key to the first words of the answer, p95", "从最后一键到回答的第一个词 p95"), largest.get("answer_p95_ms"), ANSWER_MS, "ms"),
            Target((f"p95 of {USERS} users against one", f"{USERS} 个用户的 p95 与一个用户之比"), largest["paced_p95_ms"] / largest["alone_p95_ms"], 2.0),
            Target(("documents of others found", "找到的他人文档数"), float(sum(r["crossed"] for r in rows)), 0.0, ""),
        ],
        [
            (
                f"Documents as in growth; every query is embedded. A key press is the last of a query of {TYPED} characters; what is timed ends "
                f"when texts of the new query stand on the cards. An answer is quoted from what both legs find of a whole question. {USERS} users: half of one tenant, half of "
                "tenants of their own, each with an upload; every fifth search asks for it.",
                f"文档同 growth，每个查询都要向量化。按键指 {TYPED} 字符查询的最后一键；计时到卡片上出现新查询的文字为止。回答摘自综合搜索对完整问题的结果。"
                f"{USERS} 个用户一半属同一租户，一半各有租户，每人有一份上传；每五次搜索有一次找它。",
            )
        ],
        {"rows": rows},
    )  # fmt: skip
