"""The header of a GGUF file: what it says, and that no damage reaches llama.cpp or crashes the reader."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError, MissingFile
from core.providers.gguf_file import read_header
from tests.core.providers.tiny_gguf import CHATML, metadata, tensors, write_gguf


def test_what_a_header_says(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata(context_tokens=2048)), "gguf:m.gguf")
    assert header.context_tokens == 2048
    assert header.embedding_length == 64
    assert header.chat_template == CHATML
    assert header.cache_bytes_per_token == 1 * 2 * (32 + 32) * 2  # layers × heads × (key + value) × two bytes
    assert header.size == (tmp_path / "m.gguf").stat().st_size
    assert "tokenizer.ggml.tokens" in header.values
    assert header.values["tokenizer.ggml.tokens"] is None  # the vocabulary is passed over


def test_heads_of_each_layer_count_at_their_most(tmp_path: Path) -> None:
    values = metadata(llama__attention__head_count_kv=[1, 2, 1], llama__block_count=3)
    header = read_header(write_gguf(tmp_path / "m.gguf", values), "x")
    assert header.cache_bytes_per_token == 3 * 2 * (32 + 32) * 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", metadata(context_tokens=100))
    assert read_header(path, "x").context_tokens == 100
    write_gguf(path, metadata(context_tokens=200000, general__name="another"))
    assert read_header(path, "x").context_tokens == 200000


def test_no_template_is_none(tmp_path: Path) -> None:
    assert read_header(write_gguf(tmp_path / "m.gguf", metadata(template=None)), "x").chat_template is None


@pytest.mark.parametrize("name", ["nowhere.gguf", "folder", "file/under.gguf"])
def test_missing_file_names_path_and_purpose(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(MissingFile, match=rf"{name}.*gguf:{name}"):
        read_header(tmp_path / name, f"gguf:{name}")


def header_bytes(count: int = 1, pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, count, pairs)


def pair(key: str, kind: int, raw: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + raw


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "short": b"GGUF\x03",
    "another format": b"PK\x03\x04" + b"\0" * 100,
    "old version": header_bytes(version=1) + b"\0" * 64,
    "endless pairs": header_bytes(pairs=2**60) + b"\0" * 64,
    "endless tensors": header_bytes(count=2**60) + b"\0" * 64,
    "pairs that are not there": header_bytes(pairs=4) + b"\0" * 64,
    "endless string": header_bytes(pairs=1) + struct.pack("<Q", 2**62) + b"x" * 64,
    "string beyond any index": header_bytes(pairs=1) + struct.pack("<Q", 2**64 - 1) + b"x" * 64,
    "unknown kind of value": header_bytes(pairs=1) + pair("a", 99, b"") + b"\0" * 64,
    "array of arrays": header_bytes(pairs=1) + pair("a", 9, struct.pack("<IQ", 9, 1)) + b"\0" * 64,
    "endless array": header_bytes(pairs=1) + pair("a", 9, struct.pack("<IQ", 8, 2**62)) + b"\0" * 64,
    "endless numbers": header_bytes(pairs=1) + pair("a", 9, struct.pack("<IQ", 12, 2**62)) + b"\0" * 64,
    "not text": header_bytes(pairs=1) + struct.pack("<Q", 2) + b"\xff\xfe" + b"\0" * 64,
    "no architecture": header_bytes(pairs=1) + pair("a", 0, b"\1") + b"\0" * 64,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_a_typed_error_that_names_the_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(ConfigurationError, match=r"m\.gguf") as caught:
        read_header(path, "x")
    assert caught.value.reason == "bad_model_file"
    chinese = caught.value.text("zh")
    assert "m.gguf" in chinese
    assert not {"header", "file", "bytes"} & set(chinese.replace(str(path), "").split())


@pytest.mark.parametrize("alignment", [0, 3, 48, "32"])
def test_a_wrong_alignment_is_damage(tmp_path: Path, alignment: Any) -> None:
    path = write_gguf(tmp_path / "m.gguf", metadata(general__alignment=alignment))
    with pytest.raises(ConfigurationError, match="damaged"):
        read_header(path, "x")


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no weights"):
        read_header(write_gguf(tmp_path / "m.gguf", arrays={}), "x")


@pytest.mark.parametrize("part", [0.999, 0.9, 0.5, 0.1, 0.001])
def test_a_download_that_was_cut_off(tmp_path: Path, part: float) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ConfigurationError) as caught:
        read_header(path, "x")
    assert caught.value.reason == "bad_model_file"
    if part > 0.5:  # the header is whole: the message says how much there should be
        assert f"of {len(whole)} bytes" in str(caught.value)


def test_any_damage_to_the_header_ends_in_a_header_or_a_typed_error(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    whole = path.read_bytes()
    head = len(whole) - sum(array.nbytes for array in tensors().values())
    random.seed(11)
    reasons = []
    for number in range(400):
        broken = bytearray(whole)
        for _ in range(random.randint(1, 6)):
            broken[random.randrange(4, head)] = random.choice([0, 1, 127, 255, random.randrange(256)])
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(broken)
        try:
            read_header(path, "x")
        except ConfigurationError as error:
            reasons.append(error.reason)
        path.unlink()
    assert set(reasons) == {"bad_model_file"}
    assert 40 < len(reasons) < 400  # many changes only alter a word of the vocabulary; many do not
