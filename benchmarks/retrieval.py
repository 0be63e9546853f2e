"""Hybrid retrieval side by side: the same passages, the same vectors, the same questions, round by round.

SciFact's documents (cut into passages by our splitter, the same for all) stand among other real texts up to
``--passages``; the questions are SciFact's training claims. Every system runs in its own process and is used as its
documentation says. Vectors are made once, by our embedding model, and looked up by everyone.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growing import paragraphs
from benchmarks.report import HERE, Result, Table, Target
from core.evaluation.loaders import load_beir
from core.evaluation.ranking import grade, ndcg
from core.retrieval import load, split
from core.runtime import open_runtime
from core.settings import Settings, load_settings

SYSTEMS = ("Touchstone", "LangChain", "LlamaIndex", "Haystack")
OURS = SYSTEMS[0]
ROUNDS, QUESTIONS, WARM_UP = 5, 200, 10


def run(given: argparse.Namespace) -> Result:
    with tempfile.TemporaryDirectory(prefix="touchstone-retrieval-") as name:
        folder = Path(name)
        passages = corpus(given.data, given.passages)
        data = load_beir(given.data / "scifact", split="train")
        records = random.Random(1).sample(list(data.records), QUESTIONS)
        embedding_s = asyncio.run(_write(folder, passages, [record.input for record in records], given.embedding))
        workers, missing = _workers(folder, given.peers)
        try:
            indexed = {name: worker.ask({"do": "index"}) for name, worker in workers.items()}
            took, found = _rounds(workers)
        finally:
            for worker in workers.values():
                worker.close()
        quality = {name: _quality(rows, [dict(r.relevant) for r in records]) for name, rows in found.items()}
        second = asyncio.run(_second_sync(folder / "second", given.unchanged))
    return _result(given, len(passages), indexed, took, quality, embedding_s, second, missing)


def corpus(data: Path, count: int) -> list[dict[str, str]]:
    """Passages with ``id`` (``document#number``), ``title`` and ``text``: SciFact's first, then others."""
    found: list[dict[str, str]] = []
    for document in load_beir(data / "scifact", split="train").documents:
        found += _cut(document.id, document.title, document.text or document.title)
    for number, (title, text) in enumerate(paragraphs(data)):
        found += _cut(f"cmrc{number}", title or f"CMRC {number}", text)
    with (data / "sentfin" / "SEntFiN.csv").open(encoding="utf-8") as rows:
        for number, row in enumerate(csv.DictReader(rows)):
            found += _cut(f"sentfin{number}", f"Headline {number}", row["Title"])
    return found[:count]


def _cut(id_: str, title: str, text: str) -> list[dict[str, str]]:
    document = load.load(text.encode(), source=f"{id_}.txt", title=title, hash_="")
    pieces = split.split(document.text, list(document.blocks), title=document.title)
    return [
        {"id": f"{id_}#{n}", "title": document.title, "text": document.text[piece.start : piece.end].strip()}
        for n, piece in enumerate(pieces)
    ]


async def _write(folder: Path, passages: Sequence[Mapping[str, str]], asked: Sequence[str], embedding: str) -> float:
    """Write what the systems read; returns the seconds that embedding the passages took."""
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in passages), "utf-8")
    (folder / "questions.json").write_text(json.dumps(asked), "utf-8")
    with open_runtime(_settings(folder / "home", embedding)) as runtime:
        model = runtime.embedding()
        texts = [f"{row['title']}\n{row['text']}" for row in passages]
        started = time.perf_counter()
        parts = [await model.embed(texts[a : a + 16], kind="document") for a in range(0, len(texts), 16)]
        took = time.perf_counter() - started
        questions = [await model.embed(list(asked[a : a + 16]), kind="query") for a in range(0, len(asked), 16)]
    np.savez(folder / "vectors.npz", passages=np.concatenate(parts), questions=np.concatenate(questions))
    return took


class _Worker:
    """A system in its own process."""

    def __init__(self, python: str, system: str, folder: Path) -> None:
        self.system = system
        self.process = subprocess.Popen(
            [python, "-W", "ignore", "-m", "benchmarks.retrieval_client", system, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent,
        )  # fmt: skip

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.system} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _workers(folder: Path, peers: str) -> tuple[dict[str, _Worker], list[str]]:
    """Processes of the systems that can be measured, and the names of those that cannot."""
    check = "import langchain_chroma, langchain_classic, langchain_community, rank_bm25"
    needed = {
        "LangChain": check,
        "LlamaIndex": "import llama_index.core, llama_index.retrievers.bm25, llama_index.vector_stores.chroma, Stemmer",
        "Haystack": "import haystack",
    }
    missing = [
        name
        for name, code in needed.items()
        if subprocess.run([peers, "-W", "ignore", "-c", code], capture_output=True, check=False).returncode
    ]
    return {
        name: _Worker(sys.executable if name == OURS else peers, name, folder)
        for name in SYSTEMS
        if name not in missing
    }, missing


def _rounds(workers: Mapping[str, _Worker]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[list[str]]]]:
    """Every system searches every question once, in ``ROUNDS`` turns; the first is another one in each."""
    took: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    found: dict[str, list[list[str]]] = {name: [] for name in workers}
    for worker in workers.values():
        worker.ask({"do": "search", "questions": list(range(WARM_UP))})
    size, names = QUESTIONS // ROUNDS, list(workers)
    for turn in range(ROUNDS):
        questions = list(range(turn * size, (turn + 1) * size))
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            answer = workers[name].ask({"do": "search", "questions": questions})
            took[name].append({"ms": answer["ms"], "cpu_ms": answer["cpu_ms"]})
            found[name] += answer["found"]
    return took, found


def _quality(found: Sequence[Sequence[str]], relevant: Sequence[Mapping[str, float]]) -> float:
    """nDCG@10 over documents; a document stands where its best passage does."""
    documents = [list(dict.fromkeys(id_.rpartition("#")[0] for id_ in ids)) for ids in found]
    return float(ndcg(*grade(documents, relevant), 10).mean())


def _settings(home: Path, embedding: str) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    return load_settings(home, {"TOUCHSTONE_HOME": str(home), "TOUCHSTONE_EMBEDDING": embedding})


async def _second_sync(folder: Path, count: int) -> dict[str, float]:
    """What syncing ``count`` unchanged files costs; the vectors are hashes, for none is made the second time."""
    from core.retrieval.library import Library

    files = folder / "files"
    files.mkdir(parents=True)
    for n in range(count):
        (files / f"{n}.txt").write_text(f"Note {n}\n\nThe code word of note {n} is w{n * 7919 % 10_007}x.\n", "utf-8")
    with open_runtime(_settings(folder / "home", "scripted:hash")) as runtime:
        index = Library.of(runtime).collection()
        first = await index.sync([files])
        second = await index.sync([files])
    if second.count("unchanged") != count:
        raise RuntimeError(f"{second.count('unchanged')} of {count} files unchanged")
    return {"first_s": first.seconds, "second_s": second.seconds, "embedded": float(second.embedded)}


def _result(
    given: argparse.Namespace,
    count: int,
    indexed: Mapping[str, Mapping[str, float]],
    took: Mapping[str, Sequence[Mapping[str, Any]]],
    quality: Mapping[str, float],
    embedding_s: float,
    second: Mapping[str, float],
    missing: Sequence[str],
) -> Result:
    milliseconds = {name: [ms for part in rounds for ms in part["ms"]] for name, rounds in took.items()}
    p50 = {name: float(np.percentile(values, 50)) for name, values in milliseconds.items()}
    p95 = {name: float(np.percentile(values, 95)) for name, values in milliseconds.items()}
    cpu = {name: float(np.median([part["cpu_ms"] for part in rounds])) for name, rounds in took.items()}
    peers = [name for name in took if name != OURS]
    fastest = min(peers, key=p50.__getitem__, default=None)
    notes = [
        (
            f"{count:,} passages, embedded by {given.embedding}; vectors are looked up, so embedding is not timed. "
            "Questions are a fixed sample of SciFact's training claims.",
            f"{count:,} 个段落，由 {given.embedding} 向量化；向量事先算好，计时不含向量化。问题是 SciFact 训练断言的固定样本。",
        )
    ]
    if missing:
        names = ", ".join(missing)
        notes.append((f"Not measured, not installed: {names}.", f"未安装，没有测量：{names}。"))
    return Result(
        "retrieval",
        ("Hybrid retrieval beside peers", "混合检索与同类比较"),
        [
            Table(
                ("One hybrid search, the ten best documents", "一次混合检索，前十篇文档"),
                [
                    ("system", "系统"), "p50 ms", "p95 ms", "CPU ms", ("÷ Touchstone, p50", "÷ Touchstone，p50"), "nDCG@10",
                    ("indexed per s", "每秒写入"), ("indexing CPU s", "写入 CPU 秒"),
                ],
                [
                    [
                        name, p50[name], p95[name], cpu[name], p50[name] / p50[OURS], quality[name],
                        count / indexed[name]["wall_s"], indexed[name]["cpu_s"],
                    ]
                    for name in took
                ],
            )
        ],
        [
            Target(("fastest peer / Touchstone, p50", "最快的同类 / Touchstone，p50"), p50[fastest] / p50[OURS] if fastest else None, 5, at_least=True),
            Target(("fastest peer / Touchstone, p95", "最快的同类 / Touchstone，p95"), min(p95[n] for n in peers) / p95[OURS] if peers else None, 5, at_least=True),
            Target(("Touchstone − best peer, nDCG@10", "Touchstone − 最好的同类，nDCG@10"), quality[OURS] - max(quality[n] for n in peers) if peers else None, 0, "", at_least=True),
            Target(("indexing with embedding / embedding alone", "写入加向量化 / 单独向量化"), 1 + indexed[OURS]["wall_s"] / embedding_s, 1.2),
            Target((f"second sync of {given.unchanged:,} unchanged files", f"再次同步 {given.unchanged:,} 个未变的文件"), second["second_s"], 3, "s"),
            Target(("passages embedded by it", "其间向量化的段落"), second["embedded"], 0, ""),
        ],
        notes,
        {"rounds": took, "indexed": indexed, "ndcg@10": quality, "embedding_s": embedding_s, "second_sync": second},
    )  # fmt: skip
