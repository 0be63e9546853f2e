"""Writes a whole, working GGUF model of a few hundred kilobytes: a llama with random weights that types nonsense.

It loads in a moment and answers thousands of tokens a second, so that queues, deadlines and cancellation can be
tried with the real engine. Its vocabulary is the 256 bytes; its output layer prefers lower-case letters. One whose
output layer likes closing quotes as well (:func:`terse`) soon ends the texts of a JSON that a schema asks it for.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, HIDDEN, HEADS, LAYERS = 64, 128, 2, 1
_LETTERS = "abcdefghijklmnopqrstuvwxyz "


def metadata(*, template: str | None = CHATML, context_tokens: int = 4096, **changes: Any) -> dict[str, Any]:
    """The header's values; ``changes`` replace or (with ``None``) leave out keys, dots written as ``__``."""
    symbols = _byte_symbols()
    values: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.block_count": LAYERS,
        "llama.context_length": context_tokens,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": HIDDEN,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*symbols, "<|im_start|>", "<|im_end|>"],
        "tokenizer.ggml.token_type": [1] * 256 + [3, 3],
        "tokenizer.ggml.merges": [f"{symbols[ord('t')]} {symbols[ord('h')]}"],
        "tokenizer.ggml.bos_token_id": 256,
        "tokenizer.ggml.eos_token_id": 257,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template,
    }
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in values.items() if value is not None}


def tensors(seed: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    embedding, output = weights(258, WIDTH), weights(258, WIDTH)
    embedding[:, 0] = 4.0  # a direction all states share, by which the output layer tells letters from the rest
    output[:, 0] = -8.0
    output[[ord(letter) for letter in _LETTERS], 0] = 2.0
    found = {"token_embd.weight": embedding, "output.weight": output, "output_norm.weight": np.ones(WIDTH, np.float32)}
    for i in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            found[f"blk.{i}.{name}.weight"] = weights(WIDTH, WIDTH) / 4
        found[f"blk.{i}.ffn_gate.weight"] = weights(HIDDEN, WIDTH) / 4
        found[f"blk.{i}.ffn_up.weight"] = weights(HIDDEN, WIDTH) / 4
        found[f"blk.{i}.ffn_down.weight"] = weights(WIDTH, HIDDEN) / 4
        found[f"blk.{i}.attn_norm.weight"] = np.ones(WIDTH, np.float32)
        found[f"blk.{i}.ffn_norm.weight"] = np.ones(WIDTH, np.float32)
    return found


def terse(seed: int = 7) -> dict[str, np.ndarray]:
    """The weights of one that closes a quote after a letter: JSON under a schema comes to its end in a few tokens."""
    found = tensors(seed)
    found["token_embd.weight"][[ord(letter) for letter in _LETTERS], 1] = 4.0  # "the last one was a letter"
    found["output.weight"][:, 1] = 0.0
    found["output.weight"][ord('"'), :2] = 0.5, 4.0
    return found


def rank_metadata(**changes: Any) -> dict[str, Any]:
    """The header of a reranker: a qwen3 with a head of two classes, as Qwen3-Reranker's files have."""
    llama = metadata(template=None, general__architecture="qwen3")
    values = {key.replace("llama.", "qwen3."): value for key, value in llama.items()}
    values |= {
        "qwen3.pooling_type": 4,
        "qwen3.attention.key_length": WIDTH // HEADS,
        "qwen3.attention.value_length": WIDTH // HEADS,
        "qwen3.classifier.output_labels": ["yes", "no"],
        "tokenizer.chat_template.rerank": "Query: {query} Document: {document} Score:",
    }
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in values.items() if value is not None}


def rank_tensors(seed: int = 7) -> dict[str, np.ndarray]:
    found = tensors(seed)
    for i in range(LAYERS):
        for name in ("attn_q_norm", "attn_k_norm"):
            found[f"blk.{i}.{name}.weight"] = np.ones(WIDTH // HEADS, np.float32)
    head = np.random.default_rng(seed).normal(0, 0.1, (2, WIDTH)).astype(np.float32)
    head[:, 0] = 0.0  # the direction all states share says nothing of a passage
    found["cls.output.weight"] = head
    return found


def write_gguf(
    path: Path, values: Mapping[str, Any] | None = None, arrays: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Write ``values`` and ``arrays`` (float32) as a GGUF file, version 3. Returns ``path``."""
    values = metadata() if values is None else values
    arrays = tensors() if arrays is None else arrays
    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(values))
    for key, value in values.items():
        kind, raw = _encoded(value)
        head += _string(key) + struct.pack("<I", kind) + raw
    body = b""
    for name, array in arrays.items():
        head += _string(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *reversed(array.shape)) + struct.pack("<IQ", 0, len(body))
        body += array.tobytes()
        body += b"\0" * (-len(body) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + body)
    return path


def _encoded(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _string(value)
    return 9, _array(value)


def _array(items: Sequence[Any]) -> bytes:
    if isinstance(items[0], str):
        return struct.pack("<IQ", 8, len(items)) + b"".join(_string(item) for item in items)
    return struct.pack(f"<IQ{len(items)}i", 5, len(items), *items)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _byte_symbols() -> list[str]:
    """A printable character for each byte, as in GPT-2: https://github.com/openai/gpt-2/blob/master/src/encoder.py"""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
