"""A model in parts: the archive read across packages, put together once, refused when it is another."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigurationError, MissingFile, MissingPackage
from core.providers import embedded
from core.providers.complete import complete
from core.providers.embedded import EmbeddedModel
from core.providers.parted import JOINED
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import load_settings
from core.types import Options
from tests.core.providers.tiny_gguf import metadata, tensors, write_gguf
from tests.core.providers.tiny_torch import minilm

PARTS = 3


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packaged MiniLM as ``embedded:parted``: one archive, cut into three packages as large models are."""
    site = tmp_path / "site"
    whole = tmp_path / "model.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(minilm().rglob("*")):
            if file.is_file():
                archive.write(file, f"some-model/{file.relative_to(minilm())}")
        archive.writestr("some-model/desktop.ini", "[x]")
        archive.writestr("some-model/../../outside.json", "{}")
        archive.writestr("some-model/code.py", "raise SystemExit")
    data = whole.read_bytes()
    size = -(-len(data) // PARTS)
    for part in range(PARTS):
        folder = site / f"some-model-part_{part + 1:03}"
        (folder / "input").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('a package of weights is not imported')")
        (folder / "input" / f"model.zip.{part + 1:03}").write_bytes(data[part * size : (part + 1) * size])
    monkeypatch.syspath_prepend(str(site))
    right = hashlib.sha256((minilm() / "model.safetensors").read_bytes()).hexdigest()
    row = EmbeddedModel(
        "parted", "some-model-part_{part:03}", "input/model.zip.{part:03}", right, "pip install some-model", parts=PARTS
    )
    monkeypatch.setitem(embedded.EMBEDDING, "parted", row)
    monkeypatch.setenv("TOUCHSTONE_HOME", str(tmp_path / "home"))
    return site


def vectors(name: str) -> np.ndarray:
    model = open_model("embedding", name, load_settings())
    try:
        return run(model.embed(["a kettle", "a parcel"], kind="query"))
    finally:
        run(model.aclose())


def kept(home: Path) -> Path:
    (folder,) = (home / "cache" / "models").iterdir()
    return folder


def test_the_parts_are_one_model(packages: Path, tmp_path: Path) -> None:
    assert "parted" in embedded.installed(embedded.EMBEDDING)
    assert np.allclose(vectors("embedded:parted"), vectors("embedded:minilm"), atol=1e-6)
    folder = kept(tmp_path / "home")
    assert (folder / "1_Pooling" / "config.json").is_file()
    assert not (folder / "code.py").exists(), "only what a model folder is read from is taken out"
    assert not list(tmp_path.rglob("outside.json")), "and nothing outside of it"
    made = (folder / "model.safetensors").stat().st_ino
    vectors("embedded:parted")
    assert (folder / "model.safetensors").stat().st_ino == made, "put together once"
    assert not any(name.startswith("some-model") for name in sys.modules)


def test_another_model_is_refused_and_not_kept(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = embedded.EMBEDDING["parted"]
    monkeypatch.setitem(embedded.EMBEDDING, "parted", dataclasses.replace(row, sha256="0" * 64))
    with pytest.raises(ConfigurationError, match="pip install some-model"):
        vectors("embedded:parted")
    assert not list((tmp_path / "home" / "cache" / "models").iterdir())


def test_a_damaged_part_is_said(packages: Path, tmp_path: Path) -> None:
    last = packages / f"some-model-part_{PARTS:03}" / "input" / f"model.zip.{PARTS:03}"
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.raises(ConfigurationError) as told:
        vectors("embedded:parted")
    assert told.value.reason == "bad_model_file"
    assert not list((tmp_path / "home" / "cache" / "models").iterdir())


def test_a_part_that_is_missing_is_named(packages: Path) -> None:
    second = packages / "some-model-part_002"
    (second / "input" / "model.zip.002").unlink()
    with pytest.raises(MissingFile, match=r"model\.zip\.002"):
        vectors("embedded:parted")
    second.rename(packages / "elsewhere")
    with pytest.raises(MissingPackage, match="some-model-part-002"):
        vectors("embedded:parted")
    assert "parted" not in embedded.installed(embedded.EMBEDDING)


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny GGUF file as ``embedded:cut``: three parts that follow each other."""
    data = write_gguf(tmp_path / "tiny.gguf", metadata(), tensors()).read_bytes()
    site, size = tmp_path / "site", -(-len(data) // PARTS)
    for part in range(PARTS):
        folder = site / f"cut_model_part{part + 1}"
        (folder / "data").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('a package of weights is not imported')")
        (folder / "data" / f"part{part + 1:02}.bin").write_bytes(data[part * size : (part + 1) * size])
    monkeypatch.syspath_prepend(str(site))
    row = EmbeddedModel(
        "cut",
        "cut_model_part{part}",
        "data/part{part:02}.bin",
        hashlib.sha256(data).hexdigest(),
        "pip install cut-model",
        parts=PARTS,
        whole=JOINED,
        context_tokens=512,
        grounded=True,
    )
    monkeypatch.setitem(embedded.CHAT, "cut", row)
    monkeypatch.setenv("TOUCHSTONE_HOME", str(tmp_path / "home"))
    return site


def test_a_file_in_parts_is_one_chat_model(cut: Path, tmp_path: Path) -> None:
    assert "cut" in embedded.installed(embedded.CHAT)
    settings = load_settings()
    model = open_model("chat", "embedded:cut", settings)
    try:
        assert model.capabilities.grounded
        assert run(complete(model, "x", Options(max_tokens=2))).provider == "embedded"
    finally:
        run(model.aclose())
    file = kept(tmp_path / "home") / JOINED
    assert file.read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    made = file.stat().st_ino
    assert embedded.memory_needed("embedded:cut", settings) > file.stat().st_size
    assert file.stat().st_ino == made, "put together once"


def test_another_file_in_parts_is_refused_and_not_kept(cut: Path, tmp_path: Path) -> None:
    last = cut / f"cut_model_part{PARTS}" / "data" / f"part{PARTS:02}.bin"
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    model = open_model("chat", "embedded:cut", load_settings())
    try:
        with pytest.raises(ConfigurationError, match="pip install cut-model"):
            run(complete(model, "x", Options(max_tokens=2)))
    finally:
        run(model.aclose())
    assert not list((tmp_path / "home" / "cache" / "models").iterdir())
