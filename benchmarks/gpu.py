"""The torch engine on a graphics card: random-weight models of 0.5B and 7B, built on the device from a configuration.

Clients at once through our engine, beside ``generate`` one by one, ``generate_batch``, and vLLM where it is installed (in a
process of its own, with weights of the same shape); whether memory comes back over load and unload; whether two models share
the card; how soon a cancelled call frees its slot. Without a card the result says so and nothing is measured.

``python -m benchmarks.gpu vllm FOLDER CLIENTS TOKENS`` is the process that runs vLLM; it prints tokens per second.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import Result, Table, Target
from benchmarks.transformers import first_token_ms, generate, generate_batch, ours
from core.errors import OutOfMemory
from core.providers.local_queue import QUEUE
from core.providers.torch_device import Device, choose, devices, free_bytes, trim
from core.providers.torch_engine import Engine
from core.providers.torch_files import ModelFiles, Tensors
from core.providers.torch_memory import BOOK, MIB
from core.providers.transformers import TransformersChat
from core.settings import Settings, load_settings
from core.types import Options, user
from tests.core.providers.tiny_transformers import CHATML, write_tokenizer

TITLE = ("Torch engine on a graphics card", "torch 引擎在显卡上")
CLIENTS = (1, 8, 32)
TOKENS = 128
CYCLES = 10
BACK_MIB = 200.0
# Shapes of Qwen2.5: the vocabulary is theirs too, because its output layer is a good part of the work.
SIZES: Mapping[str, Mapping[str, int]] = {
    "0.5B": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936},
    "7B": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
}  # fmt: skip


@dataclass
class Measured:
    """Of one model: tokens per second by way of answering, ms to the first token, seconds a cancelled slot took."""

    rates: dict[str, float] = field(default_factory=dict)
    first_ms: float = 0.0
    cancel_s: float = 0.0
    left_mib: list[float] = field(default_factory=list)  # after each unload, above the first


def run() -> Result:
    """All of it on the best card there is."""
    if devices()[0].kind != "cuda":
        return Result("gpu", TITLE, [], notes=[("not run: no device", "未运行：没有设备")])
    return measure(SIZES, clients=CLIENTS, tokens=TOKENS, cycles=CYCLES, device="cuda")


def measure(
    sizes: Mapping[str, Mapping[str, int]], *, clients: tuple[int, ...], tokens: int, cycles: int, device: str
) -> Result:
    """Measure models of ``sizes`` on ``device``. A test does so with tiny ones on a CPU."""
    most = max(clients)
    with TemporaryDirectory() as home:
        variables = {
            "TOUCHSTONE_HOME": home, "TOUCHSTONE_LOCAL_SLOTS": str(most), "TOUCHSTONE_LOCAL_CONTEXT": "2048",
            "TOUCHSTONE_LOCAL_DEVICE": device, "TOUCHSTONE_FIRST_TOKEN_S": "600", "TOUCHSTONE_IDLE_S": "600",
        }  # fmt: skip
        settings = load_settings(Path(home), variables)
        place = choose(settings)
        found = {}
        for name, size in sizes.items():
            folder = Path(home) / name
            found[name] = asyncio.run(_one_model(folder, name, size, settings, place, clients, tokens, cycles))
            if (rate := _vllm(folder, most, tokens)) is not None:
                found[name].rates[f"vLLM, {most} at once"] = rate
        shared = asyncio.run(_two_models(Path(home), sizes, settings, place))
    return _result(found, shared, place, clients, tokens, cycles)


# --- measuring --------------------------------------------------------------------------------


async def _one_model(
    folder: Path, name: str, size: Mapping[str, int], settings: Settings, place: Device, clients: tuple[int, ...], tokens: int, cycles: int
) -> Measured:  # fmt: skip
    model, found, most = random_model(folder, name, size, settings), Measured(), max(clients)
    texts = [f"Write a short story about {i + 2} travelers and the sea." for i in range(most)]
    await ours(model, texts, 8)  # loads, and warms up all lanes
    running = await model.engine.running()
    assert running.batch is not None
    raw = running.batch._model
    prompts = [running.tokenizer.encode(text) for text in texts]
    for count in clients:
        found.rates[f"Touchstone, {count} at once"] = await _rate(ours(model, texts[:count], tokens))
    found.first_ms = min([await first_token_ms(model, texts[0]) for _ in range(5)])
    found.cancel_s = await _cancelled(model, texts)
    found.rates["generate, one by one"] = await _rate(_threaded(_serial, raw, prompts[:2], tokens))
    generate_batch(raw, prompts, 8)  # warm-up
    found.rates[f"generate_batch, {most} at once"] = await _rate(_threaded(generate_batch, raw, prompts, tokens))
    del raw, running
    await model.aclose()
    used = []
    for _ in range(cycles):
        await ours(model, texts[:2], 4)
        await model.aclose()
        trim(place)
        used.append(_used_mib(place))
    found.left_mib = [value - used[0] for value in used]
    return found


async def _two_models(home: Path, sizes: Mapping[str, Mapping[str, int]], settings: Settings, place: Device) -> bool:
    """Whether two models answer side by side from one card, and a third that cannot fit is refused with figures."""
    size = next(iter(sizes.values()))
    first, second = (random_model(home / name, name, size, settings) for name in ("first", "second"))
    answered = await asyncio.gather(*(ours(model, ["Hello", "Hi"], 8) for model in (first, second)))
    free = BOOK.free(place)
    refused = free is None
    if free is not None:
        try:
            BOOK.release(BOOK.reserve("third", place, free + MIB, provider="transformers"))
        except OutOfMemory as error:
            refused = error.params["needed_mib"] > error.params["free_mib"]
    await first.aclose()
    await second.aclose()
    return refused and answered == [16, 16]


async def _cancelled(model: TransformersChat, texts: list[str]) -> float:
    """Seconds until all slots are free when every client goes away in the middle of its answer."""
    streams = [model.stream([user(text)], Options(max_tokens=1500, temperature=0.0, extra={"ignore_eos": True})) for text in texts]  # fmt: skip
    await asyncio.gather(*(anext(stream) for stream in streams))
    started = time.perf_counter()
    await asyncio.gather(*(stream.aclose() for stream in streams))
    while QUEUE.running(model.name):
        await asyncio.sleep(0.001)
    return time.perf_counter() - started


async def _rate(work: Any) -> float:
    started = time.perf_counter()
    written = await work
    return float(written / (time.perf_counter() - started))


async def _threaded(work: Any, *args: Any) -> int:
    return int(await asyncio.to_thread(work, *args))


def _serial(model: Any, prompts: list[list[int]], tokens: int) -> int:
    return sum(generate(model, prompt, tokens) for prompt in prompts)


def _used_mib(place: Device) -> float:
    """Of a card: what is taken of it. On a CPU: what this process holds."""
    if place.kind == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info(place.name)
        return float(total - free) / MIB
    import psutil

    return float(psutil.Process().memory_info().rss) / MIB


def _vllm(folder: Path, clients: int, tokens: int) -> float | None:
    """Tokens per second of vLLM, ``None`` where it is not installed."""
    if find_spec("vllm") is None:
        return None
    command = [sys.executable, "-m", "benchmarks.gpu", "vllm", str(folder), str(clients), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    return float(done.stdout.split()[-1])


def serve_vllm(folder: Path, clients: int, tokens: int) -> float:
    from vllm import LLM, SamplingParams

    model = LLM(str(folder), load_format="dummy", skip_tokenizer_init=True, max_model_len=2048)
    prompts = [{"prompt_token_ids": [(i * 7 + k) % 250 for k in range(50)]} for i in range(clients)]
    model.generate(prompts, SamplingParams(max_tokens=8, ignore_eos=True, detokenize=False))
    started = time.perf_counter()
    found = model.generate(
        prompts, SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True, detokenize=False)
    )
    return sum(len(row.outputs[0].token_ids) for row in found) / (time.perf_counter() - started)


# --- models -----------------------------------------------------------------------------------


def random_model(folder: Path, name: str, size: Mapping[str, int], settings: Settings) -> TransformersChat:
    """A model of our engine whose weights are made up on its device; on disk are its configuration and tokenizer."""
    from transformers import Qwen2Config

    write_tokenizer(folder, CHATML)
    config = Qwen2Config(**size, max_position_embeddings=4096, eos_token_id=258, pad_token_id=256, bos_token_id=None)
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(folder)
    count = parameters(size)
    config_read = json.loads((folder / "config.json").read_text("utf-8"))
    files = ModelFiles(f"transformers:{name}", folder, config_read, CHATML, Tensors(count, 2 * count))
    model = TransformersChat(files, provider="transformers", model=name, settings=settings)
    model.engine = Engine(files, model.shape, settings, provider="transformers", model=name, load=build)
    return model


def build(files: ModelFiles, folder: Path, device: Device, dtype: Any, quantization: str) -> Any:
    """The seam the engine loads through: nothing is read, the weights come from the device's own chance."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device(device.name):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=dtype)
    return model.eval().requires_grad_(False)


