"""Embedders and cross-encoders through sentence-transformers: ``sentence-transformers:MODEL``.

MODEL is a hub id or a folder. What belongs to the vectors belongs to the name, because vectors are kept under it:
``sentence-transformers:BAAI/bge-m3?dim=256`` truncates (a Matryoshka model is made for that), ``?backend=onnx`` computes
in onnxruntime. The device is the setting ``local.device``; empty takes a graphics card where there is one.

Weights are read from safetensors only, and no code of a model's repository is run.
"""

from __future__ import annotations

import gc
import io
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.errors import (
    ConfigurationError,
    InputError,
    InvalidSetting,
    MissingPackage,
    ServerFailed,
    TouchstoneError,
    Unsupported,
)
from core.i18n import Phrase
from core.providers.local_queue import QUEUE
from core.providers.model_options import dimension, split_options
from core.providers.openmp import be_polite
from core.providers.quiet import quiet
from core.settings import Settings
from core.types import EmbeddingKind, Image

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

INSTALL = 'pip install "touchstone-llm[local]"'
BACKENDS = ("torch", "onnx", "openvino")
PIECE = 64  # inputs computed before the next caller has a turn
BATCH = 32  # inputs in one pass through the model
CHARACTERS_PER_TOKEN = 32  # more of a text than its tokens can hold is not worth cutting into tokens
QUERY, DOCUMENT = 0, 1  # priorities: a question does not wait behind an upload


def open_embedding(model: str, *, engine: str, settings: Settings) -> SentenceEmbedding:
    """Open an embedding model. It is loaded at its first use.

    Raises:
        MissingPackage: sentence-transformers, or the package of the backend, is not installed.
        InvalidSetting: an option after ``?`` that there is not.
    """
    path, options = split_options(model, ("dim", "backend"), f"{engine}:{model}")
    arguments = _arguments(path, options.get("backend"), settings, f"{engine}:{model}")
    dim = dimension(options, f"{engine}:{model}")

    def load() -> Any:
        from sentence_transformers import SentenceTransformer

        return _with_backend(
            SentenceTransformer(truncate_dim=dim, **arguments), options, arguments, f"{engine}:{model}"
        )

    return SentenceEmbedding(Loaded(load, engine, model), dim=dim or 0)


def open_folder(
    folder: Path, *, engine: str, model: str, settings: Settings, check: Callable[[], None]
) -> SentenceEmbedding:
    """The embedding model in ``folder``, known as ``engine:model``. ``check`` is called before it is loaded.

    Raises:
        MissingPackage: sentence-transformers is not installed.
    """
    arguments = _arguments(str(folder), None, settings, f"{engine}:{model}")

    def load() -> Any:
        check()
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(**arguments)

    return SentenceEmbedding(Loaded(load, engine, model))


def open_reranker(model: str, *, engine: str, settings: Settings) -> CrossEncoderReranker:
    """Open a cross-encoder. It is loaded at its first use."""
    path, options = split_options(model, ("backend",), f"{engine}:{model}")
    arguments = _arguments(path, options.get("backend"), settings, f"{engine}:{model}")

    def load() -> Any:
        from sentence_transformers import CrossEncoder

        return _with_backend(CrossEncoder(**arguments), options, arguments, f"{engine}:{model}")

    return CrossEncoderReranker(Loaded(load, engine, model))


def _arguments(path: str, backend: str | None, settings: Settings, name: str) -> dict[str, Any]:
    """What both kinds of model are constructed with."""
    if find_spec("sentence_transformers") is None:
        raise MissingPackage(package="sentence-transformers", needed_for=name, install=INSTALL)
    backend = backend or "torch"
    if backend not in BACKENDS:
        allowed = Phrase("allowed.one_of", choices=", ".join(BACKENDS))
        raise InvalidSetting(name="backend", value=backend, allowed=allowed, where=name)
    if backend == "openvino" and find_spec("optimum") is None:
        install = f'pip install "sentence-transformers[{backend}]"'
        raise MissingPackage(package="optimum", needed_for=name, install=install)
    folder = settings.folder / Path(path).expanduser()
    return {
        "model_name_or_path": str(folder) if folder.is_dir() else path,
        "device": "cpu" if backend == "onnx" else settings.values.get("local.device") or None,
        "backend": "torch" if backend == "onnx" else backend,
        "trust_remote_code": False,
        "model_kwargs": {} if backend == "openvino" else {"use_safetensors": True},
    }


def _with_backend(model: Any, options: Mapping[str, str], arguments: Mapping[str, Any], name: str) -> Any:
    if options.get("backend") != "onnx":
        return model
    from core.providers.onnx_body import put_into

    return put_into(model, arguments["model_name_or_path"], name=name)


class Loaded(Generic[T]):
    """A model of torch: loaded once at its first use, computed with in one thread, taken out of memory by ``release``."""

    def __init__(self, load: Callable[[], T], engine: str, model: str) -> None:
        self.engine, self.model = engine, model
        self.name = f"{engine}:{model}"
        self._load = load
        self._opened: T | None = None
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="touchstone-st")

    async def run(self, work: Callable[[T], Any], *, priority: int = QUERY, admitted: bool = False) -> Any:
        """Do ``work`` with the model when its turn comes.

        Raises:
            EngineBusy: too many calls wait.
            ConfigurationError: the model cannot be loaded.
            ServerFailed: torch failed, as for lack of memory; the engine goes on serving.
        """
        ticket = QUEUE.enter(self.name, slots=1, provider=self.engine, priority=priority, admitted=admitted)
        return await ticket.run(self._executor, lambda: self._compute(work))

    def release(self) -> None:
        """Let go of the model's memory, once the work under way has ended. The next use loads again."""
        with self._lock:
            had, self._opened = self._opened, None
        if had is None:
            return
        del had
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _compute(self, work: Callable[[T], Any]) -> Any:
        model = self._open()
        try:
            return work(model)
        except (RuntimeError, IndexError, AssertionError) as error:  # torch.OutOfMemoryError is a RuntimeError
            raise ServerFailed(provider=self.engine, model=self.model, detail=str(error)) from error

    def _open(self) -> T:
        with self._lock:
            if self._opened is None:
                be_polite()
                try:
                    with quiet():
                        self._opened = self._load()
                except TouchstoneError:
                    raise
                except Exception as error:  # transformers, safetensors, tokenizers and the hub each have their own
                    detail = (str(error).strip() or type(error).__name__).splitlines()[0]
                    raise ConfigurationError(reason="cannot_load", name=self.name, detail=detail) from error
            return self._opened


