"""An embedding model that wears a linear adapter: another model's vectors, turned by a matrix.

    save(folder, matrix, base="embedded:e5")
    model = open_adapted(folder, base=open_model("embedding", "embedded:e5", settings), name="trained:faq@1")

Because its vectors follow from those of its base, an index that has these need not have a text embedded again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import InputError, MissingFile
from core.training.linear_adapter import turned
from core.types import EmbeddingKind

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
WEIGHTS, ABOUT = "adapter.safetensors", "adapter.json"


class Adapted:
    """``model`` with ``matrix``, of shape ``(dim, dim)``, over its vectors; both sides are turned alike."""

    def __init__(self, model: EmbeddingModel, matrix: np.ndarray, name: str) -> None:
        self.model, self.name = model, name
        self.base, self.dim = model.name, len(matrix)
        self._matrix = matrix

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """Raises: InputError: (reason ``bad_adapter``) the base's vectors have another length than those learned from."""
        return self.derived(await self.model.embed(texts, kind=kind))

    def derived(self, vectors: np.ndarray) -> np.ndarray:
        """See :class:`core.contracts.DerivedEmbedding`."""
        if vectors.shape[1:] != (self.dim,):
            raise InputError(reason="bad_adapter", name=self.name, detail=f"{vectors.shape[1:]}, {(self.dim,)}")
        return turned(vectors, self._matrix)

    async def warm(self) -> None:
        if (warm := getattr(self.model, "warm", None)) is not None:
            await warm()

    async def aclose(self) -> None:
        await self.model.aclose()


def save(folder: Path, matrix: np.ndarray, *, base: str, about: dict[str, Any]) -> None:
    """Write the matrix and what it belongs to into ``folder``."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({"matrix": np.ascontiguousarray(matrix, np.float32)}, folder / WEIGHTS)
    told = {"format": FORMAT, "base": base, "dim": len(matrix), **about}
    (folder / ABOUT).write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")


def open_adapted(folder: Path, base: EmbeddingModel, name: str) -> Adapted:
    """The model of ``folder`` on its ``base``.

    Raises:
        MissingFile: a file is not there.
        InputError: (reason ``bad_adapter``) the files are damaged, or were learned from another model's vectors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for file in (WEIGHTS, ABOUT):
        if not (folder / file).is_file():
            raise MissingFile(path=str(folder / file), needed_for=name)
    try:
        told, matrix = json.loads((folder / ABOUT).read_text("utf-8")), load_file(folder / WEIGHTS)["matrix"]
        if (told["format"], told["base"], (told["dim"],) * 2) != (FORMAT, base.name, matrix.shape):
            raise ValueError(f"{told['format']}, {told['base']}, {matrix.shape}")
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(reason="bad_adapter", name=name, detail=str(error)) from error
    return Adapted(base, matrix, name)
