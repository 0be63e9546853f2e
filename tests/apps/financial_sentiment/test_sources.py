"""Files and feeds: what is read, what is refused and why; nothing bad costs what is good."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from apps.financial_sentiment import sources
from apps.financial_sentiment.sources import Columns, moment
from core.errors import InputError, MissingFile, code_of

RSS = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Harbor Wire</title>
<item><title>Tesla &amp; Ford fall</title><link>http://a.example/1</link><guid>g1</guid>
<pubDate>Sun, 01 Mar 2026 08:00:00 +0800</pubDate><description>&lt;p&gt;Shares &lt;b&gt;fell&lt;/b&gt;.&lt;/p&gt;
&lt;script&gt;alert(1)&lt;/script&gt;</description></item>
<item><title>比亚迪销量增长</title><guid>g2</guid></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>港湾</title><entry><id>x</id><title>京东盈利</title>
<updated>2026-03-01T00:00:00Z</updated><content type="html">&lt;br/&gt;大增</content></entry></feed>"""
EMPTY = '<rss version="2.0"><channel><title>Quiet</title></channel></rss>'
MARCH = 1_772_323_200.0


def test_rss_and_atom() -> None:
    found = sources.feed(RSS, "feed")
    first, second = found.items
    assert (first.title, first.text, first.source) == ("Tesla & Ford fall", "Shares fell.", "Harbor Wire")
    assert (first.external_id, first.url, first.published_at) == ("g1", "http://a.example/1", MARCH)
    assert second.title == "比亚迪销量增长"
    assert second.published_at is None
    (atom,) = sources.feed(ATOM, "feed").items
    assert (atom.title, atom.text, atom.published_at) == ("京东盈利", "大增", MARCH)
    empty = sources.feed(EMPTY, "feed")
    assert (empty.items, empty.refused) == ((), ()), "an empty feed is no failure"
    assert [code_of(n.error) for n in empty.noticed] == ["input.empty_feed"]


@pytest.mark.parametrize("text", ["", "<html><body>404</body></html>", "{}", "\x00\x01"])
def test_what_is_no_feed_is_refused(text: str) -> None:
    found = sources.feed(text, "feed")
    assert not found.items
    assert found.refused[0].error.reason == "unreadable_file"


def test_tables_with_other_column_names_and_bad_rows() -> None:
    table = "标题,时间,链接\n比亚迪大涨,2026-03-01,http://a.example\n,2026-03-01,\n京东下跌,昨天,\n".encode("gb18030")
    found = sources.parse("news.csv", table, Columns(title="标题", published="时间", url="链接"))
    (item,) = found.items
    assert (item.title, item.published_at, item.url, item.source) == ("比亚迪大涨", MARCH, "http://a.example", "news")
    assert [(r.where, r.error.reason) for r in found.refused] == [
        ("news.csv:2", "data_row"),
        ("news.csv:3", "bad_value"),
    ]


def test_lines_of_json() -> None:
    lines = [json.dumps({"title": "Tesla up", "published": MARCH * 1000, "source": "x"}), "{broken", "[1]", ""]
    found = sources.parse("a.jsonl", "\n".join(lines).encode())
    assert [i.published_at for i in found.items] == [MARCH]
    assert [r.error.reason for r in found.refused] == ["bad_json", "data_row"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", b"", "empty_file"),
        ("a.csv", b"x,y\n1,2\n", "data_column"),
        ("a.exe", b"MZ", "binary_file"),
        ("a.txt", b"\xff\xfe\xff\xff\x81", "bad_encoding"),
    ],
)
def test_files_that_cannot_be_read_say_why(name: str, data: bytes, reason: str) -> None:
    found = sources.parse(name, data)
    assert not found.items
    assert [r.error.reason for r in found.refused] == [reason]


def test_a_long_text_and_tag_soup() -> None:
    (item,) = sources.parse("a.txt", ("<p>Tesla <b>fell" + " again" * 900_000).encode()).items
    assert item.text.startswith("Tesla fell again")
    assert sources.plain("<" * 5000 + "a>b</a") is not None


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.xml").write_text(RSS, "utf-8")
    (tmp_path / "b.csv").write_text("title\nTesla up\n", "utf-8")
    (tmp_path / "c.csv").write_text("nothing\n1\n", "utf-8")
    found = sources.read(tmp_path)
    assert len(found.items) == 3
    assert len(found.refused) == 1
    with pytest.raises(MissingFile):
        sources.read(tmp_path / "none")


@pytest.mark.parametrize(
    "said", ["2026-03-01T08:00:00+08:00", "2026-03-01", "2026/03/01 00:00", "Sun, 01 Mar 2026 00:00:00 GMT", str(MARCH)]
)
def test_ways_to_write_a_time(said: str) -> None:
    assert moment(said) == MARCH


def test_what_is_no_time() -> None:
    assert moment("") is None
    assert moment(None) is None
    with pytest.raises(InputError):
        moment("soon")


@contextmanager
def serving(body: bytes, *, endless: bool = False) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                self.wfile.write(body)
                while endless:
                    self.wfile.write(b" " * 65_536)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/feed"
    finally:
        server.shutdown()
        server.server_close()


HERE = replace(sources.FEED_LIMITS, allowed=(ip_network("127.0.0.0/8"),))


def test_a_feed_is_fetched_and_one_without_end_is_refused() -> None:
    with serving(RSS.encode()) as url:
        assert len(sources.fetch(url, limits=HERE).items) == 2
    with serving(RSS.encode(), endless=True) as url:
        (refused,) = sources.fetch(url, limits=HERE).refused
        assert code_of(refused.error) == "input.url_too_large"


def test_a_feed_in_the_own_network_is_never_asked_for() -> None:
    with serving(RSS.encode()) as url:
        found = sources.fetch(url)
    assert not found.items
    assert code_of(found.refused[0].error) == "input.url_refused"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/feed", "ftp://a.example", "file:///etc/hosts", "", "http://[bad"])
def test_a_dead_feed_says_why(url: str) -> None:
    found = sources.fetch(url, limits=replace(HERE, total_s=2))
    assert not found.items
    assert found.refused[0].error.text("en")
