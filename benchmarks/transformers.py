"""Does the torch engine batch on a CPU, and does it lose anything against transformers' own ways?

Sixteen clients, each with a prompt of its own and a fixed number of tokens to write. Beside our engine, in the same
process and with the same weights: ``generate`` one by one, and ``generate_batch`` (continuous batching with paged
attention) with a cache of the size that is needed, which is several times faster than the size it chooses itself. The
first token is measured against ``generate`` with a streamer. Ratios are taken within a round; their median is kept.

SmolLM2 comes from the packaged GGUF; its converted weights are shared with the tests.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import HERE, Result, Table, Target
from core.providers.embedded import CHAT, find_file
from core.providers.registry import open_model
from core.settings import load_settings
from core.types import Done, Options, TextDelta, user

CLIENTS = 16
ALONE = 2  # prompts answered one by one in a round
TOKENS = 32
ROUNDS = 5
FIRST = 3  # first tokens measured in a round
HOME = HERE.parent / ".pytest_cache" / "touchstone"
ONE, RAW, OURS = "generate, one by one", "generate_batch, 16 at once", "Touchstone, 16 at once"
STREAMER, FIRST_OURS = "generate with a streamer, first token", "Touchstone, first token"
ZH = {ONE: "generate，逐个", RAW: "generate_batch，16 个并发", OURS: "Touchstone，16 个并发"}


@dataclass(frozen=True, slots=True)
class Rate:
    tokens_per_s: float
    cpu_ms: float  # per token


def run() -> Result:
    variables = {
        "TOUCHSTONE_HOME": str(HOME),
        "TOUCHSTONE_LOCAL_SLOTS": str(CLIENTS),
        "TOUCHSTONE_LOCAL_CONTEXT": "1024",  # with the default the caches of 11 calls fill their share of memory
        "TOUCHSTONE_FIRST_TOKEN_S": "600",
    }
    settings = load_settings(Path(HERE), variables)
    model = open_model("chat", f"transformers:{find_file(CHAT['smollm2'])}", settings)
    rates, firsts = asyncio.run(_rounds(model))
    return Result(
        "transformers",
        ("Torch engine on a CPU: sixteen clients", "torch 引擎在 CPU 上：16 个客户端"),
        [
            Table(
                (f"SmolLM2-135M, {TOKENS} tokens for each client, medians of {ROUNDS} rounds", f"SmolLM2-135M，每个客户端 {TOKENS} 个词元，{ROUNDS} 轮的中位数"),
                [("case", "情形"), ("tokens/s", "词元/秒"), ("CPU ms per token", "每词元 CPU ms")],
                [[f"{name} · {ZH[name]}", _median(rates, name, "tokens_per_s"), _median(rates, name, "cpu_ms")] for name in ZH],
            ),
            Table(
                ("One client: ms to the first token, medians", "1 个客户端：首个词元毫秒数，中位数"),
                [("case", "情形"), "ms"],
                [
                    [f"{STREAMER} · generate 加 streamer", statistics.median(row[STREAMER] for row in firsts)],
                    [f"{FIRST_OURS} · 首个词元", statistics.median(row[FIRST_OURS] for row in firsts)],
                ],
            ),
        ],
        [
            Target(("16 at once / generate one by one", "16 个并发 / 逐个 generate"), _ratio(rates, OURS, ONE), 4.0, at_least=True),
            Target(("16 at once / generate_batch", "16 个并发 / generate_batch"), _ratio(rates, OURS, RAW), 0.9, at_least=True),
            Target(("first token / generate with a streamer", "首个词元 / generate 加 streamer"), statistics.median(row[FIRST_OURS] / row[STREAMER] for row in firsts), 1.1),
        ],
        raw={"rounds": [{n: [r.tokens_per_s, r.cpu_ms] for n, r in row.items()} for row in rates], "first_ms": firsts},
    )  # fmt: skip


async def _rounds(model: Any) -> tuple[list[dict[str, Rate]], list[dict[str, float]]]:
    running = await model.engine.running()
    raw, tokenizer = running.batch._model, running.tokenizer
    rates, firsts = [], []
    for number in range(-1, ROUNDS):  # the first is a warm-up
        texts = [f"Write a short story about {number + 2} travelers and the number {i}." for i in range(CLIENTS)]
        prompts = [_prompt(tokenizer, text) for text in texts]
        cases: dict[str, Callable[[], Any]] = {
            ONE: lambda prompts=prompts: _one_by_one(raw, prompts[:ALONE]),
            RAW: lambda prompts=prompts: generate_batch(raw, prompts, TOKENS),
            OURS: lambda texts=texts: ours(model, texts, TOKENS),
        }
        found = {}
        for name in [*cases][number % 3 :] + [*cases][: number % 3]:
            started, cpu = time.perf_counter(), time.process_time()
            done = cases[name]()
            tokens = await done if asyncio.iscoroutine(done) else done
            found[name] = Rate(tokens / (time.perf_counter() - started), (time.process_time() - cpu) / tokens * 1e3)
        waits: dict[str, list[float]] = {STREAMER: [], FIRST_OURS: []}
        for text, prompt in zip(texts[:FIRST], prompts, strict=False):
            waits[STREAMER].append(_first_of_streamer(raw, tokenizer, prompt))
            waits[FIRST_OURS].append(await first_token_ms(model, text))
        if number >= 0:
            rates.append(found)
            firsts.append({name: statistics.median(values) for name, values in waits.items()})
    await model.aclose()
    return rates, firsts


def _prompt(tokenizer: Any, text: str) -> list[int]:
    chat = [{"role": "user", "content": text}]
    found: list[int] = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return found


def _one_by_one(model: Any, prompts: list[list[int]]) -> int:
    return sum(generate(model, prompt, TOKENS) for prompt in prompts)


def generate(model: Any, prompt: list[int], tokens: int, streamer: Any = None) -> int:
    """transformers' own ``generate`` for one prompt; returns how many tokens were written."""
    import torch

    ids = torch.tensor([prompt], device=model.device)
    with torch.inference_mode():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0, streamer=streamer,
        )  # fmt: skip
    return int(out.shape[1]) - len(prompt)


