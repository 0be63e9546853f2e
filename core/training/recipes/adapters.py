"""Low-rank adapters on all linear layers (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685), as several recipes train them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.training.bases import frozen_dtype, quiet
from core.training.recipes import Plan


def with_adapters(model: Any, settings: Mapping[str, Any], task: str = "CAUSAL_LM") -> Any:
    """``model`` with fresh adapters of the settings ``rank``, ``alpha`` and ``dropout``; they alone move.

    Args:
        task: peft's name of what the model is for.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type=task,
        r=int(settings["rank"]),
        lora_alpha=int(settings["alpha"]),
        lora_dropout=settings["dropout"],
        target_modules="all-linear",
    )
    with quiet():
        return get_peft_model(model, config)


def opened(plan: Plan) -> tuple[Any, Any]:
    """The tokenizer of the chat model that ``plan`` begins with, and the model with adapters."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(plan.session.seed)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(plan.start, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            plan.start, dtype=frozen_dtype(plan.session.device), local_files_only=True, trust_remote_code=False
        )
    return tokenizer, with_adapters(model, plan.recipe.settings)


def saved(plan: Plan, model: Any) -> dict[str, int]:
    """Save the adapters; how many weights the model has, and how many of them moved."""
    model.peft_config["default"].base_model_name_or_path = (
        plan.base.name if plan.base else None
    )  # no path of this machine
    with quiet():
        model.save_pretrained(plan.model)
    return counted(model)


def counted(model: Any) -> dict[str, int]:
    """``weights``, and ``trained_weights`` of them."""
    weights = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {"weights": sum(n for n, _ in weights), "trained_weights": sum(n for n, moved in weights if moved)}
