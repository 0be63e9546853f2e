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
from core.providers.embedded import EmbeddedModel
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import load_settings
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
        "parted", "some-model-part_{part}", "input/model.zip.{part}", right, "pip install some-model", parts=PARTS
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