def generate_batch(model: Any, prompts: list[list[int]], tokens: int) -> int:
    """transformers' own continuous batching; its cache is as large as these prompts need."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    pages = -(-(max(map(len, prompts)) + tokens) // 256) + 1
    results = model.generate_batch(
        prompts,
        generation_config=GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=len(prompts) * pages, max_batch_tokens=2048),
        warmup=model.device.type == "cuda",
    )
    return sum(len(result.generated_tokens) for result in results.values())


async def ours(model: Any, texts: list[str], tokens: int) -> int:
    """All ``texts`` at once through our engine."""

    async def one(text: str) -> int:
        options = Options(max_tokens=tokens, temperature=0.0, extra={"ignore_eos": True})
        async for event in model.stream([user(text)], options):
            if isinstance(event, Done):
                return event.completion.usage.output_tokens or 0
        return 0

    return sum(await asyncio.gather(*map(one, texts)))


async def first_token_ms(model: Any, text: str) -> float:
    started = time.perf_counter()
    stream = model.stream([user(text)], Options(max_tokens=4, temperature=0.0, extra={"ignore_eos": True}))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    took = time.perf_counter() - started
    await stream.aclose()
    return took * 1e3


def _first_of_streamer(model: Any, tokenizer: Any, prompt: list[int]) -> float:
    """Of the first token itself: a streamer that makes text waits for a whole word."""
    from transformers.generation.streamers import BaseStreamer

    class First(BaseStreamer):
        def __init__(self) -> None:
            self.came: list[float] = []

        def put(self, value: Any) -> None:
            self.came.append(time.perf_counter())  # the prompt comes first

        def end(self) -> None:
            pass

    first, started = First(), time.perf_counter()
    generate(model, prompt, 4, first)
    return (first.came[1] - started) * 1e3


def _ratio(rounds: list[dict[str, Rate]], name: str, other: str) -> float:
    return statistics.median(row[name].tokens_per_s / row[other].tokens_per_s for row in rounds)


def _median(rounds: list[dict[str, Rate]], name: str, field: str) -> float:
    return statistics.median(getattr(row[name], field) for row in rounds)
