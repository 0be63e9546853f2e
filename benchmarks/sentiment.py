"""The sentiment desk on a drawn archive: bursts found, copies folded, nothing told early; how fast; killed and resumed.

The archive is that of :mod:`benchmarks.news`. Speed is measured beside the ``text-classification`` pipeline of
transformers with a model of BERT-base size, in one run; its weights are random, which costs the same time. The desk does
more for an item than the pipeline: it is stored, searched for copies and companies, and judged for each of these.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from apps.financial_sentiment import Desk, analysis
from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.analysis import Analyzer
from apps.financial_sentiment.head import Head
from apps.financial_sentiment.series import DAY
from benchmarks import news
from benchmarks.news import HOUR, START, Archive
from benchmarks.report import Result, Table, Target
from core.errors import InputError
from core.providers.sync import run as wait
from core.runtime import open_runtime
from core.settings import load_settings
from core.types import LOCAL

CUTS = 12  # times at which the past is compared with what was told then
ITEMS, BULK, ROUNDS = 96, 1700, 3  # of a round of speed; all rounds together fit into the archive
KILLS = 8
FOUND, FALSE, DROPPED, LOST, UNCACHED, WORDS = 0.9, 1.0, 0.95, 0.01, 2.0, 50.0  # the limits


@contextmanager
def opened(home: Path, head: Head | None = None) -> Iterator[Desk]:
    """A desk that knows the companies of the archive; without ``head`` that of the embedding model."""
    variables = {"TOUCHSTONE_HOME": str(home), "TOUCHSTONE_EMBEDDING": "scripted:none" if head else "embedded:e5"}
    desk = Desk(open_runtime(load_settings(home.parent, variables)), head)
    try:
        if not desk.dictionary().companies.get("d-0"):
            desk.add_companies(news.companies())
        yield desk
    finally:
        desk.close()


# --- replay -------------------------------------------------------------------------------------


def replayed(archive: Archive, home: Path, cuts: int = CUTS) -> dict[str, Any]:
    """The archive as it comes in; then what the desk says of it, and whether it said the same when it came."""
    at = [START + archive.days * DAY * (n + 1) / cuts for n in range(cuts)]
    told, came = [], 0
    with opened(home, analysis.shipped("words")) as desk:
        for moment in at:
            part = [d.item for d in archive.items[came:] if (d.item.seen_at or 0.0) <= moment]
            desk.add(part)
            came += len(part)
            told.append(_known(desk, moment))
        desk.add([d.item for d in archive.items[came:]])
        early = sum(_known(desk, moment) != before for moment, before in zip(at, told, strict=True))
        alerts = desk.alerts(at=START + (archive.days + 1) * DAY, since=START)
        kept = _kept(desk)
    return {"cuts": cuts, "told_early": early, **bursts(archive, alerts), **copies(archive, kept)}


def _known(desk: Desk, at: float) -> list[Any]:
    return [desk.companies(at=at), desk.alerts(at=at), desk.group_standings(at=at)]


def _kept(desk: Desk) -> dict[str, str | None]:
    """Of each item the name of what it was found to be a copy of."""
    with desk.runtime.workspace.read() as db:
        rows = db.execute(
            "SELECT id, external_id, copy_of FROM news_items WHERE tenant = ?", (LOCAL.tenant,)
        ).fetchall()
    names = {row["id"]: row["external_id"] for row in rows}
    return {row["external_id"]: row["copy_of"] and names[row["copy_of"]] for row in rows}


def bursts(archive: Archive, alerts: Sequence[Alert]) -> dict[str, Any]:
    """A burst is found by an alert of its company from its first item to a day after its last; other such are false."""
    listed = [alert for alert in alerts if alert.when == "burst"]
    delays, right = [], set[tuple[str, float]]()
    items = {b: sorted(d.item.seen_at or 0.0 for d in archive.items if d.kind == "burst" and d.company == b.company
                       and b.begin <= (d.item.seen_at or 0.0) <= b.end) for b in archive.bursts}  # fmt: skip
    counts = []
    for burst in archive.bursts:
        hits = [a for a in listed if a.subject == burst.company and burst.begin <= a.at <= burst.end + DAY]
        right |= {(a.subject, a.at) for a in hits}
        if hits:
            delays.append((min(a.at for a in hits) - burst.begin) / HOUR)
            counts.append(sum(moment <= min(a.at for a in hits) for moment in items[burst]))
    false = sum((a.subject, a.at) not in right for a in listed)
    entity_days = archive.days * len(archive.companies)
    return {
        "planted": len(archive.bursts), "found": len(delays), "false": false, "entity_days": entity_days,
        "false_per_100": 100 * false / entity_days, "delay_h": statistics.median(delays) if delays else None,
        "delay_items": float(statistics.median(counts)) if counts else None, "rules": dict(Counter(a.rule for a in alerts)),
    }  # fmt: skip


def copies(archive: Archive, kept: dict[str, str | None]) -> dict[str, Any]:
    """Planted copies that were folded, and items that were folded though they are none."""
    planted = [d for d in archive.items if d.kind == "copy"]
    distinct = [d for d in archive.items if d.kind != "copy"]
    lost = Counter(d.kind for d in distinct if kept.get(d.item.external_id, "") is not None)
    return {
        "items": len(archive.items), "copies": len(planted),
        "dropped": sum(kept.get(d.item.external_id) is not None for d in planted),
        "distinct": len(distinct), "lost": sum(lost.values()), "lost_by_kind": dict(lost),
    }  # fmt: skip


# --- speed --------------------------------------------------------------------------------------


def speeds(
    archive: Archive, folder: Path, *, items: int = ITEMS, bulk: int = BULK, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Items a second of the pipeline, of the whole desk, and of its stages; each round meets new items."""
    pipeline = bert(archive)
    listed = [d.item for d in archive.items]
    if len(listed) < 8 + rounds * max(items, bulk):
        raise InputError(reason="bad_value", name="bulk", value=bulk, allowed=f"1 … {(len(listed) - 8) // rounds}")
    rates: dict[str, list[float]] = {}

    def timed(name: str, count: int | None, work: Callable[[], Any]) -> None:
        began = time.perf_counter()
        made = work()
        rates.setdefault(name, []).append((made if count is None else count) / (time.perf_counter() - began))

    with opened(folder / "full") as full, opened(folder / "words", analysis.shipped("words")) as words:
        full.add(listed[:8])
        words.add(listed[:8])
        pipeline([_body(item) for item in listed[:8]], batch_size=8)
        for number in range(rounds):
            small = listed[8 + number * items :][:items]
            large = listed[8 + number * bulk :][:bulk]
            bodies = [_body(item) for item in small]
            timed("bert", len(small), partial(pipeline, bodies, batch_size=8, truncation=True))
            timed("full", len(small), partial(full.add, small))
            timed("words", len(large), partial(words.add, large))
            full.items.forget_judgments(LOCAL)
            timed("cached", None, full.judge)
        stages = _stages(full, words, listed[:items])
    return {"rates": rates, "stages": stages, "items": items, "bulk": bulk,
            "ratios": {name: statistics.median(a / b for a, b in zip(rates[name], rates["bert"], strict=True))
                       for name in ("full", "cached", "words")}}  # fmt: skip