class SentenceEmbedding:
    """An embedding model. ``dim`` is 0 until the model is loaded, unless the name gives it.

    Queries and documents get the prompts the model's configuration names for them. Of a text longer than the model
    reads, the beginning counts. A model that sees (CLIP and its like) embeds images into the same space.
    """

    def __init__(self, loaded: Loaded[Any], *, dim: int = 0) -> None:
        self.name = loaded.name
        self.dim = dim
        self._loaded = loaded

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        method = "encode_query" if kind == "query" else "encode_document"
        return await self._encode([_clean(text) for text in texts], method, QUERY if kind == "query" else DOCUMENT)

    async def embed_images(self, images: Sequence[Image]) -> np.ndarray:
        """Embed ``images`` (with ``data``; a URL is not fetched) into the space of the texts.

        Shape: ``(len(images), dim)`` float32, each row of L2 norm 1.

        Raises:
            Unsupported: the model knows texts only.
            InputError: (reason ``bad_value``) an image without data, or one that cannot be read.
        """
        pictures = [_picture(image, number) for number, image in enumerate(images, 1)]
        await self._loaded.run(self._need_eyes)
        return await self._encode(pictures, "encode", DOCUMENT)

    async def aclose(self) -> None:
        self._loaded.release()

    def _need_eyes(self, model: Any) -> None:
        if not model.supports("image"):
            raise Unsupported(provider=self._loaded.engine, model=self._loaded.model, feature="images")

    async def _encode(self, inputs: list[Any], method: str, priority: int) -> np.ndarray:
        """Longest first, in pieces: inputs of one length share a batch, and other callers come between two pieces."""
        import numpy as np

        order = sorted(range(len(inputs)), key=lambda at: -len(inputs[at]) if isinstance(inputs[at], str) else 0)
        vectors = np.zeros((len(inputs), self.dim), np.float32)
        for at in range(0, len(order), PIECE):
            places = order[at : at + PIECE]
            work = partial(self._rows, method, [inputs[place] for place in places])
            rows = await self._loaded.run(work, priority=priority, admitted=at > 0)
            if vectors.shape[1] != rows.shape[1]:
                self.dim = rows.shape[1]
                vectors = np.zeros((len(inputs), self.dim), np.float32)
            vectors[places] = rows
        return vectors

    def _rows(self, method: str, inputs: list[Any], model: Any) -> np.ndarray:
        """Shape: ``(len(inputs), dim)`` float32, L2-normalized."""
        import numpy as np

        if (most := model.max_seq_length) and isinstance(inputs[0], str):
            inputs = [text[: most * CHARACTERS_PER_TOKEN] for text in inputs]
        rows = getattr(model, method)(inputs, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True)
        rows = np.asarray(rows, np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norms == 0.0, 1.0, norms)


class CrossEncoderReranker:
    """Scores a query with each passage by a model that reads both together."""

    def __init__(self, loaded: Loaded[Any]) -> None:
        self.name = loaded.name
        self._loaded = loaded

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        import numpy as np

        order = sorted(range(len(passages)), key=lambda at: -len(passages[at]))
        scores = np.zeros(len(passages), np.float32)
        for at in range(0, len(order), PIECE):
            places = order[at : at + PIECE]
            pairs = [(_clean(query), _clean(passages[place])) for place in places]
            scores[places] = await self._loaded.run(partial(self._scores, pairs), admitted=at > 0)
        return scores

    async def aclose(self) -> None:
        self._loaded.release()

    def _scores(self, pairs: list[tuple[str, str]], model: Any) -> np.ndarray:
        """Shape: ``(len(pairs),)`` float32.

        Raises:
            ConfigurationError: (reason ``cannot_load``) the model tells several classes apart and ranks nothing.
        """
        import numpy as np

        if model.num_labels != 1:
            detail = Phrase("local.not_a_reranker", labels=model.num_labels)
            raise ConfigurationError(reason="cannot_load", name=self.name, detail=detail)
        if most := model.max_seq_length:
            pairs = [(q[: most * CHARACTERS_PER_TOKEN], p[: most * CHARACTERS_PER_TOKEN]) for q, p in pairs]
        return np.asarray(model.predict(pairs, batch_size=BATCH, show_progress_bar=False), np.float32)


def _clean(text: str) -> str:
    """``text`` without lone surrogates, which no tokenizer takes; an empty text is a space, which all of them do."""
    return text.encode("utf-8", "replace").decode("utf-8") or " "


def _picture(image: Image, number: int) -> Any:
    """``image`` as a picture of Pillow."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    bad = InputError(
        reason="bad_value", name=f"images[{number}]", value=image.url or "…", allowed=Phrase("allowed.image")
    )
    if image.data is None:
        raise bad
    try:
        return Pillow.open(io.BytesIO(image.data)).convert("RGB")
    except (UnidentifiedImageError, OSError, Pillow.DecompressionBombError) as error:
        raise bad from error
