"""Low-rank adapters on a graphics card: our recipe's loop beside transformers' Trainer with peft as their pages show it.

A random-weight model of 7B, built on the device from a configuration, with the same adapters, rows, batch and numbers of
bits. Each system trains for N and for 3 N steps, and the difference of the two is what is counted, so that what a run
costs at its beginning and end is not. Without a card the result says so and nothing is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gpu import SIZES
from benchmarks.report import Result, Table, Target
from core.providers.torch_device import choose, devices
from core.settings import load_settings
from core.training.bases import frozen_dtype
from core.training.loop import Log, Session, optimize
from core.training.recipes import recipe
from core.training.recipes.adapters import counted, with_adapters

TITLE = ("Low-rank adapters on a graphics card", "在显卡上训练低秩适配器")
STEPS, ROUNDS = 20, 2
BATCH, LENGTH = 4, 512
OURS, PLAIN = "Touchstone, recipe chat", "transformers Trainer + peft"
Row = Mapping[str, Any]


def run() -> Result:
    if devices()[0].kind != "cuda":
        return Result("gpu_lora", TITLE, [], notes=[("not run: no device", "未运行：没有设备")])
    return measure(SIZES["7B"], device="cuda", name="7B")


def measure(
    size: Mapping[str, int],
    *,
    device: str,
    name: str,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    batch: int = BATCH,
    length: int = LENGTH,
) -> Result:
    """Measure a model of ``size`` on ``device``. A test does so with a tiny one on a CPU."""
    import torch

    place = choose(load_settings().with_values(TOUCHSTONE_LOCAL_DEVICE=device))
    model = adapted(size, place.name)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, size["vocab_size"], (3 * steps * batch, length), generator=draw).tolist()
    rows = [{"input_ids": row, "labels": row} for row in ids]
    systems: dict[str, Callable[[Sequence[Row], Path], None]] = {
        OURS: lambda some, folder: ours(model, some, folder, batch, place.name),
        PLAIN: lambda some, folder: plain(model, some, folder, batch, place.kind),
    }
    spent: dict[str, list[tuple[float, float]]] = {system: [] for system in systems}
    for train in systems.values():
        _seconds(train, rows[:batch])  # what is loaded and compiled at the first step
    for _ in range(rounds):
        for system, train in systems.items():
            short, long = (_seconds(train, rows[: count * batch]) for count in (steps, 3 * steps))
            spent[system].append((short, long))
    # What a run costs beside its steps goes out by the difference, of the quickest of each: noise only ever adds.
    quickest = {system: tuple(map(min, zip(*times, strict=True))) for system, times in spent.items()}
    best = {system: 2 * steps * batch * length / (long - short) for system, (short, long) in quickest.items()}
    raw = {
        "rates": best,
        "seconds": spent,
        **counted(model),
        "device": place.label,
        "peak_mib": torch.cuda.max_memory_allocated() >> 20 if place.kind == "cuda" else None,
    }
    table = Table(
        (f"{name}, random weights, {batch} rows of {length} tokens a step, {place.label}", f"{name}，随机权重，每步 {batch} 行、每行 {length} 个词元，{place.label}"),
        [("case", "情形"), ("tokens/s", "词元/秒")],
        [[system, rate] for system, rate in best.items()],
    )  # fmt: skip
    target = Target(
        (f"{name}: recipe / plain Trainer with peft", f"{name}：本方案 / 直接用 Trainer 加 peft"), best[OURS] / best[PLAIN], 0.95, at_least=True,
    )  # fmt: skip
    return Result("gpu_lora", TITLE, [table], [target], raw=raw)


def adapted(size: Mapping[str, int], device: str) -> Any:
    """A model whose weights come from the device's own chance, with the adapters of the recipe."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            Qwen2Config(**size, max_position_embeddings=4096), dtype=frozen_dtype(device)
        )
    return with_adapters(model, recipe("chat").settings)


def ours(model: Any, rows: Sequence[Row], folder: Path, batch: int, device: str) -> None:
    settings = {**recipe("chat").settings, "epochs": 1, "evaluations": 1, "batch_size": batch, "accumulate": 1}
    session = Session(folder / "checkpoints", Log(folder / "progress.jsonl"), 0, device)
    optimize(model, rows, rows[:batch], _stacked, settings, session)


def plain(model: Any, rows: Sequence[Row], folder: Path, batch: int, kind: str) -> None:
    """As https://huggingface.co/docs/peft/quicktour has it, with the same batch and numbers of bits."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=batch, num_train_epochs=1, learning_rate=5e-4,
        bf16=kind == "cuda" and torch.cuda.is_bf16_supported(), use_cpu=kind == "cpu", report_to="none",
        disable_tqdm=True, remove_unused_columns=False, save_strategy="no", logging_steps=1000,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=list(rows), data_collator=_stacked)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _stacked(rows: Sequence[Row]) -> dict[str, Any]:
    import torch

    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def _seconds(train: Callable[[Sequence[Row], Path], None], rows: Sequence[Row]) -> float:
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(rows, Path(folder))
        return time.perf_counter() - started