def parameters(size: Mapping[str, int]) -> int:
    width, inner, layers = size["hidden_size"], size["intermediate_size"], size["num_hidden_layers"]
    cached = width // size["num_attention_heads"] * size["num_key_value_heads"]
    return 2 * size["vocab_size"] * width + layers * (2 * width * width + 2 * width * cached + 3 * width * inner)


# --- figures ----------------------------------------------------------------------------------


def _result(
    found: Mapping[str, Measured], shared: bool, place: Device, clients: tuple[int, ...], tokens: int, cycles: int
) -> Result:
    most = max(clients)
    at_most = f"Touchstone, {most} at once"
    targets = [
        Target(
            ("two models share the card (1 = yes)", "两个模型共用显卡（1 = 是）"),
            float(shared),
            1.0,
            unit="",
            at_least=True,
        )
    ]
    for name, m in found.items():
        batch = f"generate_batch, {most} at once"
        targets += [
            Target((f"{name}: {most} at once / generate one by one", f"{name}：{most} 个并发 / 逐个 generate"), m.rates[at_most] / m.rates["generate, one by one"], 8.0, at_least=True),
            Target((f"{name}: {most} at once / generate_batch", f"{name}：{most} 个并发 / generate_batch"), m.rates[at_most] / m.rates[batch], 0.9, at_least=True),
            Target((f"{name}: memory left over {cycles} cycles", f"{name}：{cycles} 次加载卸载后多占的内存"), max(m.left_mib), BACK_MIB, unit=" MiB"),
            Target((f"{name}: slots free after {most} cancels", f"{name}：{most} 个取消后空位恢复"), m.cancel_s, 1.0, unit=" s"),
        ]  # fmt: skip
    free = free_bytes(place)
    return Result(
        "gpu",
        TITLE,
        [
            Table(
                (f"{name}, random weights, {tokens} tokens for each client, {place.label}", f"{name}，随机权重，每个客户端 {tokens} 个词元，{place.label}"),
                [("case", "情形"), ("tokens/s", "词元/秒")],
                [*([case, rate] for case, rate in m.rates.items()), ["first token, ms · 首个词元毫秒", m.first_ms]],
            )
            for name, m in found.items()
        ],
        targets,
        raw={name: vars(m) for name, m in found.items()} | {"device": place.label, "free_mib": free and free // MIB},
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] != ["vllm"]:
        sys.exit("usage: python -m benchmarks gpu, or python -m benchmarks.gpu vllm FOLDER CLIENTS TOKENS")
    print(serve_vllm(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
