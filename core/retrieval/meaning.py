"""What an embedding model's cosines mean, and vectors of texts that are asked for again and again.

A cosine of 0.83 is near for one model and far for another, and with many models Chinese and English texts lie
farther apart than two texts of one language. Twelve questions with their answers (``data/anchors.yaml``),
embedded once per model, give the scale for each pair of languages: 0 where texts have nothing to do with each
other, 1 where one answers the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.i18n import LANGUAGES
from core.retrieval import split, vectors
from core.types import EmbeddingKind
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

ANCHORS = Path(__file__).parent / "data" / "anchors.yaml"
SCALES = Path(__file__).parent / "data" / "scales.yaml"
_BATCH = 16
_SMALLEST_GAP, _NEAREST = 0.03, 2.5


@dataclass(frozen=True, slots=True)
class Scale:
    """``(unrelated, related)`` cosines by (language of the question, language of the text)."""

    cosines: Mapping[tuple[str, str], tuple[float, float]]

    def tells(self, language: str) -> bool:
        """Whether the model tells right pairs from wrong ones in ``language``; if not, words alone must do."""
        low, high = self.cosines[language, language]
        return high - low >= _SMALLEST_GAP

    def __call__(self, cosine: float, question: str, text: str) -> float:
        """``cosine`` on the scale: 0 unrelated, 1 answers it, at most ``_NEAREST``.

        A model that hardly tells right pairs from wrong ones (in two languages, say) gives 0.
        """
        low, high = self.cosines[question, text]
        if high - low < _SMALLEST_GAP:
            return 0.0
        return min(_NEAREST, max(-1.0, (cosine - low) / (high - low)))


class Meaning:
    """An embedding model with a memory in the workspace."""

    def __init__(self, workspace: Workspace, model: EmbeddingModel) -> None:
        self.workspace, self.model = workspace, model

    async def vectors(self, texts: Sequence[str], *, kind: EmbeddingKind = "document") -> np.ndarray:
        """Vectors of ``texts``; those embedded before come from the workspace. Shape: ``(len(texts), dim)``."""
        import numpy as np

        keys = [key(text, kind) for text in texts]
        known = await asyncio.to_thread(self._stored, keys)
        missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in known}
        for chunk in vectors.chunks(missing, _BATCH):
            made = await self.model.embed([missing[k] for k in chunk], kind=kind)
            fresh = dict(zip(chunk, made, strict=True))
            await asyncio.to_thread(self._store, fresh)
            known.update(fresh)
        return np.stack([known[k] for k in keys]) if keys else np.empty((0, self.model.dim), dtype=np.float32)

    async def scale(self) -> Scale:
        """The model's scale. One that is not listed in ``data/scales.yaml`` embeds 48 short texts, once per workspace."""
        known = known_scales().get(self.model.name)
        return known or await self.measured_scale()

    async def measured_scale(self) -> Scale:
        """The scale as the anchors give it now."""
        import numpy as np

        rows = anchors()
        asked = {name: await self.vectors([row[name][0] for row in rows], kind="query") for name in LANGUAGES}
        told = {name: await self.vectors([row[name][1] for row in rows]) for name in LANGUAGES}
        off = ~np.eye(len(rows), dtype=bool)
        cosines = {}
        for a in asked:
            for b in told:
                matrix = asked[a] @ told[b].T  # (questions, answers)
                cosines[a, b] = (float(matrix[off].mean()), float(np.diag(matrix).mean()))
        return Scale(cosines)

    def _stored(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        with self.workspace.read() as db:
            return vectors.get(db, self.model.name, dict.fromkeys(keys))

    def _store(self, made: Mapping[str, np.ndarray]) -> None:
        with self.workspace.write() as db:
            vectors.put(db, self.model.name, made)


def key(text: str, kind: EmbeddingKind = "document") -> str:
    """Key of a text's vector; a question is embedded otherwise than the same words in a document."""
    return split.text_hash(text if kind == "document" else f"query\n{text}")


@lru_cache(maxsize=1)
def known_scales() -> dict[str, Scale]:
    """Scales of models that come with the install, measured once (a test measures them again)."""
    import yaml

    rows = yaml.safe_load(SCALES.read_text("utf-8"))
    return {
        model: Scale({(pair[:2], pair[3:]): (low, high) for pair, (low, high) in pairs.items()})
        for model, pairs in rows.items()
    }


@lru_cache(maxsize=1)
def anchors() -> list[dict[str, Any]]:
    import yaml

    return yaml.safe_load(ANCHORS.read_text("utf-8"))
