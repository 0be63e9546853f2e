"""The benchmarks measure what they say: equal answers from every client, fair rounds, missed targets shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from apps.financial_sentiment.alerts import Alert
from benchmarks import growth, news, report, sentiment
from benchmarks.growing import Writer
from benchmarks.label_errors import exchanged, lists
from benchmarks.measure import interleaved, interleaved_async
from benchmarks.peers import ENGINE, LITELLM, OPENAI, RAW, STACK, Peer, close, peers
from benchmarks.report import Result, Table, Target, keep, machine, shown, write_docs
from benchmarks.server import BURST_CHUNKS, REPLY, WORD, canned_server
from core.types import Example
from core.workspace import Workspace


def test_clients_give_the_servers_answer_through_all_four_functions() -> None:
    async def awaited(client: Peer) -> tuple[str, list[str]]:
        return await client.ask_async(), [text async for text in client.stream_async("bench")]

    with canned_server() as url, peers(url, (RAW, OPENAI, ENGINE, STACK)) as clients, asyncio.Runner() as runner:
        assert set(clients) == {RAW, OPENAI, ENGINE, STACK}
        for client in clients.values():
            expected = (REPLY, [WORD] * BURST_CHUNKS)
            assert (client.ask(), [*client.stream("bench")]) == expected
            assert runner.run(awaited(client)) == expected
        runner.run(close(clients))


def test_a_client_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "litellm" else object())
    with peers("http://127.0.0.1:9/v1", (RAW, LITELLM)) as clients:
        assert list(clients) == [RAW]


def test_rounds_are_interleaved_and_rotate() -> None:
    order: list[str] = []
    measured = interleaved(
        {name: lambda name=name: order.append(name) for name in "abc"},  # type: ignore[misc]
        calls=1,
        rounds=3,
        warm_up=1,
    )
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert set(measured) == {"a", "b", "c"}


def test_waiting_is_wall_time_and_not_cpu_time() -> None:
    with asyncio.Runner() as runner:
        measured = interleaved_async({"sleep": lambda: asyncio.sleep(0.02)}, runner, calls=3, rounds=3, warm_up=1)
    sleep = measured["sleep"]
    assert 20 <= sleep.low_ms <= sleep.wall_ms <= sleep.high_ms
    assert sleep.cpu_ms < 10


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01234, "0.0123"), (0.5, "0.500"), (1.0, "1.00"), (12.34, "12.3"), (1234.5, "1,234"), (0.0, "0"), (None, "–")],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_targets() -> None:
    assert Target(("a", "甲"), 1.3, 1.3).met is True
    assert Target(("a", "甲"), 1.31, 1.3).met is False
    assert Target(("a", "甲"), 1.4, 1.4, at_least=True).met is True
    assert Target(("a", "甲"), None, 1.4).met is None


def test_the_docs_are_written_in_both_languages_with_missed_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "DOCS", tmp_path / "docs")
    table = Table(("Per call", "每次调用"), ["client", ("median ms", "中位数 ms")], [["ours", 1.234], ["theirs", None]])
    targets = [
        Target(("ours / theirs", "我们 / 他们"), 2.0, 1.3),
        Target(("speed", "速度"), 2.0, 1.4, "/s", at_least=True),
    ]
    keep(Result("one", ("Title", "标题"), [table], targets, raw={"n": [1]}), machine())
    write_docs(["absent", "one"])
    english = (tmp_path / "docs/en/benchmarks.md").read_text("utf-8")
    chinese = (tmp_path / "docs/zh/benchmarks.md").read_text("utf-8")
    assert "| client | median ms |\n|---|---:|\n| ours | 1.23 |\n| theirs | – |" in english
    assert "- ✗ ours / theirs: 2.00 × (≤ 1.30 ×)\n- ✓ speed: 2.00 /s (≥ 1.40 /s)" in english
    assert "## 标题" in chinese
    assert "| 客户端 | 中位数 ms |" in chinese
    assert "- ✗ 我们 / 他们：2.00 ×（≤ 1.30 ×）" in chinese
    assert json.loads((tmp_path / "results/one.json").read_text("utf-8"))["raw"] == {"n": [1]}


def test_growth_searches_as_an_app_does(tmp_path: Path) -> None:
    """The long benchmarks run seldom: what they stand on must not drift away from the library in between."""
    rng = np.random.default_rng(0)
    made = [("手册", f"第 {n} 号水泵每 {n + 2} 个月保养一次，由第 {n % 7} 班负责。") for n in range(20)]
    made += [("Manual", f"Pump {n} is serviced every {n + 2} months by shift {n % 7}.") for n in range(20)]
    vectors = rng.normal(size=(len(made), 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    workspace = Workspace.open(tmp_path / "home")
    Writer(workspace, made, vectors).write(200)
    workspace.close()
    asked = [text for _, text in made][:30]
    np.savez(tmp_path / "queries.npz", texts=np.array(asked), vectors=vectors[:30])
    found = growth._searched(tmp_path / "home", tmp_path / "queries.npz")
    assert found["recall_at_10"] == 1.0
    assert 0 < found["p50_ms"] <= found["p95_ms"]
    assert found["keyword_p95_ms"] > 0
    assert found["users_per_s"] > 0


def test_recommendation_grows_on_a_drawn_log() -> None:
    from benchmarks import recommendation

    user, item, at = recommendation.drawn(2000)
    assert (len(user), at.tolist()) == (2000, sorted(at))
    same = item % recommendation.WORLDS == user % recommendation.WORLDS
    assert 0.75 < same.mean() < 0.9, "most keep to their world"
    found = recommendation.measured(2000)
    assert found["events"] == 2000
    assert found["items"] == item.max() + 1
    assert 0 < found["p50_ms"] <= found["p95_ms"]


def test_sentiment_is_replayed_and_counted(tmp_path: Path) -> None:
    archive = news.archive(days=25, bursts=4)
    assert {d.kind for d in archive.items} == {"background", "burst", "serial", "copy"}
    assert len({d.item.external_id for d in archive.items}) == len(archive.items)
    found = sentiment.replayed(archive, tmp_path / "replay", cuts=2)
    assert (found["planted"], found["told_early"], found["lost"]) == (4, 0, 0)
    assert found["found"] >= 3
    assert found["dropped"] >= 0.9 * found["copies"]


def test_figures_of_a_replay_are_worked_by_hand() -> None:
    archive = news.archive(days=15, bursts=1)
    (burst,) = archive.bursts
    right = Alert("burst", "burst", burst.company, burst.begin + 3600)
    false = Alert("burst", "burst", burst.company, burst.begin - 3 * 86_400)
    counted = sentiment.bursts(archive, [right, false])
    assert (counted["found"], counted["false"], counted["delay_h"]) == (1, 1, 1.0)
    assert counted["false_per_100"] == pytest.approx(100 / (15 * 40))
    copy = next(d for d in archive.items if d.kind == "copy")
    kept: dict[str, str | None] = {d.item.external_id: None for d in archive.items}
    assert sentiment.copies(archive, kept)["dropped"] == 0
    kept[copy.item.external_id] = copy.of
    kept[copy.of] = "another"
    counted = sentiment.copies(archive, kept)
    assert (counted["dropped"], counted["lost"]) == (1, 1)


def test_a_backlog_killed_and_resumed_is_whole(tmp_path: Path) -> None:
    found = sentiment.resumed(300, tmp_path, kills=1)
    assert found["same"]
    assert (found["items"], found["expected"]) == (300, 300)


def test_labels_are_exchanged_for_near_ones_and_each_method_lists_its_rows() -> None:
    examples = [Example(f"{label} {n}", label) for label in "abcdefgh" for n in range(10)]
    vectors = np.array([[e.label < "e", e.label >= "e"] for e in examples], float)  # two groups of four labels
    given, bad = exchanged(examples, vectors, 0.5, "near", 0)
    moved = [(old.label, new.label) for old, new, wrong in zip(examples, given, bad, strict=True) if wrong]
    assert len(moved) == 40
    assert all(old != new and (old < "e") == (new < "e") for old, new in moved), "the nearest on average"
    assert [e for e, wrong in zip(given, bad, strict=True) if not wrong] == [
        e for e, wrong in zip(examples, bad, strict=True) if not wrong
    ]
    shares = np.array([[0.9, 0.1], [0.25, 0.75], [0.05, 0.95], [0.2, 0.8], [0.4, 0.6]])
    assert lists(shares, np.array([0, 0, 0, 1, 1])) == {
        "listed": [2],
        "least probable, as many": [2],
        "confident learning": [1, 2],  # label 1 is .7 probable for its own rows on average
    }