def _stages(full: Desk, words: Desk, listed: Sequence[Any]) -> dict[str, float]:
    """Milliseconds an item."""
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = work()
        found[name] = (time.perf_counter() - began) * 1000 / len(listed)
        return made

    later = [replace(item, seen_at=(item.seen_at or 0.0) + 400 * DAY, published_at=None) for item in listed]
    later = [replace(item, external_id=f"again-{item.external_id}") for item in later]
    timed("store", lambda: words.items.add(LOCAL, later, time.time()))
    bodies = [_body(item) for item in listed]
    analyzer = Analyzer(full.dictionary(), full.head(), full.runtime.embedding())
    mentions = timed("entities", lambda: [analyzer.dictionary.find(body) for body in bodies])
    plans = timed(
        "parts", lambda: [analysis.parts(b, m, ms) for b, ms in zip(bodies, mentions, strict=True) for m in ms]
    )
    masked = [part.masked for plan in plans for part in plan]
    vectors = timed("embedding", lambda: wait(analyzer.vectors(masked)))
    timed("head", lambda: analyzer.head.judge(masked, vectors))
    timed("events", lambda: [analysis.events(body) for body in bodies])
    return found


def _body(item: Any) -> str:
    return f"{item.title}\n{item.text}"


def bert(archive: Archive) -> Any:
    """The pipeline of transformers over a model of BERT-base size with a vocabulary of the archive's own words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words.train_from_iterator(
        [_body(d.item) for d in archive.items], trainers.WordPieceTrainer(vocab_size=4000, special_tokens=marks, show_progress=False)
    )  # fmt: skip
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=512,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = BertForSequenceClassification(BertConfig(num_labels=3)).eval()
    return pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


# --- killed and resumed -------------------------------------------------------------------------


def backlog(count: int) -> list[Any]:
    """So many items over a year, all different."""
    import numpy as np

    from apps.financial_sentiment.items import NewsItem

    rng = np.random.default_rng(news.SEED)
    known = news.companies()
    made = []
    for number in range(count):
        language = ("en", "zh")[number % 2]
        title, body = news.text(rng, known[rng.integers(len(known))], int(rng.integers(-1, 2)), language)
        at = START + number * 365 * DAY / count
        made.append(NewsItem(title, body, "wire", f"b{number}", "", at - 60, at, language))
    return made


def resumed(count: int, folder: Path, kills: int = KILLS) -> dict[str, Any]:
    """A backlog added by processes that are killed, beside one that is left alone: both must hold the same."""
    began = time.perf_counter()
    _adds(folder / "calm", count)
    alone_s = time.perf_counter() - began
    rng = random.Random(news.SEED)
    killed, progress = 0, []
    for _ in range(kills):
        child = _child(folder / "killed", count)
        try:
            child.wait(alone_s * rng.uniform(0.15, 0.35))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            killed += 1
        child.wait()
        progress.append(_count(folder / "killed"))
    _adds(folder / "killed", count)
    calm, other = (_state(folder / name) for name in ("calm", "killed"))
    return {
        "count": count, "kills": killed, "progress": progress, "alone_s": alone_s, "rate": count / alone_s,
        "items": other[0], "expected": calm[0], "same": calm == other, "moods": other[2],
    }  # fmt: skip


def _child(home: Path, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sentiment", str(home), str(count)],
        cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip


def _adds(home: Path, count: int) -> None:
    if code := _child(home, count).wait():
        raise subprocess.CalledProcessError(code, "benchmarks.sentiment")


def _count(home: Path) -> int:
    path = home / "touchstone.db"
    if not path.exists():
        return 0
    db = sqlite3.connect(path)
    try:
        return int(db.execute("SELECT count(*) FROM news_items").fetchone()[0])
    except sqlite3.OperationalError:  # killed before the tables were made
        return 0
    finally:
        db.close()


def _state(home: Path) -> tuple[int, int, int, str]:
    """Items, different names, moods, and a hash of everything that was kept of them but for ids."""
    db = sqlite3.connect(home / "touchstone.db")
    try:
        items, names = db.execute("SELECT count(*), count(DISTINCT external_id) FROM news_items").fetchone()
        moods = db.execute("SELECT count(*) FROM news_moods").fetchone()[0]
        digest = hashlib.sha256()
        for row in db.execute(
            "SELECT i.external_id, i.title, i.text, i.seen_at, i.superseded_at, o.external_id, i.judged_by FROM news_items i"
            " LEFT JOIN news_items o ON o.id = i.copy_of ORDER BY i.external_id, i.seen_at"
        ):
            digest.update(repr(row).encode())
        for row in db.execute(
            "SELECT i.external_id, m.company, m.label, m.mood, m.events FROM news_moods m JOIN news_items i"
            " ON i.id = m.item_id ORDER BY i.external_id, m.company"
        ):
            digest.update(repr(row).encode())
        return items, names, moods, digest.hexdigest()
    finally:
        db.close()


# --- the benchmark ------------------------------------------------------------------------------


def run(given: argparse.Namespace) -> Result:
    archive = news.archive()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replay = replayed(archive, folder / "replay")
        speed = speeds(archive, folder)
        killed = resumed(given.backlog, folder)
    return result(replay, speed, killed)


_STAGES = {
    "store": ("store: versions, search for copies", "存储：版本、查找转载"), "entities": ("companies", "公司"),
    "parts": ("sentences, names hidden", "取句、遮名"), "embedding": ("embedding (uncached)", "向量（无缓存）"),
    "head": ("head", "模型"), "events": ("risk events", "风险事件"),
}  # fmt: skip
_SYSTEMS = {
    "bert": ("transformers pipeline, BERT-base", "transformers pipeline，BERT-base"),
    "full": ("desk, head full, nothing cached", "本应用，full，无缓存"),
    "cached": ("desk, judged again with known vectors", "本应用，向量已有，重新判断"),
    "words": ("desk, head words (n-grams alone)", "本应用，words（仅 n-gram）"),
}


def result(replay: dict[str, Any], speed: dict[str, Any], killed: dict[str, Any]) -> Result:
    r = replay
    rates = {name: statistics.median(values) for name, values in speed["rates"].items()}
    return Result(
        "sentiment",
        ("Financial sentiment: replay, speed, kill", "金融舆情：回放、速度、中断"),
        [
            Table(
                (f"A drawn archive: {r['items']:,} items, {r['entity_days']:,} days of a company", f"抽取生成的归档：{r['items']:,} 条，{r['entity_days']:,} 公司日"),
                [("what", "项目"), ("count", "数量"), ("of", "总数")],
                [
                    ["bursts found · 找到的突发", r["found"], r["planted"]],
                    ["false burst alerts · 误报", r["false"], None],
                    ["median hours from the first item · 距首条的中位小时数", r["delay_h"], None],
                    ["items of the burst until then, median · 届时已出现的条数（中位）", r["delay_items"], None],
                    ["copies folded · 归并的转载", r["dropped"], r["copies"]],
                    ["others folded by mistake · 误并的条目", r["lost"], r["distinct"]],
                    ["times at which the past changed · 过去被改变的时点", r["told_early"], r["cuts"]],
                ],
            ),
            Table(
                ("Items a second, from text to stored opinions, two cores", "每秒条数，从文字到存好的判断，两核"),
                [("system", "系统"), ("items/s", "条/秒"), ("× BERT-base", "× BERT-base")],
                [[" · ".join(dict.fromkeys(_SYSTEMS[name])), rates[name], speed["ratios"].get(name, 1.0)] for name in _SYSTEMS if name in rates],
            ),
            Table(
                ("Milliseconds an item, by stage", "各阶段每条毫秒数"),
                [("stage", "阶段"), "ms"],
                [[f"{_STAGES[name][0]} · {_STAGES[name][1]}", ms] for name, ms in speed["stages"].items()],
            ),
        ],
        [
            Target(("bursts found", "找到的突发占比"), r["found"] / r["planted"], FOUND, "", at_least=True),
            Target(("false burst alerts in 100 days of a company", "每百公司日误报"), r["false_per_100"], FALSE, ""),
            Target(("copies folded", "归并的转载占比"), r["dropped"] / r["copies"], DROPPED, "", at_least=True),
            Target(("others folded by mistake", "误并占比"), r["lost"] / r["distinct"], LOST, ""),
            Target(("times at which the past changed", "过去被改变的时点"), float(r["told_early"]), 0.0, ""),
            Target(("head full, uncached / BERT-base", "full 无缓存 / BERT-base"), speed["ratios"]["full"], UNCACHED, at_least=True),
            Target(("head words / BERT-base", "words / BERT-base"), speed["ratios"]["words"], WORDS, at_least=True),
            Target(("items lost, doubled or different after kills", "中断后丢失、重复或不同的条目"),
                   0.0 if killed["same"] else float(abs(killed["items"] - killed["expected"]) or 1), 0.0, ""),
        ],
        [
            (
                f"Backlog: {killed['count']:,} items added with the head words at {killed['rate']:,.0f} items/s; {killed['kills']} processes killed "
                f"(kill -9) on the way, then finished: {'the same' if killed['same'] else 'NOT the same'} items, copies and opinions as without a kill. "
                "Quality of both heads: the model card of apps/financial_sentiment.",
                f"积压：{killed['count']:,} 条用 words 以每秒 {killed['rate']:,.0f} 条加入；途中 {killed['kills']} 次 kill -9 后完成："
                f"条目、转载与判断与未中断时{'相同' if killed['same'] else '不同'}。两个模型的质量见 apps/financial_sentiment 的模型卡。",
            )
        ],
        {"replay": replay, "speed": speed, "backlog": killed},
    )  # fmt: skip


if __name__ == "__main__":
    with opened(Path(sys.argv[1]), analysis.shipped("words")) as adding:
        adding.add(backlog(int(sys.argv[2])))
        sys.stdout.write(json.dumps({"items": int(sys.argv[2])}) + "\n")
