"""Writes whole, working transformers models of a few hundred kilobytes: random weights, real files.

The vocabulary is the 256 bytes and the marks of the chat templates; the output layer prefers lower-case letters, so
that what is answered is text. ``write_text_model`` makes a llama, ``write_vision_model`` a llava whose eyes are a CLIP
of one layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.providers.quiet import quiet

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = (
    "{% if tools %}<|im_start|>system\nYou may call functions. Write a call as <tool_call>\n"
    '{"name": NAME, "arguments": OBJECT}\n</tool_call>. Functions:{% for tool in tools %}\n{{ tool | tojson }}'
    "{% endfor %}<|im_end|>\n{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}{% for call in message.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}\n"
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SEEING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>", "<image>")
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
LETTERS = "abcdefghijklmnopqrstuvwxyz "
WIDTH, PATCH, PICTURE = 64, 8, 16


def write_text_model(folder: Path, *, template: str | None = CHATML, seed: int = 7, **changes: Any) -> Path:
    """A llama in ``folder``; ``changes`` go into its configuration."""
    import torch
    from transformers import LlamaForCausalLM

    tokenizer = write_tokenizer(folder, template)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(text_config(len(tokenizer), **changes))
    prefer_letters(model, tokenizer)
    with quiet():
        model.save_pretrained(folder)
    return folder


def write_vision_model(folder: Path, *, seed: int = 7) -> Path:
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = write_tokenizer(folder, SEEING)
    torch.manual_seed(seed)
    eyes = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=PICTURE,
        patch_size=PATCH, projection_dim=32,
    )  # fmt: skip
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(
        vision_config=eyes, text_config=text_config(len(tokenizer)), image_token_index=image, vision_feature_layer=-1,
        image_seq_length=(PICTURE // PATCH) ** 2,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    prefer_letters(model, tokenizer)
    size = {"height": PICTURE, "width": PICTURE}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size=size), tokenizer, patch_size=PATCH,
        vision_feature_select_strategy="default", chat_template=SEEING, num_additional_image_tokens=1,
    )  # fmt: skip
    with quiet():
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder


def write_adapter(folder: Path, *, rank: int = 2, inputs: int = WIDTH, outputs: int = WIDTH, layer: str = "") -> Path:
    """A LoRA adapter of one layer, large enough to change what is said."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = layer or "model.layers.0.self_attn.q_proj"
    torch.manual_seed(1)
    weights = {
        f"base_model.model.{path}.lora_A.weight": torch.randn(rank, inputs),
        f"base_model.model.{path}.lora_B.weight": torch.randn(outputs, rank),
    }
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none",
        "target_modules": [path], "base_model_name_or_path": "tiny", "inference_mode": True,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return folder


def text_config(vocabulary: int, **changes: Any) -> Any:
    from transformers import LlamaConfig

    values: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096, "eos_token_id": 258,
        "bos_token_id": None, "pad_token_id": 256, "tie_word_embeddings": False,
    }  # fmt: skip
    return LlamaConfig(**{**values, **changes})


def write_tokenizer(folder: Path, template: str | None) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    whole.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in SPECIAL])
    whole.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.image_token = "<image>"
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def prefer_letters(model: Any, tokenizer: Any) -> None:
    """One direction is shared by all states; the output layer tells letters from the rest by it."""
    import torch

    letters = [tokenizer.encode(letter)[0] for letter in LETTERS]
    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    with torch.no_grad():
        torch.nn.init.normal_(embedding, std=0.5)
        torch.nn.init.normal_(output, std=0.5)
        embedding[:, 0] = 4.0
        output[:, 0] = -8.0
        output[letters, 0] = 2.0
