"""Low-rank adapters on all linear layers, as several recipes train them.

Sources: LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685; AdaLoRA, Zhang et al. 2023,
https://arxiv.org/abs/2303.10512; on weights in 4 bits (QLoRA), Dettmers et al. 2023, https://arxiv.org/abs/2305.14314.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.providers.torch_device import choose
from core.training.bases import frozen_dtype, quantization, quiet
from core.training.recipes import Plan


def with_adapters(model: Any, settings: Mapping[str, Any], task: str = "CAUSAL_LM", *, steps: int = 0) -> Any:
    """``model`` with fresh adapters of the settings ``rank``, ``alpha`` and ``dropout``; they alone move.

    Args:
        task: peft's name of what the model is for.
        steps: of the whole run: the ranks are moved (AdaLoRA), first by as many as half of ``rank`` too many, of which
            the least useful are taken away from a tenth of the run until seven tenths of it.
    """
    from peft import AdaLoraConfig, LoraConfig, get_peft_model

    rank = int(settings["rank"])
    common: dict[str, Any] = {
        "task_type": task,
        "lora_alpha": int(settings["alpha"]),
        "lora_dropout": settings["dropout"],
        "target_modules": "all-linear",
    }
    if steps:
        config: Any = AdaLoraConfig(
            init_r=rank + (rank + 1) // 2, target_r=rank, tinit=steps // 10, tfinal=3 * steps // 10,
            deltaT=1, total_step=steps, **common,  # at every step, so that each checkpoint has the ranks it may have
        )  # fmt: skip
    else:
        config = LoraConfig(r=rank, **common)
    with quiet():
        return get_peft_model(model, config)


def opened(plan: Plan) -> tuple[Any, Any]:
    """The tokenizer of the chat model that ``plan`` begins with, and the model with adapters.

    Adapters trained before go on as they are: rank, alpha and dropout are theirs, not those of the settings.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(plan.session.seed)
    bits = quantization(plan.app)
    more = {"quantization_config": bits, "device_map": {"": choose(plan.app).name}} if bits else {}
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(plan.start, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            plan.start, dtype=frozen_dtype(plan.session.device), local_files_only=True, trust_remote_code=False, **more
        )
        if bits:
            from peft import prepare_model_for_kbit_training

            model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": False})
        if plan.base is not None and plan.base.adapter is not None:
            from peft import PeftModel

            return tokenizer, PeftModel.from_pretrained(model, plan.base.adapter, is_trainable=True)
    return tokenizer, with_adapters(model, plan.recipe.settings)


def saved(plan: Plan, model: Any) -> dict[str, int]:
    """Save the adapters; how many weights the model has, and how many of them moved."""
    base = plan.base
    model.peft_config["default"].base_model_name_or_path = base and (
        base.beneath or base.name
    )  # no path of this machine
    with quiet():
        model.save_pretrained(plan.model)
    return counted(model)


def counted(model: Any) -> dict[str, int]:
    """``weights``, and ``trained_weights`` of them."""
    weights = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {"weights": sum(n for n, _ in weights), "trained_weights": sum(n for n, moved in weights if moved)}
