"""Embeddings by torch: our engine beside sentence-transformers itself, over the same texts and the same weights."""

from __future__ import annotations

import random
from dataclasses import asdict

from benchmarks.measure import interleaved
from benchmarks.report import Result, Table, Target
from core.providers.registry import open_model
from core.providers.sync import run as wait
from core.settings import load_settings
from tests.core.providers.tiny_torch import minilm

TEXTS, ROUNDS = 128, 5
OURS, THEIRS = "sentence-transformers:… (ours)", "SentenceTransformer.encode"
_WORDS = [
    "kettle",
    "return",
    "parcel",
    "warranty",
    "battery",
    "order",
    "refund",
    "shipping",
    "delivery",
    "city",
    "seven",
    "days",
    "label",
    "voucher",
]


def texts() -> list[str]:
    """Documents of 5 to 60 words, always the same ones."""
    draw = random.Random(7)
    return [" ".join(draw.choices(_WORDS, k=draw.randint(5, 60))) for _ in range(TEXTS)]


def run() -> Result:
    from sentence_transformers import SentenceTransformer

    documents = texts()
    ours = open_model("embedding", f"sentence-transformers:{minilm()}", load_settings())
    theirs = SentenceTransformer(str(minilm()), device="cpu")
    measured = interleaved(
        {
            OURS: lambda: wait(ours.embed(documents, kind="document")),
            THEIRS: lambda: theirs.encode(documents, show_progress_bar=False, normalize_embeddings=True),
        },
        calls=1,
        rounds=ROUNDS,
        warm_up=1,
    )
    wait(ours.aclose())
    own, other = measured[OURS], measured[THEIRS]
    return Result(
        "embeddings",
        ("Embeddings by torch", "torch 向量"),
        [
            Table(
                (
                    f"all-MiniLM-L6-v2, {TEXTS} texts of 5 to 60 words, medians of {ROUNDS} rounds",
                    f"all-MiniLM-L6-v2，{TEXTS} 段 5 至 60 词的文本，{ROUNDS} 轮的中位数",
                ),
                [("case", "情形"), ("texts/s", "文本/秒"), ("CPU ms per text", "每段 CPU ms")],
                [[name, TEXTS / m.wall_ms * 1e3, m.cpu_ms / TEXTS] for name, m in measured.items()],
            )
        ],
        [
            Target(
                ("ours / sentence-transformers' own rate", "本引擎 / sentence-transformers 自身速度"),
                other.wall_ms / own.wall_ms,
                0.95,
                at_least=True,
            ),
            Target(
                ("the same by CPU time", "同上，按 CPU 时间"),
                other.cpu_ms / own.cpu_ms,
                0.95,
                at_least=True,
            ),
        ],
        raw={name: asdict(m) for name, m in measured.items()},
    )
