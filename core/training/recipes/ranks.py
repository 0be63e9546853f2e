"""AdaLoRA's ranks while a run goes on: moved after every step, masked and never cut off.

By itself peft leaves the masked ranks out of a checkpoint, and what the others were chosen by. A run that goes on would find
an optimizer and a mask of other shapes than its adapters, so here a checkpoint holds all ranks, and the importance beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "importance.safetensors"  # in a checkpoint
_MEANS = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # peft's names for what it knows of each weight


def moving(model: Any) -> Any:
    """A callback of the Trainer that moves the ranks of ``model``."""
    from safetensors.torch import load_file, save_file
    from transformers import TrainerCallback

    tuner = model.base_model
    config, allocator = tuner.peft_config[tuner.trainable_adapter_name], tuner.rankallocator

    class _Ranks(TrainerCallback):
        kept: dict[str, list[bool]] | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not state.global_step:
                return
            self.kept = {name: (values != 0).flatten().tolist() for name, values in _singular(tuner.model)}
            file = _beside(args, state)
            for name, values in load_file(file).items() if file.is_file() else ():
                mean, weight = name.split("/", 1)
                getattr(allocator, mean)[weight] = values.to(model.device)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            config.rank_pattern = self.kept
            tuner.update_and_allocate(state.global_step + 1)  # while gradients are there
            self.kept, config.rank_pattern = config.rank_pattern, None  # where peft finds none it cuts nothing off

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                found = {f"{mean}/{name}": values for mean in _MEANS for name, values in getattr(allocator, mean).items()}  # fmt: skip
                save_file(found, _beside(args, state))

    return _Ranks()


def masked(model: Any) -> int:
    """How many weights of the adapters count for nothing, because their rank is masked."""
    found = 0
    for name, values in _singular(model):
        around = (model.get_parameter(name.replace("lora_E", other)) for other in ("lora_A", "lora_B"))
        each = 1 + sum(weight.numel() for weight in around) // len(values)
        found += int((values == 0).sum()) * each
    return found


def loss(model: Any, batch: Any) -> Any:
    """The task's loss. While it learns peft adds a penalty for ranks that are not orthogonal, which says nothing of how
    good a model is on held-out rows: with it the least penalty would be taken for the best moment."""
    return (model if model.training else model.get_base_model())(**batch).loss


def _singular(model: Any) -> Iterator[tuple[str, Any]]:
    """Shape of each: ``(ranks, 1)``."""
    return ((name, weight.detach()) for name, weight in model.named_parameters() if "lora_E" in name)


def _beside(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE
