"""What the contracts cannot say of sentence-transformers: prompts, dimensions, images, and files that are not right."""

from __future__ import annotations

import io
import json
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from core.contracts import EmbeddingModel, ImageEmbeddingModel, Reranker
from core.errors import ConfigurationError, InputError, InvalidSetting, MissingFile, MissingPackage, Unsupported
from core.providers.onnx_file import Graph
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import load_settings
from core.telemetry.ledger import Ledger, RecordedEmbedding, RecordedReranker
from core.types import Image
from core.workspace import Workspace
from tests.core.providers.tiny_torch import minilm, write_clip, write_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sentences")
    (folder / "minilm").symlink_to(minilm())
    prompted = folder / "prompted"
    shutil.copytree(minilm(), prompted)
    config = json.loads((prompted / "config_sentence_transformers.json").read_text())
    config["prompts"] = {"query": "query: ", "document": "passage: "}
    (prompted / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def clip(folder: Path) -> ImageEmbeddingModel:
    write_clip(folder)
    model: ImageEmbeddingModel = opened("embedding", "clip", folder)
    return model


def opened(kind: str, model: str, folder: Path):  # type: ignore[no-untyped-def]  # an embedding model or a reranker
    return open_model(kind, f"sentence-transformers:{model}", load_settings(folder, {}))


def embed(model: EmbeddingModel, *texts: str, kind: str = "document") -> np.ndarray:
    return run(model.embed(texts, kind=kind), 120)  # type: ignore[arg-type]


def picture(color: tuple[int, int, int], form: str = "PNG") -> Image:
    from PIL import Image as Pillow

    data = io.BytesIO()
    Pillow.new("RGB", (40, 30), color).save(data, form)
    return Image(data=data.getvalue(), media_type=f"image/{form.lower()}")


# --- texts ------------------------------------------------------------------------------------


def test_real_weights_know_what_belongs_together(folder: Path) -> None:
    model = opened("embedding", "minilm", folder)
    rows = embed(model, "How do I return a kettle?", "Returns are accepted for a week.", "Bread is baked at night.")
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1


def test_the_vectors_are_those_of_the_library(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [f"A text of {number} words. " * (1 + number % 9) for number in range(90)]
    own = embed(opened("embedding", "minilm", folder), *texts)
    theirs = SentenceTransformer(str(minilm()), device="cpu").encode(texts, show_progress_bar=False)
    assert np.allclose(own, theirs, atol=1e-4)


def test_the_packaged_model_is_the_same_one_by_another_name(folder: Path) -> None:
    settings = load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home")})
    packaged = open_model("embedding", "embedded:minilm", settings)
    assert packaged.name == "embedded:minilm"
    assert np.allclose(embed(packaged, "kettle"), embed(opened("embedding", "minilm", folder), "kettle"), atol=1e-6)


def test_queries_and_documents_get_the_prompts_of_the_configuration(folder: Path) -> None:
    plain, prompted = opened("embedding", "minilm", folder), opened("embedding", "prompted", folder)
    for kind, prompt in (("query", "query: "), ("document", "passage: ")):
        assert np.allclose(embed(prompted, "kettle", kind=kind), embed(plain, prompt + "kettle"), atol=1e-5)


def test_a_truncated_vector_is_the_beginning_of_the_whole(folder: Path) -> None:
    whole, short = opened("embedding", "minilm", folder), opened("embedding", "minilm?dim=96", folder)
    assert short.dim == 96
    assert short.name == "sentence-transformers:minilm?dim=96"
    begin = embed(whole, "kettle")[:, :96]
    assert np.allclose(embed(short, "kettle"), begin / np.linalg.norm(begin), atol=1e-5)
    assert embed(short).shape == (0, 96)


@pytest.mark.parametrize(
    "model", ["minilm?dims=3", "minilm?dim=", "minilm?dim=x", "minilm?dim=0", "minilm?backend=jax"]
)
def test_options_that_there_are_not(folder: Path, model: str) -> None:
    with pytest.raises(InvalidSetting):
        opened("embedding", model, folder)


def test_a_backend_without_its_package_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.providers import sentence_transformers as module

    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "optimum" else object())
    with pytest.raises(MissingPackage) as caught:
        opened("embedding", "minilm?backend=openvino", folder)
    assert caught.value.params["install"] == 'pip install "sentence-transformers[openvino]"'


def test_a_model_computed_by_onnxruntime(folder: Path) -> None:
    """A graph that looks each token up in a table, so that the vector is known: prompt, tokens, file, mean, length 1."""
    from transformers import AutoTokenizer

    table = np.random.default_rng(0).normal(size=(97, 384)).astype(np.float32)
    graph = Graph("table")
    row = graph.node("Mod", [graph.node("Cast", ["input_ids"], to=7), graph.constant("rows", np.array(97))])
    graph.node("Gather", [graph.constant("table", table), row], name="last_hidden_state")
    shutil.copytree(minilm(), folder / "table")
    (folder / "table" / "onnx").mkdir()
    shape = ("texts", "tokens")
    written = graph.model({"input_ids": shape}, {"last_hidden_state": (*shape, 384)})
    (folder / "table" / "onnx" / "model.onnx").write_bytes(written)
    texts = ["a kettle", "where is the parcel that I ordered"]
    found = embed(opened("embedding", "table?backend=onnx&dim=64", folder), *texts)
    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    for vector, text in zip(found, texts, strict=True):
        mean = table[np.array(tokenizer(text)["input_ids"]) % 97].mean(axis=0)[:64]
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    with pytest.raises(MissingFile, match=r"onnx/model\.onnx"):
        embed(opened("embedding", "minilm?backend=onnx", folder), "text")


def test_without_the_extra_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.providers import sentence_transformers as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for kind in ("embedding", "rerank"):
        with pytest.raises(MissingPackage) as caught:
            opened(kind, "minilm", folder)
        assert "touchstone-llm[local]" in caught.value.params["install"]


# --- files ------------------------------------------------------------------------------------


def test_pickled_weights_are_not_read(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    pickled = folder / "pickled"
    shutil.copytree(minilm(), pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError) as caught:
        embed(opened("embedding", "pickled", folder), "kettle")
    assert caught.value.reason == "cannot_load"


def test_a_broken_file_is_a_configuration_error_and_the_next_model_works(folder: Path) -> None:
    broken = folder / "broken"
    shutil.copytree(minilm(), broken)
    (broken / "model.safetensors").write_bytes((minilm() / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ConfigurationError) as caught:
        embed(opened("embedding", "broken", folder), "kettle")
    assert caught.value.reason == "cannot_load"
    assert embed(opened("embedding", "minilm", folder), "kettle").shape == (1, 384)


def test_a_model_that_is_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError) as caught:
        embed(opened("embedding", "nobody/no-such-model", folder), "kettle")
    assert caught.value.reason == "cannot_load"
    assert "nobody/no-such-model" in str(caught.value)


def test_a_classifier_is_not_a_reranker(folder: Path) -> None:
    write_cross_encoder(folder / "classes", labels=3)
    model = opened("rerank", "classes", folder)
    with pytest.raises(ConfigurationError) as caught:
        run(model.rerank("kettle", ["a"]), 120)
    assert "3" in str(caught.value)


def test_closing_gives_the_model_up_and_the_next_call_loads_again(folder: Path) -> None:
    model = opened("embedding", "minilm", folder)
    embed(model, "kettle")
    held = model._loaded
    assert held._opened is not None
    run(model.aclose())
    assert held._opened is None
    assert embed(model, "kettle").shape == (1, 384)


# --- images -----------------------------------------------------------------------------------


def test_images_and_texts_lie_in_one_space(clip: ImageEmbeddingModel) -> None:
    assert isinstance(clip, ImageEmbeddingModel)
    colors = [(255, 0, 0), (0, 255, 0), (10, 10, 10)]
    images = run(clip.embed_images([picture(color) for color in colors]), 120)
    assert images.shape == (3, embed(clip, "a red picture").shape[1])
    assert images.dtype == np.float32
    assert np.allclose(np.linalg.norm(images, axis=1), 1, atol=1e-4)
    again = run(clip.embed_images([picture((255, 0, 0), "JPEG")]), 120)
    assert (images @ again[0]).argmax() == 0
    assert run(clip.embed_images([]), 120).shape == (0, clip.dim)


def test_images_that_cannot_be_read(clip: ImageEmbeddingModel) -> None:
    for image in (
        Image(data=b"no picture"),
        Image(url="https://example.org/a.png"),
        Image(data=picture((1, 2, 3)).data[:40]),
    ):  # type: ignore[index]
        with pytest.raises(InputError) as caught:
            run(clip.embed_images([image]), 120)
        assert caught.value.reason == "bad_value"


def test_a_model_of_texts_refuses_images(folder: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        run(opened("embedding", "minilm", folder).embed_images([picture((1, 2, 3))]), 120)
    assert caught.value.params["feature"] == "images"


# --- in company -------------------------------------------------------------------------------


def test_every_call_is_in_the_ledger(folder: Path, clip: ImageEmbeddingModel) -> None:
    workspace = Workspace.open(folder / "home")
    ledger = Ledger(workspace)
    write_cross_encoder(folder / "cross")
    reranker: Reranker = RecordedReranker(opened("rerank", "cross", folder), ledger)
    embedding = RecordedEmbedding(clip, ledger)
    run(reranker.rerank("a", ["b", "c"]), 120)
    run(embedding.embed_images([picture((1, 2, 3))]), 120)
    with pytest.raises(Unsupported):
        run(RecordedEmbedding(opened("embedding", "minilm", folder), ledger).embed_images([picture((1, 2, 3))]), 120)
    rows = [(row["operation"], row["model"], row["error"]) for row in reversed(ledger.recent())]
    assert rows == [("rerank", "cross", None), ("embeddings", "clip", None), ("embeddings", "minilm", "unsupported")]
    ledger.close()
    workspace.close()


def test_a_question_does_not_wait_for_an_upload(folder: Path) -> None:
    """The query comes between two pieces of the documents."""
    model = opened("embedding", "minilm", folder)
    embed(model, "loads")
    ended: list[str] = []

    def upload() -> None:
        embed(model, *(f"Document {number} of an upload" for number in range(640)))
        ended.append("upload")

    thread = threading.Thread(target=upload)
    thread.start()
    while not model_busy(model):
        pass
    embed(model, "a question", kind="query")
    ended.append("question")
    thread.join(120)
    assert ended == ["question", "upload"]


def model_busy(model: EmbeddingModel) -> bool:
    from core.providers.local_queue import QUEUE

    return QUEUE.running(model.name) > 0


def test_nothing_of_torch_is_imported_by_opening(folder: Path) -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from core.providers.registry import open_model;"
        "from core.settings import load_settings;"
        f"open_model('embedding', 'sentence-transformers:minilm', load_settings(Path({str(folder)!r}), {{}}));"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
