"""Folders that are watched, news that is pushed, and adapters of other packages: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.background import Repeating
from apps.financial_sentiment import Desk, NewsItem, adapters, sources
from apps.financial_sentiment.push import Endpoint
from apps.financial_sentiment.watch import Watch
from core.errors import InputError, MissingFile, MissingPackage, NotFound, StoreBusy
from core.runtime import Runtime
from core.settings import load_settings, override
from core.types import LOCAL, Caller

TOKEN = "a-token-for-this-test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@pytest.fixture
def watch(desk: Desk, folder: Path) -> Watch:
    found = Watch(desk, still_s=0)
    found.add(folder)
    return found


def titles(desk: Desk, company: str) -> list[str]:
    return [r.item.title for r in desk.reported(company)]


# --- folders ----------------------------------------------------------------------------------


def test_each_content_of_each_file_is_read_once(desk: Desk, watch: Watch, folder: Path) -> None:
    (folder / "a.csv").write_text("title\nTesla shares sink\n", "utf-8")
    (folder / "below").mkdir()
    (folder / "below" / "a.txt").write_text("Nvidia profit soars", "utf-8")
    (folder / ".hidden.csv").write_text("title\nApple falls\n", "utf-8")
    (folder / "other.bin").write_bytes(b"\0")
    assert [(f.path, f.state, f.counts["new"]) for f in watch.look()] == [
        ("a.csv", "done", 1),
        ("below/a.txt", "done", 1),
    ]
    assert watch.look() == [], "nothing is new"
    os.utime(folder / "a.csv", (1, 1))
    assert watch.look() == [], "a new date is no new content"
    (folder / "a.csv").write_text("title\nTesla shares sink\nTesla recalls cars\n", "utf-8")
    (file,) = watch.look()
    assert (file.counts["new"], file.counts["known"]) == (1, 1)
    assert len(titles(desk, "tesla")) == 2
    (told,) = watch.folders()
    assert (told.files, told.failed, told.error) == (2, 0, None)


def test_two_files_of_one_name_are_two_items(desk: Desk, watch: Watch, folder: Path) -> None:
    for part, text in (("x", "Tesla profit falls"), ("y", "Nvidia profit soars")):
        (folder / part).mkdir()
        (folder / part / "note.txt").write_text(text, "utf-8")
    assert [f.counts["new"] for f in watch.look()] == [1, 1]


def test_what_cannot_be_read_is_shown_with_its_reason(watch: Watch, folder: Path) -> None:
    (folder / "bad.csv").write_text("name\nx\n", "utf-8")
    (folder / "half.csv").write_text("title,published\nTesla sinks,2026-03-01\nx,soon\n", "utf-8")
    (folder / "empty.txt").write_text(" ", "utf-8")
    bad, empty, half = watch.look()
    assert (bad.state, half.state, empty.state) == ("failed", "done", "failed")
    assert bad.error is not None
    assert bad.error["code"] == "input.data_column"
    assert "title" in bad.error["zh"]
    assert half.error is not None
    assert (half.error["where"], half.counts["refused"]) == ("half.csv:2", 1)
    assert watch.look() == [], "the same content is not tried again"
    (folder / "bad.csv").write_text("title\nTesla soars\n", "utf-8")
    assert [f.state for f in watch.look()] == ["done"]
    assert watch.folders()[0].failed == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_becomes_readable_is_read(watch: Watch, folder: Path) -> None:
    (folder / "a.txt").write_text("Tesla soars", "utf-8")
    (folder / "a.txt").chmod(0)
    assert [f.state for f in watch.look()] == ["failed"]
    assert watch.look() == []
    (folder / "a.txt").chmod(0o600)
    assert [f.state for f in watch.look()] == ["done"]


def test_a_file_that_is_being_written_waits(desk: Desk, folder: Path) -> None:
    watch = Watch(desk, still_s=60)
    watch.add(folder)
    (folder / "a.txt").write_text("Tesla soars", "utf-8")
    assert watch.look() == []
    os.utime(folder / "a.txt", (time.time() - 61,) * 2)
    assert [f.state for f in watch.look()] == ["done"]


def test_links_that_lead_out_are_not_read(watch: Watch, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("Tesla soars", "utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert watch.look() == []


def test_a_folder_that_is_gone_says_so_and_the_others_go_on(watch: Watch, folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    path = watch.add(gone)
    gone.rmdir()
    (folder / "a.txt").write_text("Tesla soars", "utf-8")
    assert [f.state for f in watch.look()] == ["done"]
    told = {f.path: f.error for f in watch.folders()}
    assert told.pop(path) is not None
    assert list(told.values()) == [None]
    gone.mkdir()
    watch.look()
    assert all(f.error is None for f in watch.folders())
    watch.remove(path)
    with pytest.raises(NotFound):
        watch.remove(path)
    with pytest.raises(MissingFile):
        watch.add(tmp_path / "never")


def test_folders_belong_to_a_tenant(desk: Desk, watch: Watch, folder: Path) -> None:
    other = Caller(tenant="other")
    assert watch.folders(other) == []
    watch.add(folder, other)
    (folder / "a.txt").write_text("Tesla soars", "utf-8")
    assert sorted(f.counts["new"] for f in watch.look_all()) == [1, 1], "each has its own news"
    assert len(desk.reported("tesla", other)) == len(desk.reported("tesla")) == 1


def test_an_error_of_the_store_is_kept_and_the_file_tried_again(
    desk: Desk, watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.txt").write_text("Tesla soars", "utf-8")

    def busy(*_: object) -> None:
        raise StoreBusy(path="x", holder="y", waited_s=1)

    with monkeypatch.context() as patch:
        patch.setattr(desk, "add", busy)
        assert watch.look() == []
        assert watch.folders()[0].error is not None
        assert [f.state for f in watch.files(str(folder))] == ["reading"]
    assert [f.counts["new"] for f in watch.look()] == [1]
    assert watch.folders()[0].error is None


def test_versions_in_one_file_read_twice_are_kept_once(desk: Desk) -> None:
    """What a kill between the store and the note of the file leads to: the same items with the same seen time."""
    first = NewsItem("Tesla profit falls", source="s", external_id="1", seen_at=1.0)
    second = replace(first, title="Correction: Tesla profit rises")
    assert desk.add([first, second]).updated == 1
    assert desk.add([first, second]).known == 2
    (shown,) = desk.reported("tesla")
    assert [v.title for v in desk.items.history(LOCAL, shown.item.id)] == [first.title, second.title]
    assert shown.item.title == second.title


ROWS = 60
_LOOK = """
import sys
from pathlib import Path
from apps.financial_sentiment import Desk
from apps.financial_sentiment.watch import Watch
from core.runtime import Runtime
from core.settings import load_settings, override
settings = override(load_settings(Path(sys.argv[1])), home=sys.argv[1], models__embedding="scripted:hash")
with Runtime(settings) as runtime:
    desk = Desk(runtime)
    desk.analyze("Tesla")  # loads the head: what is killed from here on is the work itself
    watch = Watch(desk, still_s=0)
    print("ready", flush=True)
    watch.look()
