"""Writes an ONNX model without the ``onnx`` package: the few messages of its protobuf schema that a graph needs.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers), and the protobuf wire format,
https://protobuf.dev/programming-guides/encoding/. Checked by onnxruntime, which refuses what it cannot read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int64): 7}
FLOAT = 1
FUSED = "com.microsoft"  # onnxruntime's own operations, which do the work of several
Dimension = int | str


class Graph:
    """Collects nodes and constants; ``model`` gives the file's bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: dict[str, bytes] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant tensor under ``name``; adding the same name again changes nothing."""
        if name not in self._constants:
            array = np.asarray(value)  # not ascontiguousarray, which would turn a scalar into a vector
            shape = b"".join(_number(1, size) for size in array.shape)
            head = shape + _number(2, _TYPES[array.dtype]) + _text(8, name)
            self._constants[name] = head + _bytes(9, array.tobytes())
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        *,
        outputs: int = 1,
        name: str = "",
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Add an operation and return the name of its first output; output ``i`` is called ``name.i``.

        An input named "" is one that is left out.
        """
        base = name or f"{kind}.{len(self._nodes)}"
        results = [base if i == 0 else f"{base}.{i}" for i in range(outputs)]
        parts = [_text(1, each) for each in inputs] + [_text(2, each) for each in results] + [_text(4, kind)]
        parts += [_bytes(5, _attribute(key, value)) for key, value in attributes.items()]
        parts += [_text(7, domain)] if domain else []
        self._nodes.append(b"".join(parts))
        return base

    def model(
        self, inputs: dict[str, Sequence[Dimension]], outputs: dict[str, Sequence[Dimension]], opset: int = 20
    ) -> bytes:
        """The model's bytes; all inputs and outputs are float32, a named dimension is free."""
        graph = b"".join(
            [
                *(_bytes(1, node) for node in self._nodes),
                _text(2, self._name),
                *(_bytes(5, constant) for constant in self._constants.values()),
                *(_bytes(11, _value(name, shape)) for name, shape in inputs.items()),
                *(_bytes(12, _value(name, shape)) for name, shape in outputs.items()),
            ]
        )
        versions = [_text(1, "") + _number(2, opset), _text(1, FUSED) + _number(2, 1)]
        return b"".join(
            [_number(1, 9), _text(2, "touchstone"), _bytes(7, graph), *(_bytes(8, version) for version in versions)]
        )


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are written as 64-bit two's complement
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _attribute(name: str, value: object) -> bytes:
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, 2)
    if isinstance(value, tuple):
        return _text(1, name) + b"".join(_number(8, item) for item in value) + _number(20, 7)
    raise TypeError(f"attribute {name}: {type(value).__name__} is none of float, int, tuple")


def _value(name: str, shape: Sequence[Dimension]) -> bytes:
    sizes = [_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape]
    tensor = _number(1, FLOAT) + _bytes(2, b"".join(_bytes(1, size) for size in sizes))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))
