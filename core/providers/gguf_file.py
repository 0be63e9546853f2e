"""Read a GGUF file's header: what kind of model it is, and whether the file is whole.

llama.cpp checks little before it maps a file, and a damaged header can end the process; so a file is read
here first. Only the header is read, never the weights.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError, MissingFile
from core.i18n import Phrase

# value type -> struct code; 8 is a string, 9 an array
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# tensor type -> (elements in a block, bytes of a block); a type that is not listed is left to llama.cpp
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17),
}  # fmt: skip
_LONG_ARRAY = 64  # vocabularies are skipped, per-layer numbers are kept


@dataclass(frozen=True)
class GgufHeader:
    """The metadata of a GGUF file; ``values`` leaves long arrays (the vocabulary) out."""

    path: Path
    size: int  # bytes
    values: Mapping[str, Any]

    def of_architecture(self, key: str, default: Any = None) -> Any:
        """``<architecture>.<key>``, such as ``llama.context_length``."""
        return self.values.get(f"{self.values.get('general.architecture')}.{key}", default)

    @property
    def context_tokens(self) -> int | None:
        """The longest context the model was trained for."""
        return self.of_architecture("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self.of_architecture("embedding_length")

    @property
    def chat_template(self) -> str | None:
        return self.values.get("tokenizer.chat_template") or None

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of key and value cache (f16) a token takes; an upper bound where layers slide or share."""
        heads = _largest(self.of_architecture("attention.head_count", 1))
        cached = _largest(self.of_architecture("attention.head_count_kv", heads))
        width = (self.embedding_length or 0) // max(heads, 1)
        key = self.of_architecture("attention.key_length", width)
        value = self.of_architecture("attention.value_length", width)
        return int(self.of_architecture("block_count", 0)) * cached * (key + value) * 2


def read_header(path: Path, needed_for: str) -> GgufHeader:
    """The header of the file at ``path``, cached until the file changes.

    Raises:
        MissingFile: nothing there, or not a file.
        ConfigurationError: (reason ``bad_model_file``) not a GGUF file, cut short, or damaged.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise MissingFile(path=str(path), needed_for=needed_for) from error
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for=needed_for)
    return _read(path, found.st_size, found.st_mtime_ns)


def damaged(path: Path, why: str, **params: Any) -> ConfigurationError:
    """The error for a file that cannot be used; ``why`` is a text under ``local`` in the catalogue."""
    return ConfigurationError(reason="bad_model_file", path=str(path), detail=Phrase(f"local.{why}", **params))


@lru_cache(maxsize=32)
def _read(path: Path, size: int, mtime_ns: int) -> GgufHeader:
    if size < 24:
        raise damaged(path, "too_small", size=size)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return GgufHeader(path, size, _Reader(data, path).header())
    except OSError as error:
        raise damaged(path, "unreadable", detail=error) from error
    except (struct.error, UnicodeDecodeError, OverflowError, IndexError) as error:
        raise damaged(path, "header_broken") from error


def read_arrays(header: GgufHeader, keys: Collection[str]) -> dict[str, Any]:
    """The values of ``keys`` with long arrays whole, such as the vocabulary, which a header leaves out.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) the file was changed since its header was read.
    """
    try:
        with header.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            values = _Reader(data, header.path, frozenset(keys)).header()
    except (OSError, struct.error, UnicodeDecodeError, IndexError) as error:
        raise damaged(header.path, "header_broken") from error
    return {key: values.get(key) for key in keys}


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path, whole: frozenset[str] = frozenset()) -> None:
        self._data, self._path, self._at, self._size = data, path, 0, len(data)
        self._whole = whole  # keys whose arrays are kept however long they are

    def header(self) -> dict[str, Any]:
        if self._data[:4] != b"GGUF":
            raise damaged(self._path, "not_gguf")
        self._at = 4
        version = self._scalar("I")
        if version not in (2, 3):
            raise damaged(self._path, "version", version=version)
        tensors, pairs = self._scalar("Q"), self._scalar("Q")
        if tensors > 1_000_000 or pairs > 1_000_000:
            raise damaged(self._path, "header_broken")
        values = {}
        for _ in range(pairs):
            key = self._string()
            values[key] = self._value(self._scalar("I"), key in self._whole)
        if not isinstance(values.get("general.architecture"), str):
            raise damaged(self._path, "no_architecture")
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise damaged(self._path, "header_broken")
        self._check_tensors(tensors, alignment)
        return values

    def _check_tensors(self, count: int, alignment: int) -> None:
        """Every tensor must lie inside the file: a download that was cut off shows here."""
        if not count:
            raise damaged(self._path, "no_weights")
        ends = 0
        for _ in range(count):
            self._string()
            elements = 1
            for _ in range(self._limited(4)):
                elements *= self._scalar("Q")
            kind, offset = self._scalar("I"), self._scalar("Q")
            block, block_bytes = _BLOCKS.get(kind, (1, 0))
            ends = max(ends, offset + elements // block * block_bytes)
        start = -(-self._at // alignment) * alignment
        if start + ends > self._size:
            raise damaged(self._path, "cut_short", size=self._size, wanted=start + ends)

    def _limited(self, most: int) -> int:
        number = self._scalar("I")
        if number > most:
            raise damaged(self._path, "header_broken")
        return number

    def _value(self, kind: int, whole: bool) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == 8:
            return self._string()
        if kind != 9:
            raise damaged(self._path, "header_broken")
        item, count = self._scalar("I"), self._scalar("Q")
        if item in _SCALARS:
            code = f"<{count}{_SCALARS[item]}"
            if count > _LONG_ARRAY and not whole:
                self._skip(struct.calcsize(f"<{_SCALARS[item]}") * count)
                return None
            found = struct.unpack_from(code, self._data, self._at)
            self._skip(struct.calcsize(code))
            return found
        if item != 8 or count > self._size:
            raise damaged(self._path, "header_broken")
        if count <= _LONG_ARRAY or whole:
            return tuple(self._string() for _ in range(count))
        unpack, data, at = struct.Struct("<Q").unpack_from, self._data, self._at
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self._at = at
        return None

    def _scalar(self, code: str) -> Any:
        value = struct.unpack_from(f"<{code}", self._data, self._at)[0]
        self._at += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        length = self._scalar("Q")
        start = self._at
        self._skip(length)
        return self._data[start : self._at].decode("utf-8")

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > self._size:
            raise damaged(self._path, "header_cut")


def _largest(value: Any) -> int:
    return int(max(value)) if isinstance(value, tuple) else int(value)