"""


def looked(home: Path, killed_after_s: float | None) -> None:
    """Look into the watched folders in a process that is killed after a while, or not."""
    child = subprocess.Popen([sys.executable, "-c", _LOOK, str(home)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
        try:
            child.wait(120 if killed_after_s is None else killed_after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert killed_after_s is not None or child.returncode == 0


def write_file(folder: Path, number: int) -> set[str]:
    """A file whose items are all different, two of them versions of one id."""
    words = ["amber", "basil", "cedar", "delta", "ember", "frost", "grove", "hazel", "inlet", "jetty", "knoll", "larch"]
    lines, made = ["title,id"], set()
    for row in range(ROWS):
        a, b, c = (words[(number * 7 + row * step) % len(words)] for step in (1, 3, 5))
        title = f"Tesla {a} {b} plant {number * ROWS + row} {c} output falls {row * 37 + number}"
        lines.append(f"{title},{max(row, 1)}")
        made.add(title)
    (folder / f"{number}.csv").write_text("\n".join(lines), "utf-8")
    return made


def unfinished(db: sqlite3.Connection) -> int:
    """Files that were not read to their end and items that were not judged."""
    files = db.execute("SELECT count(*) FROM news_files WHERE state = 'reading'").fetchone()[0]
    items = db.execute("SELECT count(*) FROM news_items WHERE judged_by IS NULL AND copy_of IS NULL").fetchone()[0]
    return int(files + items)


@pytest.mark.parametrize("points", [int(os.environ.get("WATCH_KILLS", "4"))])
def test_killed_while_reading_nothing_is_lost_or_doubled(tmp_path: Path, folder: Path, points: int) -> None:
    """``WATCH_KILLS=50`` kills more often; ``-s`` says how many kills came in the middle of the work."""
    home = tmp_path / "home"
    settings = override(load_settings(home), home=str(home), models__embedding="scripted:hash")
    made: set[str] = set()
    hit = 0
    with Runtime(settings) as runtime:
        Watch(Desk(runtime)).add(folder)
        for number in range(points):  # each has new work to interrupt
            made |= write_file(folder, number)
            looked(home, 0.005 + 0.15 * number / points)
            with runtime.workspace.read() as db:
                hit += unfinished(db) > 0
        looked(home, None)
        with runtime.workspace.read() as db:
            assert unfinished(db) == 0
            found = [row["title"] for row in db.execute("SELECT title FROM news_items")]
    print(f"{hit} of {points} kills left something unfinished")
    assert len(found) == len(set(found)) == len(made)
    assert set(found) == made


def test_repeating_goes_on_after_errors_and_stops() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise InputError(reason="empty_question")
        if len(calls) == 2:
            raise ZeroDivisionError

    repeating = Repeating(work, every_s=0.001, name="test-repeating")
    repeating.start()
    deadline = time.monotonic() + 10
    while len(calls) < 4 and time.monotonic() < deadline:
        time.sleep(0.002)
    repeating.stop()
    count = len(calls)
    assert count >= 4
    time.sleep(0.02)
    assert len(calls) == count


# --- pushed -----------------------------------------------------------------------------------


@pytest.fixture
def endpoint(desk: Desk) -> Endpoint:
    return Endpoint(desk, {TOKEN: LOCAL, "another-long-token": Caller(tenant="other")}, body_limit_bytes=20_000)


def posted(endpoint: Endpoint, told: object, token: str = TOKEN) -> tuple[int, Any]:
    answer = endpoint.answer("POST", f"Bearer {token}", json.dumps(told).encode())
    return answer.status, answer.body


def test_pushed_news_counts_from_its_arrival_and_once(desk: Desk, endpoint: Endpoint) -> None:
    item = {"title": "<b>Tesla</b> shares sink", "source": "wire", "id": "7", "published": "2026-03-01T08:00:00+08:00"}
    before = time.time()
    status, told = posted(endpoint, {"items": [item, {"title": ""}, {"title": "x", "seen": 1}]})
    assert (status, told["added"]["new"]) == (200, 1)
    assert [r["where"] for r in told["refused"]] == ["items[1]", "items[2]"], "nobody dates an item back"
    assert {"code", "en", "zh"} <= set(told["refused"][0])
    (shown,) = desk.reported("tesla")
    assert shown.item.title == "Tesla shares sink"
    assert before <= shown.item.seen_at <= time.time()
    assert shown.item.published_at == 1_772_323_200.0
    assert posted(endpoint, {"items": [item]})[1]["added"]["known"] == 1
    assert posted(endpoint, {"items": [item]}, "another-long-token")[1]["added"]["new"] == 1, "another tenant"
    assert posted(endpoint, {"items": []})[0] == 200


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([], 400),
        ({"items": {}}, 400),
        ({"items": [], "more": 1}, 400),
        ({"items": [{"title": "x"}] * 501}, 400),
        ({"items": [{"title": 7}]}, 422),
        ({"items": ["x"]}, 422),
        ({"items": [{"title": "x", "published": True}]}, 422),
        ({"items": [{"title": "x", "published": float("nan")}]}, 422),
        ({"items": [{"title": "x", "published": 1e300}]}, 422),
        ({"items": [{"title": "x", "published": "soon"}]}, 422),
    ],
)
def test_what_is_not_taken(endpoint: Endpoint, told: object, status: int) -> None:
    assert posted(endpoint, told)[0] == status


def test_who_and_how_is_not_let_in(desk: Desk, endpoint: Endpoint) -> None:
    body = b'{"items": [{"title": "Tesla sinks"}]}'
    for authorization in ("", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}"):
        assert endpoint.answer("POST", authorization, body).status == 401
    assert endpoint.answer("GET", f"Bearer {TOKEN}", b"").status == 405
    assert endpoint.answer("POST", f"Bearer {TOKEN}", b"{").status == 400
    assert endpoint.answer("POST", f"Bearer {TOKEN}", b"x" * 20_001).status == 413
    assert desk.reported("tesla") == []
    for tokens in ({}, {"short": LOCAL}):
        with pytest.raises(InputError):
            Endpoint(desk, tokens)


def spoken(
    endpoint: Endpoint, events: list[dict[str, Any]], token: str = TOKEN, method: str = "POST"
) -> list[dict[str, Any]]:
    """What the ASGI application sends; it may ask for no more events than there are."""
    sent: list[dict[str, Any]] = []
    waiting = iter(events)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": method, "headers": [(b"Authorization", f"Bearer {token}".encode())]}
    asyncio.run(endpoint(scope, receive, send))
    return sent


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_the_application_reads_no_more_than_it_takes(endpoint: Endpoint) -> None:
    start, body = spoken(endpoint, [part(b'{"items": [', True), part(b'{"title": "Tesla sinks"}]}')])
    assert start["status"] == 200
    assert json.loads(body["body"])["added"]["new"] == 1
    endless = [part(b"x" * 8000, True)] * 3  # one more would be asked for in vain
    assert spoken(endpoint, endless)[0]["status"] == 413
    assert spoken(endpoint, [], token="wrong")[0]["status"] == 401, "a stranger's body is not even read"
    assert spoken(endpoint, [], method="GET")[0]["status"] == 405
    assert spoken(endpoint, [part(b"{", True), {"type": "http.disconnect"}]) == []


def test_a_real_server_serves_it(endpoint: Endpoint) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    import threading
    from http.client import HTTPConnection

    server = uvicorn.Server(uvicorn.Config(endpoint, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/", b'{"items": [{"title": "Tesla sinks"}]}', {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["added"]["new"]) == (200, 1)
        connection.request("POST", "/", b"{}")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("www-authenticate")) == (401, "Bearer")
        answer.read()
    finally:
        connection.close()
        server.should_exit = True
        thread.join(10)


# --- adapters ---------------------------------------------------------------------------------

AKSHARE = [
    {"关键词": "600519", "新闻标题": "贵州茅台<em>净利润</em>增长", "新闻内容": "公司公布年报。", "发布时间": "2026-03-01 08:00:00",
     "文章来源": "样报", "新闻链接": "https://example.com/1"},
    {"关键词": "600519", "新闻标题": float("nan"), "新闻内容": None, "发布时间": "", "文章来源": "", "新闻链接": ""},
    {"关键词": "600519", "新闻标题": "贵州茅台召开股东会", "新闻内容": float("nan"), "发布时间": "不详", "文章来源": "样报",
     "新闻链接": "https://example.com/3"},
]  # fmt: skip
YAHOO = [
    {"id": "n1", "content": {"title": "Apple shares sink", "summary": "After the call.", "pubDate": "2026-03-01T00:00:00Z",
                             "provider": {"displayName": "Sample Wire"}, "canonicalUrl": {"url": "https://example.com/n1"}}},
    {"uuid": "o1", "title": "Apple profit soars", "publisher": "Old Wire", "link": "https://example.com/o1",
     "providerPublishTime": 1772323200},
    {"id": "n2", "content": {"title": None, "provider": None, "canonicalUrl": None, "pubDate": None}},
]  # fmt: skip


def test_frames_of_akshare_are_mapped() -> None:
    reading = adapters.from_akshare(AKSHARE, "600519")
    (item,) = reading.items
    assert (item.title, item.text, item.source) == ("贵州茅台净利润增长", "公司公布年报。", "样报")
    assert item.published_at == sources.moment("2026-03-01T08:00:00+08:00"), "times of Shanghai"
    assert item.external_id == item.url == "https://example.com/1"
    assert [r.where for r in reading.refused] == ["akshare:600519:2", "akshare:600519:3"]


def test_news_of_yfinance_is_mapped_in_both_forms() -> None:
    reading = adapters.from_yfinance(YAHOO, "AAPL")
    assert [(i.title, i.source, i.external_id, i.published_at) for i in reading.items] == [
        ("Apple shares sink", "Sample Wire", "n1", 1_772_323_200.0),
        ("Apple profit soars", "Old Wire", "o1", 1_772_323_200.0),
    ]
    assert reading.items[0].url == "https://example.com/n1"
    assert [r.where for r in reading.refused] == ["yfinance:AAPL:3"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(name: str, **members: object) -> None:
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)

    return put


def test_addresses_reach_the_packages(fake: Callable[..., None]) -> None:
    pandas = pytest.importorskip("pandas")
    fake("akshare", stock_news_em=lambda symbol: pandas.DataFrame(AKSHARE))
    fake("yfinance", Ticker=lambda code: types.SimpleNamespace(news=YAHOO))
    assert len(sources.fetch("akshare:600519").items) == 1
    assert len(sources.fetch(" yfinance:AAPL ").items) == 2

    def down(symbol: str) -> None:
        raise ConnectionError("no route")

    fake("akshare", stock_news_em=down)
    (refused,) = sources.fetch("akshare:600519").refused
    assert "no route" in refused.error.text("en")
    assert adapters.address("akshare:600519; rm") is None


@pytest.mark.parametrize("name", ["akshare", "yfinance"])
def test_a_missing_package_names_the_line_that_installs_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage) as caught:
        getattr(adapters, name)("X")
    for language in ("zh", "en"):
        assert 'pip install "touchstone-llm[news]"' in caught.value.text(language)
    (refused,) = sources.fetch(f"{name}:X").refused
    assert isinstance(refused.error, MissingPackage)
